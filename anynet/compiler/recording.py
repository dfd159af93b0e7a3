"""Recordings: what a step does with arguments of one outline, recorded once and replayed."""

import keyword
import re
import threading
import warnings
from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from typing import Any

from anynet import tree
from anynet.array import is_array
from anynet.callables import signature_of
from anynet.compiler.buffers import with_buffers
from anynet.compiler.device_graph import Carry
from anynet.compiler.guards import (
    Arguments,
    Outside,
    Parts,
    arrays_in,
    in_tuples,
    value_of,
    with_arrays,
)
from anynet.compiler.program import (
    Instruction,
    Slot,
    free_name,
    generate_source,
    needed_calls,
)
from anynet.compiler.prologue import Contents
from anynet.compiler.recorder import CalledError, Recorder
from anynet.errors import CompilationError
from anynet.interrupt import DeferredInterrupt
from anynet.reach import LIMIT, Reach
from anynet.tracing.errors import call
from anynet.tracing.trace import Traced


class Recording:
    """What a step does with arguments of one outline."""

    def __init__(
        self,
        outline: tuple[list[Any], list[Any]],
        recorder: Recorder,
        inputs: list[str],
        outputs: list[Any],
        changes: "_Changes",
        result: Any,
    ) -> None:
        self.outline = outline
        self.changes = changes
        #: The number of the call, among those that were looked up, that used it last.
        self.last_use = 0
        #: The result with numbers for its arrays.
        self.result = result
        self._prologue = recorder.prologue
        calls = needed_calls(recorder.calls, outputs)
        #: The numbers of the leaves that it takes: a data set that a step reaches may be used
        #: nowhere.
        self.used = _used(calls, outputs, changes, len(inputs))
        named = {i: inputs[i] for i in self.used}
        named |= {place.number: f"n{place.number}" for place in recorder.scalars}
        target = recorder.target
        calls = with_buffers(calls, outputs, target, recorder.kernels)
        #: The calls as Python code.
        self.source, known = generate_source(calls, named, outputs)
        code = dict(known)
        exec(self.source, code)  # a function of our own writing
        self._plain, self.target = code["run"], target
        numbers = {leaf: i for i, leaf in enumerate(self.used)}
        self._carry = [Carry(numbers[leaf], output) for leaf, output in changes.carried]
        self._run = target.compile(self._plain, self._carry)
        #: The numbers of those that are written into.
        self._written = [numbers[leaf] for leaf, _ in changes.written]
        self._loop_failed = False
        # Two at once would write into the same buffers.
        self._lock = threading.Lock()

    def shares_memory(self, leaves: list[Any]) -> bool:
        """Tell whether another one of the leaves that are used would see what is written into
        one.
        """
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
        writes: list["_Write"],
        plainly: Callable[[], Any],
    ) -> Any:
        """Make the calls with these leaves, those that are used, and put new arrays where they
        belong.
        """
        # Where two threads get past this at once, one waits for the other.
        if (self._written and self.shares_memory(leaves)) or self._lock.locked():
            return plainly()
        with self._lock:
            contents = self._prologue.contents()
            scalars = self._prologue.run(contents)
            try:
                found = self._run(leaves, scalars)
            except CalledError as error:
                raise error.error from error.error.__cause__
            except Exception as error:
                failure = error
            else:
                try:
                    self._finish(writes, leaves, found, contents)
                except KeyboardInterrupt:
                    # What is half done is done again as a whole.
                    self._finish(writes, leaves, found, contents)
                    raise
                if type(self.result) is Traced:
                    return found[self.result.node]
                return tree.map(lambda leaf: found[leaf.node], self.result)
        # The step itself says better what is wrong, and where.
        result = plainly()
        warnings.warn(
            f"a compiled step failed, and did not when not compiled: {failure!r}",
            stacklevel=4,
        )
        return result

    def _finish(
        self, writes: list["_Write"], leaves: list[Any], outputs: Any, contents: Contents
    ) -> None:
        """Put outputs where they belong, and advance dynamic values: the step has succeeded."""
        _write(writes, leaves, outputs)
        self._prologue.commit(contents)

    @cached_property
    def _loop(self) -> Callable[..., Any]:
        return self.target.loop(self._plain, self._carry)

    def can_loop(self, leaves: list[Any]) -> bool:
        """Return whether a loop on the device does with these leaves what the calls do one after
        the other.
        """
        if not self.target.has_loop or self._loop_failed or any(type(x) is Traced for x in leaves):
            return False
        carried = [i for i, _ in self._carry]
        # An entry that is written into, and an array that is written into and then replaced.
        if len(leaves) - 1 in carried or len({*carried}) < len(carried):
            return False
        return not self._written or not self.shares_memory(leaves)

    def loop(
        self,
        leaves: list[Any],
        writes: list["_Write"],
        entries: Any,
        start: int,
        stop: int,
    ) -> Any:
        """Replay for each of the entries, the last of the leaves, and put new arrays where they
        belong. Return None where the device cannot do it.
        """
        contents = self._prologue.contents()
        asked = [self._prologue.run(contents) for _ in range(start, stop)]
        # The number of entries is what is compiled for, not that of the steps.
        numbers = [asked[0]] * start + asked + [asked[0]] * (entries.shape[0] - stop)
        with self._lock:
            results = self._loop(leaves[:-1], entries, numbers, start, stop)
        if results is None:
            self._loop_failed = True
            return None
        carried, others = results
        with DeferredInterrupt():
            self._finish(writes, leaves, carried, contents)
        return tree.map(lambda leaf: others[leaf.node - len(carried)], self.result)


def _used(
    calls: list[Instruction],
    outputs: list[Any],
    changes: "_Changes",
    count: int,
) -> list[int]:
    """Return the numbers of the leaves that calls take, that are results, that change, or that come
    last.
    """
    places = [place.number for call in calls for place in call.places()]
    places += [x.number for x in outputs if isinstance(x, Slot)]
    used = {*places, *(leaf for leaf, _ in changes.carried), count - 1}
    return [i for i in range(count) if i in used]


#: (holder, name, number of the output that goes there, or those of the arrays of a list, tuple or
#: dict); without a holder, (None, number of the leaf, number of the output) of an array that is
#: written into.
_Write = tuple[Any, Any, Any]


def _write(writes: list[_Write], leaves: list[Any], found: Any) -> None:
    """Put outputs where they belong."""
    for holder, name, output in writes:
        if holder is None:
            leaves[name][...] = found[output]
        else:
            holder[name] = (
                found[output] if type(output) is int else _rebuilt(holder[name], output, found)
            )


class _Changes:
    """What a step puts where: numbers of places, with those of outputs."""

    def __init__(self) -> None:
        #: (leaf, output) of the leaves that change, whose outputs are the first ones.
        self.carried: list[tuple[int, int]] = []
        #: (leaf, output) of the leaves that are written into.
        self.written: list[tuple[int, int]] = []
        #: (whether outside, number of the slot, output), and of the container, the outputs of its
        #: arrays.
        self.slots: list[tuple[bool, int, int]] = []
        self.members: list[tuple[bool, int, list[int | None]]] = []

    @cached_property
    def outside(self) -> bool:
        """Whether there is anything outside that changes."""
        return any(is_outside for is_outside, _, _ in (*self.slots, *self.members))

    def writes(self, arguments: Arguments, outside: Outside, used: list[int]) -> list[_Write]:
        """Return what is to be written where, given which leaves there are."""
        found: list[_Write] = [(None, used.index(leaf), output) for leaf, output in self.written]
        for is_outside, i, outputs in self.members:
            _, holder, name = (outside if is_outside else arguments).members[i]
            found.append((holder, name, outputs))
        for is_outside, i, output in self.slots:
            holder, name, _ = (outside if is_outside else arguments).slots[i]
            found.append((holder, name, output))
        return found


def _rebuilt(x: Any, outputs: list[int | None], found: Any) -> Any:
    """Return a copy of a container with the outputs in it."""
    arrays = zip(arrays_in(x), outputs, strict=True)
    return with_arrays(
        x,
        iter([old if output is None else found[output] for old, output in arrays]),
    )


class _Recorded:
    """What a step is given and reaches, with variables of a recorder in the place of all arrays."""

    def __init__(self, recorder: Recorder, arguments: Arguments, outside: Outside) -> None:
        self._recorder = recorder
        self._parts = [
            (outside, outside.read()),
            (arguments, arguments.leaves),
        ]
        self.originals = [x for _, leaves in self._parts for x in leaves]
        # Tuples with variables in them, by identity, and those in whose place they are.
        self._tuples: dict[int, tuple[Any, Any]] = {}
        #: The variable of each leaf and its place, those outside first, and the numbers of those
        #: that are written into.
        self.variables: list[Traced] = []
        self.places: list[Slot] = []
        self.written: dict[int, Any] = {}
        #: Whether a view of one of these was put somewhere: they do not share memory any more.
        self.keeps_view = False

    def begin(self) -> None:
        """Put variables in the place of arrays."""
        for part, leaves in self._parts:
            variables = [*map(self._recorder.variable, leaves)]
            for holder, name, i in part.slots:
                there = holder[name]
                if type(there) is Traced:
                    # It is in an argument and outside, too.
                    variables[i] = there
                else:
                    holder[name] = variables[i]
            numbers = part.numbers(leaves)
            for x, holder, name in _outer_tuples(part):
                new = in_tuples(lambda y: variables[numbers[id(y)]] if id(y) in numbers else y, x)  # noqa: B023
                if new is not x:
                    self._tuples[id(new)] = new, x
                    holder[name] = new
            self.variables += variables
            self.places += [Slot(x.node) for x in variables]
            self._recorder.dynamic.update(part.dynamic)

    def end(self, parts: list[Parts]) -> None:
        """Put plain arrays in the place of traced ones, those that were there where they are
        written into.
        """
        failure = None
        # Shorter where it was not begun to the end.
        for x, place, original in zip(self.variables, self.places, self.originals, strict=False):
            if x.node != place.number and id(x) not in self.written:
                try:
                    original[...] = value_of(x)
                    self.written[id(x)] = original
                except TypeError:
                    # Arrays of this library cannot be written into: another one takes its place.
                    continue
                except Exception as error:
                    failure = error
        for part in parts:
            for holder, name, _ in part.slots:
                x = holder[name]
                if type(x) is Traced:
                    holder[name] = self._plain(x)
            for x, holder, name in _outer_tuples(part):
                original = self.original(x)
                new = in_tuples(self._plain, x) if original is x else original
                if new is not x:
                    holder[name] = new
        if failure is not None:
            raise failure

    def _plain(self, x: Any) -> Any:
        """Return the array that a traced one stands for, the one that was there if it is written
        into.
        """
        if id(x) in self.written:
            return self.written[id(x)]
        if id(_owner(x)) in self.written:
            self.keeps_view = True
        return value_of(x)

    def original(self, x: Any) -> Any:
        """Return the tuple in whose place one is; anything else as it is."""
        return self._tuples.get(id(x), (None, x))[1]


def _owner(x: Any) -> Any:
    """Return the traced array whose memory this one is in, which is itself or one that it is a view
    of.
    """
    return x.alias.root().handle() if type(x) is Traced and x.alias is not None else x


def _outer_tuples(part: Parts) -> list[tuple[Any, Any, Any]]:
    """Return the tuples whose places can be written."""
    return [
        (x, holder, name)
        for x, holder, name in part.members
        if isinstance(x, tuple) and holder is not None and not isinstance(holder, tuple)
    ]


def record(
    step: Callable[..., Any],
    args: list[Any],
    named: dict[str, Any],
    arguments: Arguments,
    outside: Outside,
) -> "tuple[Any, Recording | str]":
    """Do the step once; return its result, and the recording, or in words why no other call could
    use it.
    """
    if not outside.complete:
        raise CompilationError(
            f"the step reaches more than {LIMIT} values: give it what it needs as arguments"
        )
    recorder = Recorder((arguments.leaves + outside.read())[:1])
    recorded = _Recorded(recorder, arguments, outside)
    accesses = {x: x.accesses for part in (outside, arguments) for x in part.dynamic}
    try:
        with DeferredInterrupt() as interrupt:
            try:
                recorded.begin()
                interrupt.deliver()
                interrupt.deferring = False
                result = call(step, args, named)
                results = [recorder.place(x) for _, x in tree.leaves(result)]
                numbers = iter(range(len(results)))
                template = tree.map(lambda _: Traced(None, None, next(numbers)), result)
            finally:
                # No variable is left in a network.
                interrupt.deferring = True
                after = Arguments(args, named)
                around = Outside(step, *after.objects)
                leaves = [around.read(), after.leaves]
                held = [
                    _leaves_held(part, traced)
                    for part, traced in zip((around, after), leaves, strict=True)
                ]
                recorded.end([around, after])
        if recorded.keeps_view:
            raise CompilationError(
                "the step keeps a view of an array that it writes into; a compiled step has no "
                "such views: keep a copy, such as x + 0"
            )
        result = tree.map(value_of, result)
        _check_result(result)
        accessed = next((x.name for x, before in accesses.items() if x.accesses != before), "")
        different = accessed or _difference((outside, around), (arguments, after))
        if different:
            return result, different
        changes, outputs = _changes(
            recorder,
            recorded,
            ((outside, around), (arguments, after)),
            leaves,
            held,
        )
        shift = len(outputs)
        recording = Recording(
            (arguments.outline, outside.outline),
            recorder,
            _names([*outside.paths, *arguments.names(_parameters(step))]),
            outputs + results,
            changes,
            tree.map(lambda x: Traced(None, None, shift + x.node), template),
        )
        if recording.shares_memory([recorded.originals[i] for i in recording.used]):
            raise CompilationError(
                "the step writes into an array that shares memory with another one that it uses, "
                "as a view does, and saw them as two: reach one of them by the other inside the "
                "step, or give it a copy"
            )
        return result, recording
    finally:
        recorder.close()


def _changes(
    recorder: Recorder,
    recorded: _Recorded,
    parts: tuple[tuple[Outside, Outside], tuple[Arguments, Arguments]],
    leaves: list[list[Any]],
    held: list[list[list[int]]],
) -> tuple[_Changes, list[Any]]:
    """Return what a step has put where, and the places of what it has put there.

    Parts are those before and after, with the leaves after and, for each list, tuple and dict, the
    numbers of those in it.
    """
    changes = _Changes()
    outputs: list[Any] = []
    places = iter(recorded.places)
    arguments = parts[1][0]
    given = {id(recorded.variables[i - len(arguments.leaves)]) for i in arguments.direct()}
    for is_outside, (old, new), arrays, inside in zip(
        (True, False), parts, leaves, held, strict=True
    ):
        shift = len(recorded.places) - len(leaves[1]) if not is_outside else 0
        changed: dict[int, int] = {}
        for i, x in enumerate(arrays):
            place, before = recorder.place(x), next(places)
            variable = recorded.variables[shift + i]
            owner = _owner(x)
            if (
                x is not variable
                and id(owner) in given
                and not recorded.written.keys().isdisjoint([id(owner), id(variable)])
            ):
                raise CompilationError(
                    "the step keeps an array that it is given, and writes into what it keeps; a "
                    "compiled step keeps another array with the same values: keep a copy, such as "
                    "x + 0"
                )
            if id(variable) in recorded.written:
                changes.written.append((shift + i, len(outputs)))
                changes.carried.append((shift + i, len(outputs)))
                outputs.append(recorder.place(variable))
                if x is variable:
                    continue
            if type(place) is not Slot or place != before:
                changed[i] = len(outputs)
                changes.carried.append((shift + i, len(outputs)))
                outputs.append(place)
        replaced: set[int] = set()
        for k, ((x, holder, _), (before, _, _)) in enumerate(
            zip(new.members, old.members, strict=True)
        ):
            new_arrays = [changed.get(i) for i in inside[k]]
            is_new = recorded.original(x) is not before or (
                isinstance(x, tuple) and any(i in changed for i in inside[k])
            )
            if id(holder) in replaced:
                replaced.add(id(x))
            elif is_new and holder is not None and not isinstance(holder, tuple):
                replaced.add(id(x))
                changes.members.append((is_outside, k, new_arrays))
        for k, (holder, _, i) in enumerate(new.slots):
            if i in changed and id(holder) not in replaced:
                changes.slots.append((is_outside, k, changed[i]))
    return changes, outputs


def _leaves_held(part: Parts, leaves: list[Any]) -> list[list[int]]:
    """Return the numbers of the leaves in each list, tuple and dict, -1 for an array that is an
    argument itself.
    """
    known = part.numbers(leaves)
    return [
        [known.get(id(x), -1) for x in arrays_in(container)] for container, _, _ in part.members
    ]


def _difference(*parts: tuple[Parts, Parts]) -> str:
    """Return in words what a step has changed beside arrays, nothing if there is no such thing."""
    for before, after in parts:
        if before.outline != after.outline:
            pairs = zip(before.outline, after.outline, strict=False)
            same = next(
                (i for i, (x, y) in enumerate(pairs) if x is not y and x != y),
                len(before.outline),
            )
            name = next(
                (x for x in before.outline[:same][::-1] if isinstance(x, str)),
                "its arguments",
            )
            return f"something at or near {name!r}"
        for x, y in zip(before.fixed, after.fixed, strict=True):
            if x is not y:
                return f"a {type(x).__name__} becomes another one"
    return ""


def _check_result(result: Any) -> None:
    """Look for traced arrays where a replay would not put others."""
    holders = [x for x in tree.settings(result) if not isinstance(x, type)]
    # With code that reads attributes of any name.
    reached = Reach(*holders, attrgetter("")).objects
    if any(type(x) is Traced and x.trace is not None for _, x in reached):
        raise CompilationError(
            f"the step returns arrays in something that is no tree, in a {type(result).__name__}: "
            "return arrays, or tuples, lists, dicts and modules of them"
        )


def _parameters(step: Callable[..., Any]) -> list[str]:
    """Return the names of a function's positional parameters."""
    signature = signature_of(step)
    parameters = signature.parameters.values() if signature else ()
    return [x.name for x in parameters if x.kind in (x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD)]


def _names(paths: list[str]) -> list[str]:
    """Return names for the leaves, after the ways to them."""
    known: dict[str, Any] = {}
    # An attribute may be called by any word.
    clean = [re.sub(r"\W+", "_", path).strip("_") or "x" for path in paths]
    # What else stands in the code: Python's words, results and numbers.
    taken = [keyword.iskeyword(path) or re.fullmatch(r"\d.*|[vn]\d+|slice", path) for path in clean]
    return [
        free_name(known, "_" * bool(t) + path, object())
        for path, t in zip(clean, taken, strict=True)
    ]
