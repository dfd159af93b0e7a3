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

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Cosine:
    """Return ½ · learning_rate · (1 + cos(π · step / steps)) at a step: from the rate down to 0,
    and 0 after that.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017,
    equation 5.

    Raises:
        ArgumentError: a learning rate that is not a finite number above 0, or fewer than 1 step.

    """

    learning_rate: float
    steps: int

    def __post_init__(self) -> None:
        check_learning_rate(self.learning_rate)
        number("steps", self.steps)
        if self.steps < 1:
            raise ArgumentError(f"steps is {self.steps}: wanted 1 or more")

    def __call__(self, step: int) -> float:
        """Return the learning rate at a step, counted from 0."""
        return 0.5 * self.learning_rate * (1 + math.cos(math.pi * min(step / self.steps, 1)))


@dataclass(frozen=True)
class WarmupCosine:
    """Return a learning rate that rises in even steps to its height during the warm-up, then falls
    as `Cosine` to 0.

    It is learning_rate · (step + 1) / (warmup + 1) at the steps of the warm-up, so that the first
    one is not for nothing, and the full rate at the step after; of all steps the warm-up takes the
    first ones. Source: Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour,
    2017, section 2.2.

    Raises:
        ArgumentError: a learning rate that is not a finite number above 0, a negative warm-up, or
            no step after it.

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
        """Return the learning rate at a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup + 1)
        return _between(
            self.learning_rate,
            0.0,
            (step - self.warmup) / (self.steps - self.warmup),
        )


@dataclass(frozen=True)
class OneCycle:
    """Return a learning rate that rises from a part of its height to it, then falls to almost
    nothing, along cosines.

    It begins at learning_rate / start_divisor, is at its height after the share ``rise`` of the
    steps, and ends, at the last step, at the start's part learning_rate / start_divisor /
    end_divisor, where it stays. Source: Smith and Topin, Super-convergence: very fast training of
    neural networks using large learning rates, 2018; defaults and cosines are those of PyTorch's
    OneCycleLR.

    Raises:
        ArgumentError: a learning rate that is not a finite number above 0, fewer than 2 steps, a
            rise that is not between 0 and 1, or too short for one step, or a divisor below 1.

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
        """Return the learning rate at a step, counted from 0."""
        start = self.learning_rate / self.start_divisor
        top, last = self.rise * self.steps - 1, self.steps - 1
        if step <= top:
            return _between(start, self.learning_rate, step / top)
        return _between(
            self.learning_rate,
            start / self.end_divisor,
            (step - top) / (last - top),
        )


def _between(start: float, end: float, share: float) -> float:
    """Return a number on half a wave of the cosine from start, at 0, to end, at 1 and after."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * min(share, 1)))


def check_learning_rate(learning_rate: float) -> float:
    """Return a learning rate, unless it is no finite number above 0, as Python's own number.

    Raises:
        ArgumentError: it is something else.

    """
    learning_rate = number("learning_rate", learning_rate)
    if not 0 < learning_rate < math.inf:
        raise ArgumentError(
            f"learning_rate is {learning_rate!r}: wanted a finite number above 0, such as 0.1"
        )
    return learning_rate
