"""Schedules that change by steps, powers and lines."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from anynet.arguments import describe, whole_number
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.optimizers.schedules.base import Base, power, schedule


@schedule
class Constant(Base):
    """A schedule that stays at the learning rate.

    Args:
        learning_rate: a finite number above 0.

    Raises:
        ArgumentError: the learning rate is out of range.

    Source: PyTorch's ConstantLR with a factor of 1.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Constant(0.1)
    >>> rate(0), rate(1000)
    (0.1, 0.1)

    """

    learning_rate: float

    def __post_init__(self) -> None:
        self._check_rate()

    def _rate(self, step: int) -> float:
        return self.learning_rate


@schedule
class Step(Base):
    """A schedule that multiplies the learning rate by gamma every ``step_size`` steps.

    rate(step) = learning_rate · gamma^⌊step / step_size⌋. It has no end.

    Args:
        learning_rate: a finite number above 0.
        step_size: 1 or more.
        gamma: a finite number above 0.

    Raises:
        ArgumentError: an argument is out of range.

    Source: PyTorch's StepLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Step(0.2, step_size=10, gamma=0.5)
    >>> [rate(step) for step in (0, 9, 10, 20)]
    [0.2, 0.2, 0.1, 0.05]

    """

    learning_rate: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._check_rate()
        self._check_count("step_size")
        self._check_positive("gamma")

    def _rate(self, step: int) -> float:
        return self.learning_rate * power(self.gamma, step // self.step_size)


@schedule
class MultiStep(Base):
    """A schedule that multiplies the learning rate by gamma at each milestone.

    rate(step) = learning_rate · gamma^(number of milestones ≤ step). It has no end.

    Args:
        learning_rate: a finite number above 0.
        milestones: steps in increasing order. One that occurs twice counts twice.
        gamma: a finite number above 0.

    Raises:
        ArgumentError: an argument is out of range, or the milestones are not in order.

    Source: PyTorch's MultiStepLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.MultiStep(0.2, milestones=(10, 15), gamma=0.5)
    >>> [rate(step) for step in (0, 10, 14, 15)]
    [0.2, 0.1, 0.1, 0.05]

    """

    learning_rate: float
    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._check_rate()
        self._set("milestones", steps_in_order("milestones", self.milestones))
        self._check_positive("gamma")

    def _rate(self, step: int) -> float:
        return self.learning_rate * power(self.gamma, bisect_right(self.milestones, step))


@schedule
class Exponential(Base):
    """A schedule that multiplies the learning rate by gamma at each step.

    rate(step) = learning_rate · gamma^step. It has no end.

    Args:
        learning_rate: a finite number above 0.
        gamma: a finite number above 0. Above 1 the rate rises, as in a search for a good rate.

    Raises:
        ArgumentError: an argument is out of range.

    Source: PyTorch's ExponentialLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Exponential(0.2, gamma=0.5)
    >>> [rate(step) for step in (0, 1, 2)]
    [0.2, 0.1, 0.05]

    """

    learning_rate: float
    gamma: float

    def __post_init__(self) -> None:
        self._check_rate()
        self._check_positive("gamma")

    def _rate(self, step: int) -> float:
        return self.learning_rate * power(self.gamma, step)


@schedule
class Polynomial(Base):
    """A schedule that falls from the learning rate to the lowest one along a power of the rest.

    rate(step) = min_lr + (learning_rate - min_lr) · (1 - step / steps)^power. It ends with step
    ``steps``.

    Args:
        learning_rate: a finite number above 0.
        steps: 1 or more.
        power: a finite number above 0. With 1 the rate falls in equal steps.
        min_lr: 0 or more, at most the learning rate.

    Raises:
        ArgumentError: an argument is out of range, or a step past the end is wanted.

    Source: PyTorch's PolynomialLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Polynomial(0.2, steps=10, power=2.0)
    >>> [round(rate(step), 3) for step in (0, 5, 10)]
    [0.2, 0.05, 0.0]

    """

    learning_rate: float
    steps: int
    power: float = 1.0
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        self._check_rate()
        self._check_count("steps")
        self._check_positive("power")
        check_lowest(self)

    @property
    def _last(self) -> float:
        return self.steps

    def _rate(self, step: int) -> float:
        remaining = power(1 - step / self.steps, self.power)
        return self.min_lr + (self.learning_rate - self.min_lr) * remaining


@schedule
class Linear(Base):
    """A schedule that changes in equal steps from one share of the learning rate to another.

    rate(step) = learning_rate · (start_factor + (end_factor - start_factor) · step / steps) until
    step ``steps``. After that it stays at the end factor. One that falls to 0 ends there.

    Args:
        learning_rate: a finite number above 0.
        steps: 1 or more.
        start_factor: 0 or more.
        end_factor: 0 or more.

    Raises:
        ArgumentError: an argument is out of range, or a step past the end is wanted.

    Source: PyTorch's LinearLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Linear(0.2, steps=10, start_factor=0.5)
    >>> [round(rate(step), 3) for step in (0, 5, 10, 20)]
    [0.1, 0.15, 0.2, 0.2]

    """

    learning_rate: float
    steps: int
    start_factor: float = 1 / 3
    end_factor: float = 1.0

    def __post_init__(self) -> None:
        self._check_rate()
        self._check_count("steps")
        self._check_not_negative("start_factor", "end_factor")

    @property
    def _last(self) -> float:
        return math.inf if self.end_factor else self.steps

    def _rate(self, step: int) -> float:
        share = min(step / self.steps, 1.0)
        factor = self.start_factor + (self.end_factor - self.start_factor) * share
        return self.learning_rate * factor


def check_lowest(rates: Base) -> None:
    """Check ``min_lr`` of a schedule that falls to it.

    Raises:
        ArgumentError: it is below 0, or above the learning rate.

    """
    rates._check_not_negative("min_lr")
    highest, lowest = vars(rates)["learning_rate"], vars(rates)["min_lr"]
    if lowest > highest:
        raise ArgumentError(
            f"min_lr is {lowest} and learning_rate is {highest}: wanted a lowest rate that is not "
            "above the learning rate"
        )


def steps_in_order(name: str, steps: Sequence[int], least: int = 0) -> tuple[int, ...]:
    """Return steps as a tuple of Python's own ints.

    Raises:
        ArgumentError: they are not in increasing order, or one is out of range.
        ArgumentTypeError: they are no sequence.

    """
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise ArgumentTypeError(
            f"{name} is {describe(steps)}: wanted a tuple of steps, such as (100, 200)"
        )
    values = tuple([whole_number(f"one of {name}", step, least) for step in steps])
    if list(values) != sorted(values):
        raise ArgumentError(f"{name} is {values}: wanted steps in increasing order")
    return values
