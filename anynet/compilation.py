"""Compiled steps: what a step computes is recorded once, and then done again without the steps in between.

A recording is a flat list of calls of the library's own functions and kernels: no tape, no modules, no choice of a
function. It becomes the source of one Python function, which the backend may compile further.
"""

import dis
import inspect
import keyword
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, update_wrapper
from itertools import chain
from operator import is_
from types import CodeType
from typing import Any
from weakref import ref

from anynet import tree
from anynet.array import array_namespace, is_array
from anynet.autodiff.buffers import with_buffers
from anynet.autodiff.recording import Place, Recorder, free_name, needed_calls, settled, write
from anynet.autodiff.trace import Traced
from anynet.backend import get_backend
from anynet.errors import ArgumentError, CompilationError


def compile(step: Callable[..., Any]) -> "CompiledStep":
    """Return the step, recorded when it is first called and from then on replayed.

    A step is a function of trees (networks, optimizers, arrays): it returns a tree, and may put new arrays into
    networks and optimizers that it is given, as training does. All that it changes or that may change before the next
    call is to be an argument; other arrays are constants. It is recorded anew where shapes, dtypes or settings among
    the arguments differ. What it prints, or keeps elsewhere, it does only when it is recorded. A network is a step.

    Raises:
        CompilationError: the step uses a network or an optimizer that is no argument, or (when it is called) does
            different things by the numbers it computes.

    """
    return CompiledStep(step)


#: Recordings that a step keeps; each may hold memory. Beyond, the oldest are dropped.
KEPT = 32


class CompiledStep:
    """A step and its recordings, one for each kind of arguments."""

    def __init__(self, step: Callable[..., Any]) -> None:
        _check_outside(step)
        self.step = step
        self.recordings: list[Recording] = []
        self._left: _Left | None = None
        # A network is an argument of its own.
        self._bound = (step,) if tree.is_node(step) else ()
        self._function: Any = type(step).__call__ if self._bound else step
        if not self._bound:
            update_wrapper(self, step, updated=())

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Do the step."""
        left = self._left
        if left is not None and not named:
            leaves = left.leaves(self._bound + args)
            if leaves is not None:
                result = left.recording.replay(leaves, left.sources, lambda: self.step(*args))
                if left.recording.changes:
                    left.look()
                return result
        given = (self._bound + args, named)
        parts = tree.Parts(given)
        recording = self._known(parts)
        if recording is not None:
            result = recording.replay(parts.leaves, parts.holders, lambda: self.step(*args, **named))
            self._left = None if named else _Left(recording, given[0], parts)
            return result
        if any(type(x) is Traced for x in parts.leaves):
            # It is being differentiated, or recorded as part of another step.
            return self.step(*args, **named)
        result, recorded = record(self._function, given, parts)
        if recorded is not None:
            self.recordings = [*self.recordings[1 - KEPT :], recorded]
        return result

    def for_each(self, entries: Any, *args: Any, start: int = 0, stop: int | None = None) -> Any:
        """Do the step with each of the entries, from start to stop, as its last argument; return the results, stacked.

        Entries are along the first axis of an array. Where the device can repeat a step by itself, all steps together
        are one call, in which nothing can be looked at.

        Raises:
            ArgumentError: there is no entry.

        """
        stop = entries.shape[0] if stop is None else min(stop, entries.shape[0])
        if start >= stop:
            raise ArgumentError(
                f"for_each: no entry from {start} to {stop}; there are {entries.shape[0]}: give one or more"
            )
        found = []
        while start < stop:
            entry = entries[start, ...]
            parts = tree.Parts((self._bound + args + (entry,), {}))
            recording = self._known(parts)
            if recording is not None and recording.backend.loops and stop - start > 1:
                found.append(recording.loop(parts, entries, start, stop))
                break
            found.append(tree.map(lambda x: array_namespace(x).expand_dims(x, axis=0), self(*args, entry)))
            start += 1
        if len(found) == 1:
            return found[0]
        columns = zip(*([x for _, x in tree.leaves(result)] for result in found), strict=True)
        joined = iter([array_namespace(*column).concat(column) for column in columns])
        return tree.map(lambda _: next(joined), found[0])

    def _known(self, parts: tree.Parts) -> "Recording | None":
        return next((recording for recording in self.recordings if recording.outline == parts.outline), None)

    def __repr__(self) -> str:
        return f"compile({getattr(self.step, '__name__', self.step)}): {len(self.recordings)} recorded"


class Recording:
    """What a step does with arguments of one outline."""

    def __init__(
        self,
        outline: list[Any],
        recorder: Recorder,
        inputs: list[str],
        outputs: list[Any],
        changes: list[tuple[int, int]],
        result: Any,
    ) -> None:
        self.outline = outline
        #: (number of a leaf, number of what takes its place), and the result with numbers for its arrays.
        self.changes, self.result = changes, result
        self.questions = [question for question, _ in recorder.questions]
        named = dict(enumerate(inputs))
        for _, asked in recorder.questions:
            named |= {place.number: f"n{place.number}" for place in asked}
        calls = needed_calls(recorder.calls, outputs)
        backend = get_backend(recorder.home)
        if backend.into:
            calls = with_buffers(calls, outputs, backend)
        #: The calls as Python code.
        self.source, known = write(calls, named, outputs)
        code = dict(known)
        exec(self.source, code)  # a function of our own writing
        self._plain, self.backend = code["run"], backend
        self._run = backend.compile(self._plain, changes)
        # Two at once would write into the same buffers.
        self._lock = threading.Lock()

    def replay(self, leaves: list[Any], holders: list[tuple[Any, Any]], plainly: Callable[[], Any]) -> Any:
        """Make the calls with these leaves, and put new arrays where they belong."""
        if not self._lock.acquire(blocking=False):
            return plainly()
        numbers = [number for question in self.questions for number in question()]
        try:
            found = self._run(leaves, numbers)
        except Exception as error:
            # The step itself says better what is wrong, and where.
            result = plainly()
            warnings.warn(f"a compiled step failed, and did not when not compiled: {error!r}", stacklevel=4)
            return result
        finally:
            self._lock.release()
        for leaf, output in self.changes:
            holder, name = holders[leaf]
            holder[name] = found[output]
        if type(self.result) is Traced:
            return found[self.result.node]
        return tree.map(lambda leaf: found[leaf.node], self.result)

    @cached_property
    def _loop(self) -> Callable[..., Any]:
        return self.backend.loop(self._plain, self.changes)

    def loop(self, parts: tree.Parts, entries: Any, start: int, stop: int) -> Any:
        """Replay for each of the entries, the last of the leaves, and put new arrays where they belong."""
        asked = [[n for question in self.questions for n in question()] for _ in range(start, stop)]
        # The number of entries is what is compiled for, not that of the steps.
        numbers = [asked[0]] * start + asked + [asked[0]] * (entries.shape[0] - stop)
        with self._lock:
            carried, others = self._loop(parts.leaves[:-1], entries, numbers, start, stop)
        for (leaf, _), x in zip(self.changes, carried, strict=True):
            holder, name = parts.holders[leaf]
            holder[name] = x
        return tree.map(lambda leaf: others[leaf.node - len(carried)], self.result)


class _Left:
    """The arguments of a call as it left them: while trees stay so, they need not be taken apart again."""

    def __init__(self, recording: Recording, args: tuple[Any, ...], parts: tree.Parts) -> None:
        self.recording = recording
        self.count = len(args)
        self.trees, self.arrays = [], []
        for i, arg in enumerate(args):
            if is_array(arg):
                kind = type(arg), arg.shape, arg.dtype, getattr(arg, "device", None)
                self.arrays.append((i, _reference(arg), *kind))
            else:
                self.trees.append((i, arg))
        # Where leaves are: in a tree, or the arguments themselves, which are not to be held.
        self.sources = [(None if holder is args else holder, name) for holder, name in parts.holders]
        # Live views of all that the lists and dicts of the trees hold.
        self.containers = parts.containers
        self.views = [x.values() if isinstance(x, dict) else x for x in parts.containers]
        self.look()

    def look(self) -> None:
        """See what the trees hold now."""
        self.lengths = [*map(len, self.containers)]
        self.inside = [*chain.from_iterable(self.views)]

    def leaves(self, args: tuple[Any, ...]) -> list[Any] | None:
        """Return the leaves of the arguments if nothing is new among these but arrays, alike in shape and dtype."""
        if len(args) != self.count:
            return None
        for i, before in self.trees:
            if args[i] is not before:
                return None
        for i, known, kind, shape, dtype, device in self.arrays:
            x = args[i]
            if type(x) is not kind or x.shape != shape or x.dtype != dtype:
                return None
            # A data set is the same as before; to ask some libraries' arrays for their device takes long.
            if known() is not x and getattr(x, "device", None) != device:
                return None
        inside = chain.from_iterable(self.views)
        if [*map(len, self.containers)] != self.lengths or not all(map(is_, inside, self.inside)):
            return None
        return [(args if holder is None else holder)[name] for holder, name in self.sources]


def _reference(x: Any) -> Callable[[], Any]:
    try:
        return ref(x)
    except TypeError:
        # A number of NumPy's.
        return lambda: None


def record(step: Callable[..., Any], given: tuple[Any, Any], parts: tree.Parts) -> tuple[Any, Recording | None]:
    """Do the step once; return its result, and the recording unless the arguments are built differently afterwards."""
    recorder = Recorder()
    args, named = tree.map(recorder.variable, given, None, {"ask_numbers": recorder.ask})
    opaque = [x for x in (*args, *named.values()) if tree.is_setting(x) and hasattr(x, "__dict__")]
    before = [_inside(x) for x in opaque]
    result = step(*args, **named)
    for x, inside in zip(opaque, before, strict=True):
        _check_unchanged(x, inside)
    after = tree.Parts((args, named)).leaves
    _graft(given, (args, named))
    recording = None
    if tree.Parts(given).outline == parts.outline:
        changed = [i for i, x in enumerate(after) if recorder.place(x) != Place(i)]
        outputs = [after[i] for i in changed] + [x for _, x in tree.leaves(result)]
        numbers = iter(range(len(changed), len(outputs)))
        recording = Recording(
            parts.outline,
            recorder,
            _names(step, given),
            [recorder.place(x) for x in outputs],
            [(i, number) for number, i in enumerate(changed)],
            tree.map(lambda _: Traced(None, None, next(numbers)), result),
        )
    recorder.close()
    return tree.map(settled, result), recording


def _names(step: Callable[..., Any], given: tuple[Any, Any]) -> list[str]:
    """Name the leaves of the arguments by their paths."""
    args, named = given
    parameters = list(inspect.signature(step).parameters.values())
    known: dict[str, Any] = {}
    names = []
    for i, arg in enumerate(args):
        positional = i < len(parameters) and parameters[i].kind is not inspect.Parameter.VAR_POSITIONAL
        names += [path for path, _ in tree.leaves(arg, parameters[i].name if positional else f"argument_{i}")]
    names += [path for path, _ in tree.leaves(named)]
    clean = [re.sub(r"\W", "_", path) for path in names]
    # What else stands in the code: Python's words, results and numbers.
    taken = [keyword.iskeyword(path) or re.fullmatch(r"[vn]\d+|slice", path) for path in clean]
    return [free_name(known, path + "_" * bool(t), object()) for path, t in zip(clean, taken, strict=True)]


def _graft(original: Any, copy: Any) -> None:
    """Put what a copy has and the original has not into the original: arrays, and what is new."""
    if type(original) is tuple:
        for child, other in zip(original, copy, strict=True):
            _graft(child, other)
        return
    node = tree.is_node(original)
    if not node and type(original) not in (list, dict):
        return
    holder, others = (vars(original), vars(copy)) if node else (original, copy)
    for name in others if type(others) is dict else range(len(others)):
        if node and name == "ask_numbers":
            continue
        before = holder.get(name) if type(holder) is dict else holder[name]
        if is_array(others[name]) or type(before) is not type(others[name]) or tree.is_setting(before):
            holder[name] = tree.map(settled, others[name])
        else:
            _graft(before, others[name])


def _inside(x: Any) -> tuple[list[Any], list[Any]]:
    """Return the arrays that the attributes of something hold, and all else there."""
    parts = tree.Parts(vars(x))
    return parts.leaves, parts.outline


def _check_unchanged(x: Any, before: tuple[list[Any], list[Any]]) -> None:
    """Look whether an argument that is no tree has kept something: a replay would leave that as it is."""
    (leaves, outline), (leaves_before, outline_before) = _inside(x), before
    if outline != outline_before or any(a is not b for a, b in zip(leaves, leaves_before, strict=True)):
        raise CompilationError(
            f"the step changes a {type(x).__name__} that it is given, which is no tree of arrays: a replay would leave "
            "it as it is. Write `tree_node = True` in its class and keep arrays in its attributes, or leave it out of "
            "what is compiled"
        )


def _check_outside(step: Callable[..., Any]) -> None:
    """Look for networks and optimizers that the function has from outside."""
    function: Any = inspect.unwrap(step)
    code = getattr(function, "__code__", None)
    if code is None:
        return
    outside = {name: function.__globals__.get(name) for name in _globals(code)}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        # One that is assigned later is empty.
        with suppress(ValueError):
            outside[name] = cell.cell_contents
    for name, value in outside.items():
        if tree.is_node(value):
            raise CompilationError(
                f"the step uses {name!r}, a {type(value).__name__}, from outside, and would see its numbers of now for "
                "ever: make it an argument of the step"
            )


def _globals(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL":
            yield instruction.argval
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _globals(inner)
