"""Schedules: the learning rate as a function of the step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from anynet.errors import ArgumentError

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Cosine:
    """Return ½ · learning_rate · (1 + cos(π · step / steps)) at a step: from the rate down to 0, and 0 after that.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017, equation 5.

    Raises:
        ArgumentError: a learning rate that is not a finite number above 0, or fewer than 1 step.

    """

    learning_rate: float
    steps: int

    def __post_init__(self) -> None:
        check_learning_rate(self.learning_rate)
        if self.steps < 1:
            raise ArgumentError(f"steps is {self.steps}: wanted 1 or more")

    def __call__(self, step: int) -> float:
        """Return the learning rate at a step, counted from 0."""
        return 0.5 * self.learning_rate * (1 + math.cos(math.pi * min(step / self.steps, 1)))


def check_learning_rate(learning_rate: float) -> None:
    """Raise ArgumentError unless the learning rate is a finite number above 0."""
    if not 0 < learning_rate < math.inf:
        raise ArgumentError(f"learning_rate is {learning_rate!r}: wanted a finite number above 0, such as 0.1")
