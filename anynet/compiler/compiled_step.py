"""Compiled steps: the first call of each kind records a program, and later calls replay it.

A program is a flat list of calls of the library's own functions and kernels. A replay skips the
tape, the modules and the choice of functions. A program becomes the source of one Python function,
which the backend may compile further.
"""

import sys
import threading
import warnings
from collections.abc import Sequence
from operator import is_
from types import MethodType
from typing import Any, NamedTuple

from anynet import tree
from anynet.array import Array, array_namespace
from anynet.callables import name_of, named_like
from anynet.compiler.flatten import Arguments, Outside, structure_of
from anynet.compiler.guards import Guards
from anynet.compiler.program import Program, Write
from anynet.compiler.recording import record
from anynet.errors import ArgumentError
from anynet.kernel import Function
from anynet.tracing.dynamic_scalars import DynamicValue
from anynet.tracing.trace import Traced


def compile(step: Function) -> "CompiledStep":
    """Return the step, recorded by its first call and replayed by later calls.

    A step is a function of trees (networks, optimizers, arrays). It returns a tree, and may put new
    arrays into networks and optimizers, as training does. Arrays that it reaches in a closure, a
    global, a default or an attribute count as arguments. A call with other shapes, dtypes or
    settings is recorded again. A step prints, and reads time, files and the environment, only when
    it is recorded. A network is a step, and so is a method.

    Args:
        step: the function. Its control flow depends on shapes and settings, not on values of
            arrays.

    Raises:
        CompilationError: the control flow of the step depends on computed values (raised when it is
            called).

    >>> import numpy as np
    >>> import anynet
    >>> step = anynet.compile(lambda x: x * 2 + 1)
    >>> step(np.ones(2)), step(np.zeros(2))
    (array([3., 3.]), array([1., 1.]))

    """
    return CompiledStep(step)


#: Programs that a step keeps. Each may hold memory. A new one replaces one that was not used in
#: UNUSED calls. Without such a one the step runs uncompiled, which is faster than recording each
#: call.
KEPT = 32
UNUSED = 4 * KEPT

#: A step is not recorded again after this many recordings in a row without a replay. A recording
#: that no call can use, because the step changes its own settings, counts as several.
MAX_WASTE = 2 * KEPT
_USELESS = KEPT // 4


class _Known(NamedTuple):
    """The last call: its program, writes, dynamic values and guards."""

    program: Program
    writes: list[Write]
    values: list[DynamicValue]
    guards: Guards


class CompiledStep:
    """A step and its programs, one for each structure of arguments.

    Args:
        step: see `compile`.
        programs: those of another step like this one, to use again. They fit the same code and
            settings, and other arrays.

    >>> import numpy as np
    >>> from anynet.compiler import CompiledStep
    >>> step = CompiledStep(lambda x: x + 1)
    >>> step(np.ones(2)), step(np.ones((1, 2)))
    (array([2., 2.]), array([[2., 2.]]))
    >>> len(step.programs)
    2

    """

    def __init__(self, step: Function, programs: Sequence[Program] = ()) -> None:
        self.step = step
        #: The last one was used last.
        self.programs = [*programs]
        for program in programs:
            program.last_use = 0
        # A network is an argument of its own call.
        self._bound = (step,) if tree.is_node(step) else ()
        self._function: Any = type(step).__call__ if self._bound else step
        self._known: _Known | None = None
        self._outside: Outside | None = None
        self._calls = 0
        self._waste = 0
        self._warned = False
        # One thread records at a time, because variables are then in the place of arrays.
        self._lock = threading.RLock()
        if not self._bound:
            named_like(step)(self)
        self.__wrapped__ = step

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the step."""
        known = self._known
        if known is not None and not named:
            leaves = known.guards.leaves(self._bound + args)
            if leaves is not None and known.program.takes_branches(known.values):
                return self._replay(known, leaves, [*self._bound, *args], named)
        with self._lock:
            return self._call_unknown([*self._bound, *args], named)

    def _call_unknown(self, args: list[Any], named: dict[str, Any]) -> Any:
        """Call the step with arguments that have to be flattened."""
        self._calls += 1
        arguments, outside = self._flatten(args, named)
        leaves = [*outside.read(), *arguments.leaves]
        if any(type(x) is Traced for x in leaves):
            # It is being differentiated, or recorded as part of another step.
            self._outside = None
            return self._function(*args, **named)
        program = self._find(arguments, outside)
        if program is None:
            if self._waste >= MAX_WASTE or not self._has_room():
                return self._function(*args, **named)
            return self._record(args, named, arguments, outside)
        used = program.used
        writes = program.changes.writes(arguments, outside, used)
        values = program.values([*outside.dynamic, *arguments.dynamic])
        known = _Known(program, writes, values, Guards(used, args, arguments, outside))
        self._known = None if named or arguments.volatile or outside.volatile else known
        return self._replay(known, [leaves[i] for i in used], args, named)

    def _replay(
        self,
        known: _Known,
        leaves: list[Any],
        args: list[Any],
        named: dict[str, Any],
    ) -> Any:
        def step() -> Any:
            # It may change what a replay does not.
            self._known = self._outside = None
            return self._function(*args, **named)

        program, writes, values, guards = known
        result = program.replay(leaves, writes, values, step)
        if writes and self._known is known:
            if program.changes.outside:
                # It would keep old arrays.
                self._outside = None
            if program.changes.containers:
                # The guards compare the containers that are replaced now.
                self._known = self._outside = None
            else:
                guards.refresh()
        return result

    def __get__(self, instance: object, owner: object = None) -> Any:
        """Return the step as a method of the instance, which is then its first argument."""
        return self if instance is None else MethodType(self, instance)

    def for_each(
        self,
        entries: Array,
        *args: Any,
        start: int = 0,
        stop: int | None = None,
    ) -> Any:
        """Call the step with each of the entries as its last argument. Return the results, stacked.

        Where the device can repeat a step without Python, all calls are one. Ctrl-C in that call
        leaves everything as it was before it.

        Args:
            entries: an array with the entries along its first axis.
            args: the other arguments of each call.
            start: the index of the first entry.
            stop: the index after that of the last entry. The default is the number of entries.

        Raises:
            ArgumentError: there is no entry.

        >>> import numpy as np
        >>> import anynet
        >>> step = anynet.compile(lambda x, row: x * row)
        >>> step.for_each(np.asarray([1.0, 2.0, 3.0]), np.ones(2))
        array([[1., 1.],
               [2., 2.],
               [3., 3.]])

        """
        stop = entries.shape[0] if stop is None else min(stop, entries.shape[0])
        if start >= stop:
            raise ArgumentError(
                f"for_each: no entry from {start} to {stop}; there are {entries.shape[0]}: give "
                "one or more"
            )
        results = []
        may_loop = True
        while start < stop:
            entry = entries[start, ...]
            looped = None
            if may_loop and stop - start > 1:
                looped = self._loop([*self._bound, *args, entry], entries, start, stop)
                # Flattening the arguments in vain is slow.
                may_loop = looped is not NotImplemented
            if looped is not None and may_loop:
                results.append(looped)
                break
            # Stacking copies: a later step may write into the result.
            result = self(*args, entry)
            results.append(tree.map(lambda x: array_namespace(x).stack([x]), result))
            start += 1
        if len(results) == 1:
            return results[0]
        leaves = [[x for _, x in tree.leaves(result)] for result in results]
        columns = zip(*leaves, strict=True)
        joined = iter([array_namespace(*column).concat(column) for column in columns])
        return tree.map(lambda _: next(joined), results[0])

    def _loop(
        self,
        args: list[Any],
        entries: Array,
        start: int,
        stop: int,
    ) -> Any:
        """Return the stacked results of a loop on the device, None where there is no program yet,
        NotImplemented where there cannot be a loop.
        """
        with self._lock:
            arguments, outside = self._flatten(args, {})
            program = self._find(arguments, outside)
        if program is None:
            return None
        leaves = [*outside.read(), *arguments.leaves]
        leaves = [leaves[i] for i in program.used]
        if not program.can_loop(leaves):
            return NotImplemented
        writes = program.changes.writes(arguments, outside, program.used)
        values = program.values([*outside.dynamic, *arguments.dynamic])
        return program.loop(leaves, writes, values, entries, start, stop)

    def _flatten(self, args: list[Any], named: dict[str, Any]) -> tuple[Arguments, Outside]:
        arguments, outside = Arguments(args, named), self._outside
        roots = (self._function, *arguments.objects)
        if (
            outside is None
            or len(roots) != len(outside.roots)
            or not all(map(is_, roots, outside.roots))
            or not outside.is_unchanged()
        ):
            outside = self._outside = Outside(*roots)
        return arguments, outside

    def _find(self, arguments: Arguments, outside: Outside) -> Program | None:
        """Return the program for a call, which is then the last one."""
        structure = structure_of(arguments, outside)
        for i, program in reversed([*enumerate(self.programs)]):
            if program.structure != structure:
                continue
            if program.takes_branches(program.values([*outside.dynamic, *arguments.dynamic])):
                self._waste = 0
                program.last_use = self._calls
                # Another list, because other threads read this one.
                self.programs = [*self.programs[:i], *self.programs[i + 1 :], program]
                return program
        return None

    def _has_room(self) -> bool:
        """Return whether there is room for another program."""
        if len(self.programs) < KEPT or self._calls - self.programs[0].last_use > UNUSED:
            return True
        self._warn(
            f"a compiled step was called with more than {KEPT} kinds of arguments, and runs as if "
            "it were not compiled with all others: use fewer shapes and settings, for example "
            "by padding batches"
        )
        return False

    def _record(
        self,
        args: list[Any],
        named: dict[str, Any],
        arguments: Arguments,
        outside: Outside,
    ) -> Any:
        result, program = record(self._function, args, named, arguments, outside)
        if isinstance(program, Program):
            self._waste += 1
            program.last_use = self._calls
            self.programs = [*self.programs[1 - KEPT :], program]
            return result
        if program is None:
            return result
        self._waste += _USELESS
        if self._waste >= MAX_WASTE:
            self._warn(
                f"a compiled step changes what it reaches with every call ({program}), so that no "
                "recording fits the next call, and runs as if it were not compiled: keep counts "
                "and lists outside of the step"
            )
        return result

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, stacklevel=5)

    def __reduce__(self) -> Any:
        """Copy or pickle the step without its programs. A decorated function goes by its name."""
        named: Any = sys.modules.get(vars(self).get("__module__", ""))
        name = vars(self).get("__qualname__", "")
        for part in name.split("."):
            named = getattr(named, part, None)
        return name if named is self else (CompiledStep, (self.step,))

    def __repr__(self) -> str:
        return f"compile({name_of(self.step)}): {len(self.programs)} recorded"
