"""Schedules: the learning rate as a function of the step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from anynet.array import number
from anynet.errors import ArgumentError

__all__ = [
    "Cosine",
    "OneCycle",
    "WarmupCosine",
]

#: Returns the learning rate, 0 or more, of a step. Steps count from 0.
Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Cosine:
    """A schedule that falls from the learning rate to 0 along a cosine, and stays at 0.

    rate(step) = ½ · learning_rate · (1 + cos(π · step / steps)).

    Args:
        learning_rate: a finite number above 0.
        steps: 1 or more.

    Raises:
        ArgumentError: an argument is out of range.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017,
    equation 5.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Cosine(0.2, steps=10)
    >>> [round(rate(step), 3) for step in (0, 5, 10, 20)]
    [0.2, 0.1, 0.0, 0.0]

    """

    learning_rate: float
    steps: int

    def __post_init__(self) -> None:
        check_learning_rate(self.learning_rate)
        number("steps", self.steps)
        if self.steps < 1:
            raise ArgumentError(f"steps is {self.steps}: wanted 1 or more")

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step. Steps count from 0."""
        return _between(self.learning_rate, 0.0, step / self.steps)


@dataclass(frozen=True)
class WarmupCosine:
    """A schedule that rises to the learning rate in equal steps, then falls to 0 as `Cosine` does.

    rate(step) = learning_rate · (step + 1) / (warmup + 1) while step < warmup. The first step
    already has a rate above 0, and step ``warmup`` has the full rate.

    Args:
        learning_rate: a finite number above 0.
        steps: the length of the schedule with the warm-up.
        warmup: 0 or more, below steps.

    Raises:
        ArgumentError: an argument is out of range.

    Source: Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017, section
    2.2.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.WarmupCosine(0.3, steps=12, warmup=2)
    >>> [round(rate(step), 3) for step in (0, 1, 2, 7, 12)]
    [0.1, 0.2, 0.3, 0.15, 0.0]

    """

    learning_rate: float
    steps: int
    warmup: int

    def __post_init__(self) -> None:
        check_learning_rate(self.learning_rate)
        number("steps", self.steps)
        number("warmup", self.warmup)
        if not 0 <= self.warmup < self.steps:
            raise ArgumentError(
                f"warmup is {self.warmup} and steps is {self.steps}: wanted 0 or more, below all "
                "steps"
            )

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step. Steps count from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup + 1)
        share = (step - self.warmup) / (self.steps - self.warmup)
        return _between(self.learning_rate, 0.0, share)


@dataclass(frozen=True)
class OneCycle:
    """A schedule that rises to the learning rate, then falls to almost 0, both along cosines.

    It begins at learning_rate / start_divisor and reaches learning_rate after the fraction ``rise``
    of the steps. At the last step it is learning_rate / start_divisor / end_divisor, and it stays
    there.

    Args:
        learning_rate: the highest rate, a finite number above 0.
        steps: 2 or more.
        rise: above 1 / steps and below 1.
        start_divisor: 1 or more.
        end_divisor: 1 or more.

    Raises:
        ArgumentError: an argument is out of range.

    Source: Smith and Topin, Super-convergence: very fast training of neural networks using large
    learning rates, 2018. The defaults and the cosines are those of PyTorch's OneCycleLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.OneCycle(0.25, steps=10, rise=0.6)
    >>> [round(rate(step), 3) for step in (0, 5, 9)]
    [0.01, 0.25, 0.0]

    """

    learning_rate: float
    steps: int
    rise: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4

    def __post_init__(self) -> None:
        check_learning_rate(self.learning_rate)
        number("steps", self.steps)
        number("rise", self.rise)
        if self.steps < 2:
            raise ArgumentError(f"steps is {self.steps}: wanted 2 or more")
        if not 0 < self.rise < 1 or self.rise * self.steps <= 1:
            raise ArgumentError(
                f"rise is {self.rise}: wanted a number above {1 / self.steps:.3g} and below 1"
            )
        for name in ("start_divisor", "end_divisor"):
            value = getattr(self, name)
            number(name, value)
            if not 1 <= value < math.inf:
                raise ArgumentError(f"{name} is {value}: wanted a finite number of 1 or more")

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step. Steps count from 0."""
        start = self.learning_rate / self.start_divisor
        top, last = self.rise * self.steps - 1, self.steps - 1
        if step <= top:
            return _between(start, self.learning_rate, step / top)
        share = (step - top) / (last - top)
        return _between(self.learning_rate, start / self.end_divisor, share)


def _between(
    start: float,
    end: float,
    share: float,
) -> float:
    """Return the value of half a cosine from start, at share 0, to end, at share 1 and above."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * min(share, 1)))


def check_learning_rate(learning_rate: float) -> float:
    """Return a learning rate as Python's own number.

    Raises:
        ArgumentError: it is not a finite number above 0.

    """
    learning_rate = number("learning_rate", learning_rate)
    if not 0 < learning_rate < math.inf:
        raise ArgumentError(
            f"learning_rate is {learning_rate!r}: wanted a finite number above 0, such as 0.1"
        )
    return learning_rate
