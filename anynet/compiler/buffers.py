"""Buffers: memory of a program for its intermediate results, which every replay uses again.

A new array of some size costs more than the computation of its elements, because the operating
system hands out memory page by page. So the results that stay inside a program are in buffers. A
buffer is written again when neither its array nor a view of it is needed any more. No output of a
program is in a buffer.
"""

from collections import defaultdict
from typing import Any

from anynet.array import Array
from anynet.compiler.source import Instruction, Slot, slots_in
from anynet.compiler.target import CompilerTarget
from anynet.kernel import Aliasing, Kernels

#: For each slot, the results in whose memory it may be.
_Roots = dict[int, set[int]]


def with_buffers(
    calls: list[Instruction],
    outputs: list[Any],
    target: CompilerTarget,
    kernels: Kernels,
) -> list[Instruction]:
    """Return the calls, with an ``out=`` where the aliasing of the function allows it."""
    roots = _roots(calls, kernels)
    leaving = _of_slots(roots, slots_in(outputs))
    last_use: dict[int, int] = {}
    for i, call in enumerate(calls):
        used = _of_slots(roots, call.reads | call.writes)
        last_use |= dict.fromkeys(used, i)
        if call.is_users:
            leaving |= used
    over = _over_arguments(calls, roots, leaving, last_use, kernels)
    # The results that follow each other in one memory.
    shared: dict[int, list[int]] = {}
    for call in calls:
        root = call.results[0].number
        shared[root] = shared[over[root].number] if root in over else []
        shared[root].append(root)
    free: dict[Any, list[Array]] = defaultdict(list)
    # The buffers that become free after each call.
    ends: dict[int, list[tuple[Any, Array]]] = defaultdict(list)
    buffered = []
    for i, call in enumerate(calls):
        root = call.results[0].number
        out: Any = over.get(root)
        takes_buffer = kernels.aliasing_of(call.function) >= Aliasing.OUT and call.layout[0]
        if out is None and takes_buffer and leaving.isdisjoint(shared[root]):
            unused = free[call.layout]
            out = unused.pop() if unused else target.empty(*call.layout)
            end = max(last_use[x] for x in shared[root])
            ends[end].append((call.layout, out))
        if out is not None:
            call = call._replace(settings={**call.settings, "out": out})
        buffered.append(call)
        for layout, buffer in ends.pop(i, ()):
            free[layout].append(buffer)
    return buffered


def _roots(calls: list[Instruction], kernels: Kernels) -> _Roots:
    roots: _Roots = {}
    for call in calls:
        shared: set[int] = set()
        if kernels.aliasing_of(call.function) < Aliasing.FRESH:
            shared = _of_slots(roots, call.reads)
        for slot in call.writes:
            roots[slot] = shared | {slot}
    return roots


def _of_slots(roots: _Roots, slots: set[int]) -> set[int]:
    return set().union(*(roots.get(slot, ()) for slot in slots))


def _over_arguments(
    calls: list[Instruction],
    roots: _Roots,
    leaving: set[int],
    last_use: dict[int, int],
    kernels: Kernels,
) -> dict[int, Slot]:
    """Return for results the slot of an argument that they may be written over.

    The argument has the same layout, no later call uses it, and no other argument shares its
    memory.
    """
    layouts: dict[int, Any] = {}
    over: dict[int, Slot] = {}
    for i, call in enumerate(calls):
        root = call.results[0].number
        aliasing = kernels.aliasing_of(call.function)
        if aliasing is Aliasing.IN_PLACE and call.layout[0]:
            for x in call.slots:
                number = x.number
                fits = layouts.get(number) == call.layout and last_use[number] == i
                others = call.reads - {number}
                if fits and number not in leaving | _of_slots(roots, others):
                    over[root] = x
                    break
        if aliasing >= Aliasing.FRESH and not call.is_multiple:
            layouts[root] = call.layout
    return over
