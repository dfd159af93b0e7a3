"""The prologue of a program: the scalars that each replay computes in Python, before its calls."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from anynet.kernel import Function
from anynet.tracing.dynamic_scalars import DynamicValue

#: The contents of dynamic values, which a prologue changes; they are committed after the calls.
Contents = dict[DynamicValue, Any]


class _Entry(NamedTuple):
    function: Function
    arguments: tuple[DynamicValue, ...]
    #: The value that the result replaces; None where the results are scalars.
    target: DynamicValue | None


class Prologue:
    """Functions of dynamic values, in the order in which the step called them."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def scalars(
        self, compute: Callable[..., Sequence[float]], values: tuple[DynamicValue, ...]
    ) -> Sequence[float]:
        """Add a function that computes scalars, and return those of now."""
        self._entries.append(_Entry(compute, values, None))
        return compute(*[x.peek() for x in values])

    def advance(self, value: DynamicValue, function: Callable[[Any], Any]) -> None:
        """Add a function that replaces a value, and replace it now."""
        self._entries.append(_Entry(function, (value,), value))
        value.commit(function(value.peek()))

    def contents(self) -> Contents:
        """Return the current contents of the values that the functions take."""
        return {x: x.peek() for entry in self._entries for x in entry.arguments}

    def run(self, contents: Contents) -> list[float]:
        """Return the scalars of one step. Change the contents, and no dynamic value."""
        scalars: list[float] = []
        for function, arguments, target in self._entries:
            result = function(*[contents[x] for x in arguments])
            if target is None:
                scalars += result
            else:
                contents[target] = result
        return scalars

    def commit(self, contents: Contents) -> None:
        """Put the changed contents into the dynamic values that the steps advance."""
        for _, _, target in self._entries:
            if target is not None:
                target.commit(contents[target])
