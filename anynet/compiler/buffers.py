"""Buffers: memory of a recording's own for what it computes on the way, used again at every replay.

A fresh array of some size costs more than what is computed into it: the machine hands out its
memory page by page. So results that no one sees outside are kept in buffers. What a buffer holds is
not needed any more when it is written to again, neither itself nor by a view of it, and no result
that leaves the recording is in one, or a view of one.
"""

from collections import defaultdict
from dataclasses import replace
from typing import Any

from anynet.array import Array
from anynet.compiler.program import Instruction, Slot
from anynet.compiler.target import CompilerTarget
from anynet.kernel import Aliasing, Kernels


def with_buffers(
    calls: list[Instruction], outputs: list[Any], target: CompilerTarget, kernels: Kernels
) -> list[Instruction]:
    """Return the calls, with an ``out=`` where the aliasing of the function allows it."""
    roots = _roots(calls, kernels)
    seen = [x for x in outputs if isinstance(x, Slot)]
    seen += [place for call in calls if call.own for place in (*call.places(), *call.results)]
    leaving = {root for place in seen for root in roots.get(place.number, ())}
    last_use: dict[int, int] = {}
    for i, call in enumerate(calls):
        for place in (*call.places(), *call.results):
            last_use |= dict.fromkeys(roots.get(place.number, ()), i)
    over = _over_arguments(calls, roots, leaving, last_use, kernels)
    # The results that follow each other in one memory.
    shared: dict[int, list[int]] = {}
    for call in calls:
        root = call.results[0].number
        shared[root] = shared[over[root].number] if root in over else []
        shared[root].append(root)
    free: dict[Any, list[Array]] = defaultdict(list)
    # What becomes free after each call.
    ends: dict[int, list[tuple[Any, Array]]] = defaultdict(list)
    found = []
    for i, call in enumerate(calls):
        root = call.results[0].number
        out: Any = over.get(root)
        if (
            out is None
            and kernels.aliasing_of(call.function) >= Aliasing.OUT
            and call.kind[0]
            and leaving.isdisjoint(shared[root])
        ):
            out = free[call.kind].pop() if free[call.kind] else target.empty(*call.kind)
            ends[max(last_use[x] for x in shared[root])].append((call.kind, out))
        found.append(call if out is None else replace(call, settings={**call.settings, "out": out}))
        for kind, buffer in ends.pop(i, ()):
            free[kind].append(buffer)
    return found


def _over_arguments(
    calls: list[Instruction],
    roots: dict[int, set[int]],
    leaving: set[int],
    last_use: dict[int, int],
    kernels: Kernels,
) -> dict[int, Slot]:
    """Return for results the argument that they may be written over: one of like kind that the call
    is the last to see.

    Nothing else that the call is given may be in that memory.
    """
    kinds: dict[int, Any] = {}
    over: dict[int, Slot] = {}
    for i, call in enumerate(calls):
        root = call.results[0].number
        aliasing = kernels.aliasing_of(call.function)
        if aliasing is Aliasing.IN_PLACE and call.kind[0]:
            given = list(call.places())
            for x in given:
                alone = all(y == x or x.number not in roots.get(y.number, ()) for y in given)
                if (
                    alone
                    and kinds.get(x.number) == call.kind
                    and last_use[x.number] == i
                    and x.number not in leaving
                ):
                    over[root] = x
                    break
        if aliasing >= Aliasing.FRESH and not call.several:
            kinds[root] = call.kind
    return over


def _roots(calls: list[Instruction], kernels: Kernels) -> dict[int, set[int]]:
    """Return for every place the results in whose memory it may be."""
    roots: dict[int, set[int]] = {}
    for call in calls:
        shared: set[int] = set()
        if kernels.aliasing_of(call.function) is Aliasing.MAY_VIEW:
            shared = set().union(*(roots.get(place.number, set()) for place in call.places()))
        for place in call.results:
            roots[place.number] = shared | {place.number}
    return roots
