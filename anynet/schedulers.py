"""Schedules: the learning rate as a function of the step."""

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def cosine(learning_rate: float, steps: int) -> Schedule:
    """Return step ↦ ½ · learning_rate · (1 + cos(π · step / steps)): from the rate down to 0, and 0 after that.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017, equation 5.

    Raises:
        ValueError: a learning rate that is not a finite number above 0, or fewer than 1 step.

    """
    check_learning_rate(learning_rate)
    if steps < 1:
        raise ValueError(f"steps is {steps}: wanted 1 or more")
    return lambda step: 0.5 * learning_rate * (1 + math.cos(math.pi * min(step / steps, 1)))


def check_learning_rate(learning_rate: float) -> None:
    """Raise ValueError unless the learning rate is a finite number above 0."""
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate!r}: wanted a finite number above 0, such as 0.1")
