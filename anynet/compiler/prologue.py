"""The prologue of a program: the scalars that each replay computes in Python, before its calls."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from anynet.array import Array
from anynet.errors import CompilationError
from anynet.kernel import Function
from anynet.tracing.dynamic_scalars import DynamicValue, Undecided

#: The contents of the dynamic values of a prologue, which it changes; they are committed after the
#: calls.
Contents = list[Any]


class _Entry(NamedTuple):
    function: Function
    #: The indices of the values that the function takes.
    arguments: list[int]
    #: The index of the value that the result replaces; None where the results are scalars.
    target: int | None = None
    #: The result for which the program is good, in a tuple; None where any is.
    wanted: tuple[Any] | None = None


class Prologue:
    """Functions of dynamic values, in the order in which the step called them."""

    def __init__(self) -> None:
        #: The values that the functions take, of the call that is recorded.
        self.values: list[DynamicValue] = []
        self._entries: list[_Entry] = []
        #: The indices of the values that the steps advance.
        self._advanced: list[int] = []
        #: Those that advance only if a flag is true, with the index of the flag.
        self.conditions: dict[int, int] = {}
        #: Whether the program is good for some contents of the values only.
        self.has_branches = False

    def _index(self, value: DynamicValue) -> int:
        if value not in self.values:
            self.values.append(value)
        return self.values.index(value)

    def scalars(
        self, compute: Callable[..., Sequence[float]], values: tuple[DynamicValue, ...]
    ) -> Sequence[float]:
        """Add a function that computes scalars, and return those of now."""
        self._entries.append(_Entry(compute, [self._index(x) for x in values]))
        return compute(*[x.peek() for x in values])

    def branch(self, value: DynamicValue, function: Callable[[Any], Any]) -> Any:
        """Add a function whose result a replay has to repeat, and return that of now."""
        index = self._index(value)
        if index in self.conditions:
            raise _twice(value)
        result = function(value.peek())
        self._entries.append(_Entry(function, [index], wanted=(result,)))
        self.has_branches = True
        return result

    def advance(
        self,
        value: DynamicValue,
        function: Callable[[Any], Any],
        flag: int | None = None,
    ) -> None:
        """Add a function that replaces a value, and replace it now.

        Args:
            value: the value.
            function: see `DynamicValue.advance`.
            flag: the index of a flag that says whether a replay does so.

        """
        index = self._index(value)
        if index in self._advanced and (flag is not None or index in self.conditions):
            raise _twice(value)
        self._entries.append(_Entry(function, [index], index))
        if index not in self._advanced:
            self._advanced.append(index)
        if flag is not None:
            self.conditions[index] = flag
        value.commit(function(value.peek()))

    def takes_branches(self, contents: Contents) -> bool:
        """Return whether contents lead to the results that the program is good for. Change them."""
        for function, arguments, target, wanted in self._entries:
            if wanted is None and target is None:
                continue
            result = function(*[contents[i] for i in arguments])
            if wanted is None:
                contents[target] = result  # type: ignore[index]
            elif result != wanted[0]:
                return False
        return True

    def run(self, contents: Contents) -> list[float]:
        """Return the scalars of one step. Change the contents, and no dynamic value."""
        scalars: list[float] = []
        for function, arguments, target, wanted in self._entries:
            if wanted is not None:
                continue
            result = function(*[contents[i] for i in arguments])
            if target is None:
                scalars += result
            else:
                contents[target] = result
        return scalars

    def commit(
        self,
        values: list[DynamicValue],
        contents: Contents,
        flags: Sequence[Array],
    ) -> None:
        """Put the changed contents into those of a call's values that the steps advance.

        Args:
            values: of the call.
            contents: from `run`.
            flags: the values of the flags of this step.

        """
        for i in self._advanced:
            new = contents[i]
            if i in self.conditions:
                new = Undecided(values[i].peek(), new, flags[self.conditions[i]])
            values[i].commit(new)


def _twice(value: DynamicValue) -> CompilationError:
    return CompilationError(
        f"{value.name} advances twice in a compiled step that may skip updates: update "
        "once in a step, or use a loss_scale that is not dynamic"
    )
