"""Schedules along cosines."""

import math

from anynet.errors import ArgumentError
from anynet.optimizers.schedules.base import Base, schedule
from anynet.optimizers.schedules.decay import check_lowest


@schedule
class Cosine(Base):
    """A schedule that falls from the learning rate to the lowest one along half a cosine.

    rate(step) = min_lr + ½ · (learning_rate - min_lr) · (1 + cos(π · step / steps)). It ends with
    step ``steps``.

    Args:
        learning_rate: a finite number above 0.
        steps: 1 or more.
        min_lr: 0 or more, at most the learning rate.

    Raises:
        ArgumentError: an argument is out of range, or a step past the end is wanted.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017,
    equation 5; PyTorch's CosineAnnealingLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Cosine(0.2, steps=10)
    >>> [round(rate(step), 3) for step in (0, 5, 10)]
    [0.2, 0.1, 0.0]

    """

    learning_rate: float
    steps: int
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        self._check_rate()
        self._check_count("steps")
        check_lowest(self)

    @property
    def _last(self) -> float:
        return self.steps

    def _rate(self, step: int) -> float:
        return between(self.learning_rate, self.min_lr, step / self.steps)


@schedule
class CosineRestarts(Base):
    """A schedule of cosines, each of which begins at the learning rate again.

    The first one is ``steps`` steps long, and each further one ``multiplier`` times as long as the
    one before it. A cosine starts again where it would reach the lowest rate. The schedule has no
    end.

    Args:
        learning_rate: a finite number above 0.
        steps: the length of the first cosine, 1 or more.
        multiplier: a whole number of 1 or more.
        min_lr: 0 or more, at most the learning rate.

    Raises:
        ArgumentError: an argument is out of range.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017;
    PyTorch's CosineAnnealingWarmRestarts.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.CosineRestarts(0.2, steps=2, multiplier=2)
    >>> [round(rate(step), 3) for step in range(7)]
    [0.2, 0.1, 0.2, 0.171, 0.1, 0.029, 0.2]

    """

    learning_rate: float
    steps: int
    multiplier: int = 1
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        self._check_rate()
        self._check_count("steps")
        self._check_count("multiplier")
        check_lowest(self)

    def _rate(self, step: int) -> float:
        length = self.steps
        if self.multiplier == 1:
            step %= length
        while step >= length:
            step -= length
            length *= self.multiplier
        return between(self.learning_rate, self.min_lr, step / length)


@schedule
class OneCycle(Base):
    """A schedule that rises to the learning rate, then falls to almost 0.

    It begins at learning_rate / div_factor and reaches learning_rate after the fraction
    ``pct_start`` of the steps. The last step, ``steps`` - 1, has the rate learning_rate /
    div_factor / final_div_factor. With ``three_phase`` it first falls back to the rate of the start
    in as many steps as it rose in.

    Args:
        learning_rate: the highest rate, a finite number above 0.
        steps: 2 or more.
        pct_start: above 1 / steps and below 1, with three phases at most 0.5.
        anneal_strategy: "cos" or "linear".
        div_factor: 1 or more.
        final_div_factor: 1 or more.
        three_phase: fall in two phases.

    Raises:
        ArgumentError: an argument is out of range, or a step past the end is wanted.

    Source: Smith and Topin, Super-convergence: very fast training of neural networks using large
    learning rates, 2018; PyTorch's OneCycleLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.OneCycle(0.25, steps=10, pct_start=0.6)
    >>> [round(rate(step), 3) for step in (0, 5, 9)]
    [0.01, 0.25, 0.0]

    """

    learning_rate: float
    steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        self._check_rate()
        self._check_count("steps", 2)
        self._check_positive("pct_start", "div_factor", "final_div_factor")
        self._check_rise()
        if self.anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"anneal_strategy is {self.anneal_strategy!r}: wanted 'cos' or 'linear'"
            )
        for name in ("div_factor", "final_div_factor"):
            value = getattr(self, name)
            if value < 1:
                raise ArgumentError(f"{name} is {value}: wanted a finite number of 1 or more")

    def _check_rise(self) -> None:
        rise, least = self.pct_start, 1 / self.steps
        if self.three_phase and not least < rise <= 0.5:
            raise ArgumentError(
                f"pct_start is {rise}: wanted a number above {least:.3g} and at most 0.5, because "
                "the rate falls in as many steps as it rises"
            )
        if not least < rise < 1:
            raise ArgumentError(
                f"pct_start is {rise}: wanted a number above {least:.3g} and below 1"
            )

    @property
    def _last(self) -> float:
        return self.steps - 1

    def _rate(self, step: int) -> float:
        start = self.learning_rate / self.div_factor
        rise = float(self.pct_start * self.steps)
        # The last step of each phase, and the rate there.
        phases = [(rise - 1, self.learning_rate)]
        if self.three_phase:
            phases.append((2 * rise - 2, start))
        phases.append((self.steps - 1, start / self.final_div_factor))
        first, rate = 0.0, start
        for last, end in phases:
            if step <= last:
                share = (step - first) / (last - first)
                return self._anneal(rate, end, share)
            first, rate = last, end
        return rate

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return between(start, end, share)


def between(start: float, end: float, share: float) -> float:
    """Return the value of half a cosine from start, at share 0, to end, at share 1."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * share))
