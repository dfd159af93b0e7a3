"""Recording: one call of a step, with variables in place of its arrays, becomes a program."""

from itertools import count, zip_longest
from operator import attrgetter
from typing import Any

from anynet import tree
from anynet.array import Array
from anynet.callables import name_of, signature_of
from anynet.compiler.device_graph import Carry
from anynet.compiler.flatten import (
    Arguments,
    Flattened,
    Outside,
    arrays_in,
    map_arrays,
    plain_value,
    structure_of,
)
from anynet.compiler.program import Changes, Program
from anynet.compiler.recorder import Recorder
from anynet.compiler.source import Slot, input_names
from anynet.errors import CompilationError
from anynet.interrupt import DeferredInterrupt
from anynet.kernel import Function
from anynet.reach import LIMIT, Reach
from anynet.tracing.errors import call
from anynet.tracing.trace import Traced


def record(
    step: Function,
    args: list[Any],
    named: dict[str, Any],
    arguments: Arguments,
    outside: Outside,
) -> tuple[Any, Program | str | None]:
    """Call the step. Return its result and its program, or the reason why no other call could use
    a program. None means that this call left an update out.
    """
    if not outside.complete:
        raise CompilationError(
            f"the step reaches more than {LIMIT} values: give it what it needs as arguments"
        )
    outer = outside.read()
    structure = structure_of(arguments, outside)
    recorder = Recorder(next(iter((*arguments.leaves, *outer)), None))
    parts = [_Part(outside, outer, recorder), _Part(arguments, arguments.leaves, recorder)]
    accesses = {x: x.accesses for part in parts for x in part.before.dynamic}
    variables = _Variables(parts)
    try:
        with DeferredInterrupt() as interrupt:
            try:
                variables.begin()
                interrupt.deliver()
                interrupt.deferring = False
                result = call(step, args, named)
                outputs = [recorder.slot(x) for _, x in tree.leaves(result)]
                indices = count()
                template = tree.map(lambda _: Traced(None, None, next(indices)), result)
            finally:
                # No variable is left in a network.
                interrupt.deferring = True
                after = Arguments(args, named)
                around = Outside(step, *after.objects)
                parts[0].set_after(around, around.read())
                parts[1].set_after(after, after.leaves)
                variables.end()
        if variables.keeps_view:
            raise CompilationError(
                "the step keeps a view of an array that it writes into; a compiled step has no "
                "such views: keep a copy, such as x + 0"
            )
        result = tree.map(plain_value, result)
        _check_result(result)
        if not recorder.is_complete:
            return result, None
        accessed = next((x.name for x, before in accesses.items() if x.accesses != before), "")
        difference = accessed or parts[0].difference() or parts[1].difference()
        if difference:
            return result, difference
        changes, changed = variables.changes(recorder, arguments.direct())
        shift = len(changed)
        program = Program(
            structure,
            recorder,
            [*outside.dynamic, *arguments.dynamic],
            input_names([name for _, name in outside.reads] + arguments.names(_parameters(step))),
            [*changed, *outputs, *recorder.flags],
            changes,
            tree.map(lambda x: Traced(None, None, shift + x.node), template),
            name_of(step),
        )
        leaves = [*outer, *arguments.leaves]
        if program.shares_memory([leaves[i] for i in program.used]):
            raise CompilationError(
                "the step writes into an array that shares memory with another one that it uses, "
                "as a view does, and saw them as two: reach one of them by the other inside the "
                "step, or give it a copy"
            )
        return result, program
    finally:
        recorder.close()


class _Part:
    """The arguments of a call, or all that it reaches outside of them, before and after it."""

    def __init__(
        self,
        before: Flattened,
        originals: list[Array],
        recorder: Recorder,
    ) -> None:
        self.before = before
        self.originals = originals
        self.recorder = recorder
        self.variables: list[Traced] = []
        self.slots: list[Slot] = []

    def set_after(self, after: Flattened, leaves: list[Any]) -> None:
        """Store the values after the call, while variables are in place of arrays."""
        self.after = after
        self.leaves = leaves
        #: The indices of the leaves in each container, -1 for an argument that is an array.
        self.contents: list[list[int]] = []
        numbers = after.numbers(leaves)
        for _, _, container in after.places:
            self.contents.append([numbers.get(id(x), -1) for x in arrays_in(container)])

    def difference(self) -> str:
        """Return a change by the step other than of arrays, in words, "" if there is none."""
        before, after, name = self.before, self.after, "its arguments"
        # No value equals the fill value.
        for x, y in zip_longest(before.structure, after.structure, fillvalue=object()):
            if x is not y and x != y:
                return f"something at or near {name!r}"
            if isinstance(x, str):
                name = x
        for x, y in zip(before.fixed, after.fixed, strict=True):
            if x is not y:
                return f"a {type(x).__name__} becomes another one"
        return ""


class _Variables:
    """The variables that stand in place of arrays while a step is recorded."""

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = parts
        # Tuples with variables in them, by identity, and the tuples that they replace.
        self._tuples: dict[int, tuple[Any, Any]] = {}
        #: Variables that the step writes into, by identity, and their arrays.
        self._written: dict[int, Array] = {}
        #: Whether the step keeps a view of one of these, which does not share memory any more.
        self.keeps_view = False

    def begin(self) -> None:
        """Put variables in the place of arrays."""
        for part in self._parts:
            variables = [*map(part.recorder.variable, part.originals)]
            for holder, name, i in _places(part.before, int):
                x = holder[name]
                if type(x) is Traced:
                    # The place is in an argument and outside.
                    variables[i] = x
                else:
                    holder[name] = variables[i]
            numbers = part.before.numbers(part.originals)
            known = {x: variables[i] for x, i in numbers.items()}
            for holder, name, x in _places(part.before, tuple):
                new = map_arrays(
                    lambda y, known=known: known.get(id(y), y),  # type: ignore[misc]
                    x,
                    only_tuples=True,
                )
                if new is not x:
                    self._tuples[id(new)] = new, x
                    holder[name] = new
            part.variables = variables
            part.slots = [Slot(x.node) for x in variables]
            part.recorder.dynamic.update(part.before.dynamic)

    def end(self) -> None:
        """Put arrays in the place of variables: the original one where the step wrote into it."""
        failure = None
        for part in self._parts:
            for x, slot, original in zip(part.variables, part.slots, part.originals, strict=False):
                if x.node != slot.number and id(x) not in self._written:
                    try:
                        original[...] = plain_value(x)
                        self._written[id(x)] = original
                    except TypeError:
                        # The library's arrays cannot be written into. Another one replaces it.
                        continue
                    except Exception as error:
                        failure = error
        for part in self._parts:
            for holder, name, _ in _places(part.after, int):
                x = holder[name]
                if type(x) is Traced:
                    holder[name] = self._plain(x)
            for holder, name, x in _places(part.after, tuple):
                original = self._original(x)
                new = original
                if original is x:
                    new = map_arrays(self._plain, x, only_tuples=True)
                if new is not x:
                    holder[name] = new
        if failure is not None:
            raise failure

    def _plain(self, x: Any) -> Any:
        """Return the array that a variable stands for, the original one if it was written into."""
        if id(x) in self._written:
            return self._written[id(x)]
        if id(_owner(x)) in self._written:
            self.keeps_view = True
        return plain_value(x)

    def _original(self, x: Any) -> Any:
        return self._tuples.get(id(x), (None, x))[1]

    def changes(self, recorder: Recorder, direct: list[int]) -> tuple[Changes, list[Any]]:
        """Return the places that the step wrote to, and the slots that belong there.

        Args:
            recorder: has recorded the step.
            direct: the indices of arguments that are arrays.

        """
        changes, outputs = Changes(), list[Any]()
        arguments = self._parts[1].variables
        own = {id(arguments[i]) for i in direct}
        first = 0
        for part in self._parts:
            is_outside = part is self._parts[0]
            changed: dict[int, int] = {}
            for i, (x, variable, slot) in enumerate(
                zip(part.leaves, part.variables, part.slots, strict=True)
            ):
                leaf = first + i
                if x is not variable:
                    self._check_kept(x, variable, own)
                if id(variable) in self._written:
                    carry = Carry(leaf, len(outputs))
                    changes.written.append(carry)
                    changes.carry.append(carry)
                    outputs.append(recorder.slot(variable))
                    if x is variable:
                        continue
                new = recorder.slot(x)
                if type(new) is not Slot or new != slot:
                    changed[i] = len(outputs)
                    changes.carry.append(Carry(leaf, len(outputs)))
                    outputs.append(new)
            first += len(part.leaves)
            replaced = set[int]()
            places = zip(part.after.places, part.before.places, part.contents, strict=True)
            for k, ((holder, _, x), (_, _, before), contents) in enumerate(places):
                if id(holder) in replaced:
                    replaced.add(id(x))
                elif _is_fixed(holder):
                    continue
                elif type(x) is int:
                    if x in changed:
                        changes.places.append((is_outside, k, changed[x]))
                elif self._original(x) is not before or (
                    isinstance(x, tuple) and not changed.keys().isdisjoint(contents)
                ):
                    replaced.add(id(x))
                    changes.places.append((is_outside, k, [changed.get(i) for i in contents]))
        return changes, outputs

    def _check_kept(
        self,
        x: Any,
        variable: Traced,
        arguments: set[int],
    ) -> None:
        owner = id(_owner(x))
        if owner in arguments and not self._written.keys().isdisjoint((owner, id(variable))):
            raise CompilationError(
                "the step keeps an array that it is given, and writes into what it keeps; a "
                "compiled step keeps another array with the same values: keep a copy, such as "
                "x + 0"
            )


def _owner(x: object) -> Any:
    """Return the traced array that this one is a view of, or itself."""
    return x.alias.root().handle() if type(x) is Traced and x.alias is not None else x


def _is_fixed(holder: object) -> bool:
    """Return whether the places in a holder cannot be written."""
    return holder is None or isinstance(holder, tuple)


def _places(part: Flattened, kind: type) -> list[tuple[Any, Any, Any]]:
    """Return the places that can be written and whose value is of a type."""
    return [x for x in part.places if isinstance(x[2], kind) and not _is_fixed(x[0])]


def _check_result(result: object) -> None:
    """Look for traced arrays where a replay would not put others."""
    holders = [x for x in tree.settings(result) if not isinstance(x, type)]
    # With code that reads attributes of any name.
    reached = Reach(*holders, attrgetter("")).objects
    if any(type(x) is Traced and x.trace is not None for x in reached):
        raise CompilationError(
            f"the step returns arrays in something that is no tree, in a {type(result).__name__}: "
            "return arrays, or tuples, lists, dicts and modules of them"
        )


def _parameters(step: Function) -> list[str]:
    """Return the names of a function's positional parameters."""
    signature = signature_of(step)
    parameters = signature.parameters.values() if signature else ()
    return [x.name for x in parameters if x.kind in (x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD)]
