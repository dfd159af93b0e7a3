"""Scalars that differ from step to step, such as a learning rate that follows a schedule.

A compiled step replays library calls and runs no Python code in between. Scalars from
`dynamic_scalars` are the exception: each replay computes them again, from the current contents of
`DynamicValue` objects. Where the control flow depends on such a value, each branch has a program.
All other settings are constants, and a step is recorded again when one of them changes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from anynet.array import Array
from anynet.tracing.trace import Traced, next_level


class Undecided(NamedTuple):
    """The value after a step that a device may have skipped."""

    before: Any
    after: Any
    #: Whether the step was made, an array of no axes.
    made: Array

    def decide(self) -> Any:
        """Return the value, which waits for the device."""
        return self.after if bool(self.made) else self.before


class DynamicValue:
    """A value that compiled steps read again at each call, in place of recording again.

    Args:
        value: any Python value.
        name: for messages, such as "the learning rate".

    >>> from anynet.compiler import DynamicValue
    >>> count = DynamicValue(0, "the count")
    >>> count.value += 1
    >>> count.value
    1

    """

    __slots__ = ("_current", "accesses", "level", "name")

    def __init__(self, value: Any, name: str = "a dynamic value") -> None:
        self._current = value
        self.name = name
        #: Greater than that of a recorder if a step creates the value while it is recorded.
        self.level = next_level()
        #: How often code read or assigned ``value``. A step that does so while it is recorded
        #: would differ at the next call, and its program is not used again.
        self.accesses = 0

    @property
    def value(self) -> Any:
        """The current value."""
        self.accesses += 1
        return self.peek()

    @value.setter
    def value(self, value: Any) -> None:
        self.accesses += 1
        self._current = value

    def peek(self) -> Any:
        """Return the current value without counting the access."""
        if type(self._current) is Undecided:
            self._current = self._current.decide()
        return self._current

    def commit(self, value: Any) -> None:
        """Set the value without counting the access."""
        self._current = value

    def branch(self, function: Callable[[Any], Any], *, like: Array | None) -> Any:
        """Return function(value), which may decide the control flow of a step.

        A compiled step keeps a program for each course of such results, and replays the one that
        the current values lead to.

        Args:
            function: called with the value, returns any value that can be compared. It has no side
                effects.
            like: an array that the step computes with, such as a parameter.

        Raises:
            CompilationError: a compiled step does not reach the value before it runs.

        >>> import numpy as np
        >>> from anynet.compiler import DynamicValue, compile
        >>> calls = DynamicValue(0, "the number of calls")
        >>> @compile
        ... def every_third(x, calls):
        ...     out = -x if calls.branch(lambda calls: calls % 3 == 2, like=x) else x
        ...     calls.advance(lambda calls: calls + 1, like=x)
        ...     return out
        >>> [float(every_third(np.ones(1), calls)[0]) for _ in range(6)]
        [1.0, 1.0, -1.0, 1.0, 1.0, -1.0]
        >>> len(every_third.programs)
        2

        """
        recorder = _recorder(like, (self,)) if type(like) is Traced else None
        if recorder is None:
            return function(self.value)
        return recorder.branch(self, function)

    def advance(self, function: Callable[[Any], Any], *, like: Array | None) -> None:
        """Replace the value by function(value). A compiled step does so after each replay that
        succeeds.

        Args:
            function: called with the value, returns the next one.
            like: an array that the step computes with, such as a parameter.

        """
        recorder = _recorder(like, (self,)) if type(like) is Traced else None
        if recorder is None:
            self.accesses += 1
            self._current = function(self.peek())
        else:
            recorder.advance(self, function)

    def __reduce__(self) -> Any:
        """Copy or pickle the value, which counts as an access."""
        return DynamicValue, (self.value, self.name)

    def __repr__(self) -> str:
        return f"DynamicValue({self.value!r}, {self.name!r})"


def dynamic_scalars(
    compute: Callable[..., Sequence[float]],
    *values: DynamicValue,
    like: Array,
) -> Sequence[Any]:
    """Return compute(*contents of the values), which a compiled step calls again at each call.

    Args:
        compute: called with the content of each value, returns scalars. It has no side
            effects: a compiled step calls it before it makes any other call.
        values: the dynamic values that the scalars depend on.
        like: an array that the step computes with, such as a parameter. It leads to the recorder.

    Raises:
        CompilationError: a compiled step does not reach one of the values before it runs.

    >>> import numpy as np
    >>> from anynet.compiler import DynamicValue, compile, dynamic_scalars
    >>> @compile
    ... def scaled(x, scale):
    ...     (value,) = dynamic_scalars(lambda scale: (scale,), scale, like=x)
    ...     return value * x
    >>> x, scale = np.ones(2), DynamicValue(2.0)
    >>> scaled(x, scale)
    array([2., 2.])
    >>> scale.value = 3.0
    >>> scaled(x, scale)
    array([3., 3.])

    """
    recorder = _recorder(like, values) if type(like) is Traced else None
    if recorder is None:
        return compute(*[x.value for x in values])
    return recorder.dynamic_scalars(compute, values)  # type: ignore[no-any-return]


def recorder_of(x: Any) -> Any:
    """Return the trace that records x for a compiled step, None where there is none."""
    return _recorder(x, ())


def _recorder(x: Any, values: tuple[DynamicValue, ...]) -> Any:
    """Return the trace that records x and the values, None where there is none."""
    while type(x) is Traced:
        records = getattr(x.trace, "records", None)
        if records is not None and records(values):
            return x.trace
        x = x.value
    return None
