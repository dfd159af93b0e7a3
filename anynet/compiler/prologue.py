"""The prologue of a program: the scalars that each replay computes in Python, before its calls."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from anynet.kernel import Function
from anynet.tracing.dynamic_scalars import DynamicValue

#: The contents of the dynamic values of a prologue, which it changes; they are committed after the
#: calls.
Contents = list[Any]


class _Entry(NamedTuple):
    function: Function
    #: The indices of the values that the function takes.
    arguments: list[int]
    #: The index of the value that the result replaces; None where the results are scalars.
    target: int | None


class Prologue:
    """Functions of dynamic values, in the order in which the step called them."""

    def __init__(self) -> None:
        #: The values that the functions take, of the call that is recorded.
        self.values: list[DynamicValue] = []
        self._entries: list[_Entry] = []
        #: The indices of the values that the steps advance.
        self._advanced: list[int] = []

    def _index(self, value: DynamicValue) -> int:
        if value not in self.values:
            self.values.append(value)
        return self.values.index(value)

    def scalars(
        self, compute: Callable[..., Sequence[float]], values: tuple[DynamicValue, ...]
    ) -> Sequence[float]:
        """Add a function that computes scalars, and return those of now."""
        self._entries.append(_Entry(compute, [self._index(x) for x in values], None))
        return compute(*[x.peek() for x in values])

    def advance(self, value: DynamicValue, function: Callable[[Any], Any]) -> None:
        """Add a function that replaces a value, and replace it now."""
        index = self._index(value)
        self._entries.append(_Entry(function, [index], index))
        if index not in self._advanced:
            self._advanced.append(index)
        value.commit(function(value.peek()))

    def run(self, contents: Contents) -> list[float]:
        """Return the scalars of one step. Change the contents, and no dynamic value."""
        scalars: list[float] = []
        for function, arguments, target in self._entries:
            result = function(*[contents[i] for i in arguments])
            if target is None:
                scalars += result
            else:
                contents[target] = result
        return scalars

    def commit(self, values: list[DynamicValue], contents: Contents) -> None:
        """Put the changed contents into those of a call's values that the steps advance."""
        for i in self._advanced:
            values[i].commit(contents[i])
