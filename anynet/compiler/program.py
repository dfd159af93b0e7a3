"""Programs: the recorded calls of a step, which replay it."""

import threading
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

from anynet import tree
from anynet.array import Array, is_array
from anynet.compiler.buffers import with_buffers
from anynet.compiler.device_graph import Carry
from anynet.compiler.flatten import Arguments, Outside, Structure, map_arrays
from anynet.compiler.prologue import Contents
from anynet.compiler.recorder import Recorder
from anynet.compiler.source import function_of, generate_source, needed_instructions, slots_in
from anynet.interrupt import DeferredInterrupt
from anynet.kernel import Function
from anynet.tracing.dynamic_scalars import DynamicValue
from anynet.tracing.trace import Traced

#: (holder, name, output) of a place, where the output belongs; of a container, the outputs of the
#: arrays in it. Without a holder, (None, index of a leaf, output) of an array that is written into.
Write = tuple[Any, Any, Any]


class Changes:
    """The places that a step writes to, and the outputs of the program that belong there."""

    def __init__(self) -> None:
        #: The leaves that change, with their outputs, which are the first ones.
        self.carry: list[Carry] = []
        #: Those among them that are written into.
        self.written: list[Carry] = []
        #: Of each place that changes: whether it is outside, its index, and its output; of a
        #: container, the outputs of its arrays.
        self.places: list[tuple[bool, int, int | list[int | None]]] = []

    @cached_property
    def outside(self) -> bool:
        """Whether anything outside of the arguments changes."""
        return any(is_outside for is_outside, _, _ in self.places)

    @cached_property
    def containers(self) -> bool:
        """Whether any container is replaced."""
        return any(type(output) is list for _, _, output in self.places)

    def writes(
        self,
        arguments: Arguments,
        outside: Outside,
        used: list[int],
    ) -> list[Write]:
        """Return the writes of a call."""
        writes: list[Write] = [(None, used.index(leaf), output) for leaf, output in self.written]
        for is_outside, i, output in self.places:
            holder, name, _ = (outside if is_outside else arguments).places[i]
            writes.append((holder, name, output))
        return writes


def _with_outputs(
    container: Any,
    indices: list[int | None],
    outputs: list[Array],
) -> Any:
    """Return a copy of a container with the output of each array that changes."""
    remaining = iter(indices)

    def output(x: Array) -> Array:
        i = next(remaining)
        return x if i is None else outputs[i]

    return map_arrays(output, container)


class Program:
    """The calls of a step for arguments of one structure.

    Args:
        structure: of the call, see `structure_of`.
        recorder: has recorded the calls.
        dynamic: all dynamic values of the call, see `values`.
        names: of the leaves, which are the first slots.
        outputs: slots or constants, those of the changes first, flags of the recorder last.
        changes: where these outputs belong.
        result: the step's result, with the index of an output for each array.
        title: of the source.

    """

    def __init__(
        self,
        structure: Structure,
        recorder: Recorder,
        dynamic: list[DynamicValue],
        names: list[str],
        outputs: list[Any],
        changes: Changes,
        result: Any,
        title: str,
    ) -> None:
        self.structure = structure
        self.changes = changes
        self.result = result
        #: The call, counted by the compiled step, that used the program last.
        self.last_use = 0
        self.target = recorder.target
        self._prologue = recorder.prologue
        self._dynamic = [dynamic.index(x) for x in self._prologue.values]
        # A program keeps nothing of the call that it was recorded from.
        self._prologue.values = []
        #: Where the flags begin among the outputs.
        self._flags = len(outputs) - len(recorder.flags)
        calls = needed_instructions(recorder.instructions, outputs)
        #: Whether an error leaves nothing to repeat, because no user's code was called.
        self._can_repeat = not any(call.is_users for call in calls)
        read = slots_in(outputs).union(*(call.reads for call in calls))
        changed = {leaf for leaf, _ in changes.carry}
        last = len(names) - 1
        #: The leaves that the program takes. The last one may be an entry, see `for_each`.
        self.used = [i for i in range(len(names)) if i in read or i in changed or i == last]
        position = {leaf: i for i, leaf in enumerate(self.used)}
        self._carry = [Carry(position[leaf], output) for leaf, output in changes.carry]
        self._written = [position[leaf] for leaf, _ in changes.written]
        inputs = {i: names[i] for i in self.used}
        inputs |= {slot.number: f"s{slot.number}" for slot in recorder.scalars}
        calls = with_buffers(calls, outputs, self.target, recorder.kernels)
        #: The calls as Python code.
        self.source, known = generate_source(calls, inputs, outputs)
        self._function = function_of(self.source, known, title)
        self._run = self.target.compile(self._function, self._carry)
        self._loop_failed = False
        # Two calls at once would write into the same buffers.
        self._lock = threading.Lock()

    def values(self, dynamic: list[DynamicValue]) -> list[DynamicValue]:
        """Return the dynamic values that the program takes.

        Args:
            dynamic: all of a call, those outside of the arguments first.

        """
        return [dynamic[i] for i in self._dynamic]

    def takes_branches(self, values: list[DynamicValue]) -> bool:
        """Return whether the values that the program takes lead to its branches."""
        prologue = self._prologue
        return not prologue.has_branches or prologue.takes_branches([x.peek() for x in values])

    def shares_memory(self, leaves: list[Any]) -> bool:
        """Return whether a write into one of the leaves changes another one."""
        share = self.target.shares_memory
        return any(
            share(leaves[i], x)
            for i in self._written
            for j, x in enumerate(leaves)
            if i != j and is_array(x)
        )

    def replay(
        self,
        leaves: list[Any],
        writes: list[Write],
        values: list[DynamicValue],
        step: Callable[[], Any],
    ) -> Any:
        """Make the calls and the writes, and return the step's result.

        Args:
            leaves: the arrays that the program takes.
            writes: see `Changes.writes`.
            values: the dynamic values that the program takes.
            step: the call without the program, for calls that the program cannot make.

        """
        # Where two threads get past this at once, one waits for the other.
        if (self._written and self.shares_memory(leaves)) or self._lock.locked():
            return step()
        with self._lock:
            contents = [x.peek() for x in values]
            scalars = self._prologue.run(contents)
            try:
                outputs = self._run(leaves, scalars)
            except Exception as error:
                if not self._can_repeat:
                    raise
                failure = error
            else:
                try:
                    self._finish(writes, values, leaves, outputs, contents)
                except KeyboardInterrupt:
                    # Half of the writes are done. Do them all.
                    self._finish(writes, values, leaves, outputs, contents)
                    raise
                if type(self.result) is Traced:
                    return outputs[self.result.node]
                return tree.map(lambda leaf: outputs[leaf.node], self.result)
        # The error of the step itself says more.
        result = step()
        warnings.warn(
            f"a compiled step failed, and did not when not compiled: {failure!r}", stacklevel=4
        )
        return result

    def _finish(
        self,
        writes: list[Write],
        values: list[DynamicValue],
        leaves: list[Any],
        outputs: list[Array],
        contents: Contents,
    ) -> None:
        """Put outputs where they belong, and advance dynamic values: the step has succeeded."""
        for holder, name, output in writes:
            if holder is None:
                leaves[name][...] = outputs[output]
            elif type(output) is int:
                holder[name] = outputs[output]
            else:
                holder[name] = _with_outputs(holder[name], output, outputs)
        self._prologue.commit(values, contents, outputs[self._flags :])

    @cached_property
    def _loop(self) -> Function:
        return self.target.loop(self._function, self._carry)

    def can_loop(self, leaves: list[Any]) -> bool:
        """Return whether a loop on the device has the same effect as the calls for each entry."""
        if not self.target.has_loop or self._loop_failed or any(type(x) is Traced for x in leaves):
            return False
        if self._prologue.conditions:
            # The scalars of a step depend on the flags of the steps before it.
            return False
        if self._prologue.has_branches:
            # The next entry may need another program.
            return False
        carried = [i for i, _ in self._carry]
        # An entry that is written into, and an array that is written into and then replaced.
        if len(leaves) - 1 in carried or len({*carried}) < len(carried):
            return False
        return not self._written or not self.shares_memory(leaves)

    def loop(
        self,
        leaves: list[Any],
        writes: list[Write],
        values: list[DynamicValue],
        entries: Array,
        start: int,
        stop: int,
    ) -> Any:
        """Make the calls for each of the entries, which is the last leaf, and the writes.

        Return the results, stacked, or None where the device cannot do it.
        """
        contents = [x.peek() for x in values]
        scalars = [self._prologue.run(contents) for _ in range(start, stop)]
        # A loop is compiled for the number of entries, not for that of the steps.
        rows = [scalars[0]] * start + scalars + [scalars[0]] * (entries.shape[0] - stop)
        with self._lock:
            results = self._loop(leaves[:-1], entries, rows, start, stop)
        if results is None:
            self._loop_failed = True
            return None
        carried, others = results
        with DeferredInterrupt():
            self._finish(writes, values, leaves, carried, contents)
        return tree.map(lambda leaf: others[leaf.node - len(carried)], self.result)
