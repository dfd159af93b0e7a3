"""The base of schedules, and the checks of their settings."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar, dataclass_transform

from anynet.arguments import whole_number
from anynet.array import number
from anynet.errors import ArgumentError, ArgumentTypeError, AttributeNameError
from anynet.optimizers.checks import not_negative, positive
from anynet.spelling import check_arguments

#: Returns the learning rate, 0 or more, of a step. Steps count from 0.
Schedule = Callable[[int], float]

T = TypeVar("T", bound=type)


@dataclass_transform(frozen_default=True)
def schedule(kind: T) -> T:
    """Return the class as a frozen dataclass whose errors of assignment are typed."""
    frozen: Any = dataclass(frozen=True)(kind)
    frozen.__setattr__ = frozen.__delattr__ = _cannot_assign
    return frozen  # type: ignore[no-any-return]


def _cannot_assign(
    self: object,
    name: str,
    value: object = None,
) -> None:
    kind = type(self).__name__
    raise AttributeNameError(
        f"{kind}.{name} was assigned, and a schedule does not change: assign a new one, as in "
        f"optimizer.learning_rate = {kind}(...)"
    )


class Base:
    """A schedule with a check of the step. A subclass defines `_rate`."""

    def __new__(cls, *args: Any, **named: Any) -> Self:
        """Create a schedule and check the names of the arguments. Copies have none."""
        if args or named:
            check_arguments(cls, args, named)
        return super().__new__(cls)

    @property
    def _last(self) -> float:
        """The last step that has a rate."""
        return math.inf

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step. Steps count from 0.

        Raises:
            ArgumentError: the step is below 0, or past the end of the schedule.

        """
        if not 0 <= step <= self._last:
            raise self._no_rate(step)
        return self._rate(step)

    def _rate(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} defines no _rate()")

    def _no_rate(self, step: int) -> ArgumentError:
        if not step >= 0:
            return ArgumentError(f"the rate of step {step} was wanted: steps count from 0")
        return ArgumentError(
            f"{self!r} ends with step {self._last}, and the rate of step {step} was wanted: give "
            "it more steps, or continue it with another schedule, as in Joined((this, "
            f"Constant(0.001)), ({int(self._last) + 1},))"
        )

    def _set(self, name: str, value: object) -> None:
        """Set a field, while the schedule is created."""
        object.__setattr__(self, name, value)

    def _check_rate(self, name: str = "learning_rate") -> None:
        self._set(name, check_learning_rate(getattr(self, name), name))

    def _check_count(self, name: str, least: int = 1) -> None:
        self._set(name, whole_number(name, getattr(self, name), least))

    def _check_positive(self, *names: str) -> None:
        for name in names:
            self._set(name, positive(name, getattr(self, name)))

    def _check_not_negative(self, *names: str) -> None:
        for name in names:
            self._set(name, not_negative(name, getattr(self, name)))


def check_learning_rate(learning_rate: float, name: str = "learning_rate") -> float:
    """Return a learning rate as Python's own number.

    Raises:
        ArgumentError: it is not a finite number above 0.

    """
    learning_rate = number(name, learning_rate)
    if not 0 < learning_rate < math.inf:
        raise ArgumentError(
            f"{name} is {learning_rate!r}: wanted a finite number above 0, such as 0.1"
        )
    return learning_rate


def check_schedule(name: str, value: Any) -> Any:
    """Return a schedule, or a learning rate as Python's own number.

    Raises:
        ArgumentError: a number that is not finite or not above 0.
        ArgumentTypeError: another value, such as a class.

    """
    if isinstance(value, type):
        raise ArgumentTypeError(
            f"{name} is the class {value.__name__}: wanted a schedule, such as Cosine(0.1, 1000)"
        )
    return value if callable(value) else check_learning_rate(value, name)


def rate_of(value: float | Schedule, step: int) -> float:
    """Return the rate that a schedule, or a number, gives for a step."""
    return value(step) if callable(value) else value


def power(base: float, exponent: float) -> float:
    """Return base ** exponent, infinity where Python raises."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf
