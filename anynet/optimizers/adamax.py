"""Adamax: Adam with the infinity norm."""

from typing import ClassVar

from anynet.array import Array, array_namespace
from anynet.optimizers.base import Optimizer, penalized
from anynet.optimizers.checks import check_real, decay_rates, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class Adamax(Optimizer):
    """Adam that divides by the largest gradient, which fades, in place of a root of squares.

    mean ← beta1 · mean + (1 - beta1) · gradient, largest ← max(beta2 · largest, |gradient| + eps),
    parameter ← parameter - learning_rate / (1 - beta1ᵗ) · mean / largest after t updates.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        betas: the decay rates of mean and largest, 0 or more and below 1.
        eps: 0 or more.
        weight_decay: 0 or more. weight_decay · parameter is added to the gradient.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: PyTorch's Adamax; Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015,
    algorithm 2.

    >>> import numpy as np
    >>> from anynet.optimizers import Adamax
    >>> net = {"w": np.array([1.0, 2.0])}
    >>> Adamax(0.5).update(net, {"w": np.array([1.0, -100.0])})
    >>> np.round(net["w"], 6)
    array([0.5, 2.5])

    """

    SLOTS = ("mean", "largest")
    CHECKS: ClassVar = {
        "betas": decay_rates,
        "eps": not_negative,
        "weight_decay": not_negative,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, which compensates for a mean that begins as zeros."""
        return (rate / (1 - self.betas[0] ** step),)

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new slots."""
        check_real(self, parameter)
        (rate,), (mean, largest) = scalars, slots
        (beta1, beta2), xp = self.betas, array_namespace(parameter)
        gradient = penalized(gradient, parameter, self.weight_decay)
        mean = beta1 * mean + (1 - beta1) * gradient
        largest = xp.maximum(beta2 * largest, xp.abs(gradient) + self.eps)
        return parameter - rate * (mean / largest), (mean, largest)
