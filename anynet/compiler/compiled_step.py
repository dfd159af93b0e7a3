"""Compiled steps: what a step computes is recorded once, and then done again without the steps in
between.

A recording is a flat list of calls of the library's own functions and kernels: no tape, no modules,
no choice of a function. It becomes the source of one Python function, which the backend may compile
further.
"""

import sys
import threading
import warnings
from collections.abc import Callable
from operator import is_
from types import MethodType
from typing import Any

from anynet import tree
from anynet.array import array_namespace
from anynet.callables import name_of, named_like
from anynet.compiler.guards import Arguments, Before, Outside
from anynet.compiler.recording import Recording, record
from anynet.errors import ArgumentError
from anynet.tracing.trace import Traced


def compile(step: Callable[..., Any]) -> "CompiledStep":
    """Return the step, recorded when it is first called and from then on replayed.

    A step is a function of trees (networks, optimizers, arrays): it returns a tree, and may put new
    arrays into networks and optimizers, as training does. Those that it reaches from outside, in a
    closure, a global, a default or an attribute, are as good as arguments. It is recorded again
    where shapes, dtypes, or settings that it reaches differ. What it prints it prints only when it
    is recorded; time, files and the environment it reads only then. A network is a step, and so is
    a method.

    Raises:
        CompilationError: the step does different things by the values it computes (raised when it
            is called).

    """
    return CompiledStep(step)


#: Recordings that a step keeps; each may hold memory. One takes the place of another that was not
#: used in so many calls; where there is no such one, a step runs as it is, which is quicker than to
#: record it again and again.
KEPT = 32
UNUSED = 4 * KEPT

#: A step is recorded no more when this many recordings in a row were of no use. One that no call
#: can ever use, because the step changes its own settings, counts as many.
MAX_WASTE = 2 * KEPT
_USELESS = KEPT // 4


class CompiledStep:
    """A step and its recordings, one for each kind of arguments."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self.step = step
        #: The one used last comes last.
        self.recordings: list[Recording] = []
        # A network is an argument of its own.
        self._bound = (step,) if tree.is_node(step) else ()
        self._function: Any = type(step).__call__ if self._bound else step
        self._before: Before | None = None
        self._outside: Outside | None = None
        self._calls = 0
        self._waste = 0
        self._warned = False
        # One thread records at a time: what the step reaches holds traced arrays meanwhile.
        self._lock = threading.RLock()
        if not self._bound:
            named_like(step)(self)
        self.__wrapped__ = step

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Do the step."""
        before = self._before
        if before is not None and not named:
            leaves = before.leaves(self._bound + args)
            if leaves is not None:
                return self._replay(before, leaves, [*self._bound, *args], named)
        with self._lock:
            return self._slowly([*self._bound, *args], named)

    def _slowly(self, args: list[Any], named: dict[str, Any]) -> Any:
        """Do the step with arguments that have to be taken apart."""
        self._calls += 1
        arguments, outside = self._take_apart(args, named)
        leaves = [*outside.read(), *arguments.leaves]
        if any(type(x) is Traced for x in leaves):
            # It is being differentiated, or recorded as part of another step.
            self._outside = None
            return self._function(*args, **named)
        recording = self._known(arguments, outside)
        if recording is None:
            if self._waste >= MAX_WASTE or not self._has_room():
                return self._function(*args, **named)
            return self._record(args, named, arguments, outside)
        before = Before(
            recording,
            recording.changes.writes(arguments, outside, recording.used),
            args,
            arguments,
            outside,
        )
        self._before = None if named or arguments.volatile or outside.volatile else before
        return self._replay(before, [leaves[i] for i in recording.used], args, named)

    def _replay(
        self,
        before: Before,
        leaves: list[Any],
        args: list[Any],
        named: dict[str, Any],
    ) -> Any:
        def plainly() -> Any:
            # It may change what a replay would not.
            self._before = self._outside = None
            return self._function(*args, **named)

        result = before.recording.replay(leaves, before.writes, plainly)
        if before.writes and self._before is before:
            changes = before.recording.changes
            if changes.outside:
                # It would hold old arrays.
                self._outside = None
            if changes.members:
                # Other containers are in the place of those that are looked at.
                self._before = self._outside = None
            else:
                before.look()
        return result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the step as a method of the instance, which is then its first argument."""
        return self if instance is None else MethodType(self, instance)

    def for_each(
        self,
        entries: Any,
        *args: Any,
        start: int = 0,
        stop: int | None = None,
    ) -> Any:
        """Do the step with each of the entries, from start to stop, as its last argument; return
        the results, stacked.

        Entries are along the first axis of an array. Where the device can repeat a step by itself,
        all steps together are one call, in which nothing can be looked at. Ctrl-C in that call
        leaves everything as it was before it.

        Raises:
            ArgumentError: there is no entry.

        """
        stop = entries.shape[0] if stop is None else min(stop, entries.shape[0])
        if start >= stop:
            raise ArgumentError(
                f"for_each: no entry from {start} to {stop}; there are {entries.shape[0]}: give one "
                "or more"
            )
        found = []
        while start < stop:
            entry = entries[start, ...]
            with self._lock:
                arguments, outside = self._take_apart([*self._bound, *args, entry], {})
                recording = self._known(arguments, outside)
            if recording is not None and stop - start > 1:
                leaves = [*outside.read(), *arguments.leaves]
                leaves = [leaves[i] for i in recording.used]
                if recording.can_loop(leaves):
                    writes = recording.changes.writes(arguments, outside, recording.used)
                    results = recording.loop(leaves, writes, entries, start, stop)
                    if results is not None:
                        found.append(results)
                        break
            # Stacked, and so copied: a later step may write into what it returns.
            found.append(
                tree.map(
                    lambda x: array_namespace(x).stack([x]),
                    self(*args, entry),
                )
            )
            start += 1
        if len(found) == 1:
            return found[0]
        columns = zip(
            *([x for _, x in tree.leaves(result)] for result in found),
            strict=True,
        )
        joined = iter([array_namespace(*column).concat(column) for column in columns])
        return tree.map(lambda _: next(joined), found[0])

    def _take_apart(self, args: list[Any], named: dict[str, Any]) -> tuple[Arguments, Outside]:
        arguments, outside = Arguments(args, named), self._outside
        roots = (self._function, *arguments.objects)
        same = (
            outside is not None
            and len(roots) == len(outside.roots)
            and all(map(is_, roots, outside.roots))
        )
        if outside is None or not same or not outside.is_as_before():
            outside = self._outside = Outside(*roots)
        return arguments, outside

    def _known(self, arguments: Arguments, outside: Outside) -> "Recording | None":
        """Return the recording for a call, which is then the one used last."""
        for recording in reversed(self.recordings):
            if recording.outline == (arguments.outline, outside.outline):
                self._waste = 0
                recording.last_use = self._calls
                if recording is not self.recordings[-1]:
                    self.recordings = [
                        *(x for x in self.recordings if x is not recording),
                        recording,
                    ]
                return recording
        return None

    def _has_room(self) -> bool:
        """Tell whether there is room for another recording."""
        if len(self.recordings) < KEPT or self._calls - self.recordings[0].last_use > UNUSED:
            return True
        self._warn(
            f"a compiled step was called with more than {KEPT} kinds of arguments, and runs as if "
            "it were not compiled with all others: bring shapes and settings to a few, as by "
            "padding batches"
        )
        return False

    def _record(
        self,
        args: list[Any],
        named: dict[str, Any],
        arguments: Arguments,
        outside: Outside,
    ) -> Any:
        result, recorded = record(self._function, args, named, arguments, outside)
        if isinstance(recorded, Recording):
            self._waste += 1
            recorded.last_use = self._calls
            self.recordings = [*self.recordings[1 - KEPT :], recorded]
        else:
            self._waste += _USELESS
            if self._waste >= MAX_WASTE:
                self._warn(
                    f"a compiled step changes what it reaches with every call ({recorded}), so that "
                    "no recording fits the next call, and runs as if it were not compiled: keep "
                    "counts and lists outside of the step"
                )
        return result

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, stacklevel=5)

    def __reduce__(self) -> Any:
        """Copy or pickle the step without its recordings; a decorated function goes by its name, as
        functions do.
        """
        found: Any = sys.modules.get(vars(self).get("__module__", ""))
        name = vars(self).get("__qualname__", "")
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (CompiledStep, (self.step,))

    def __repr__(self) -> str:
        return f"compile({name_of(self.step)}): {len(self.recordings)} recorded"
