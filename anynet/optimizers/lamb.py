"""LAMB: Adam with a learning rate for each parameter, for large batches."""

from typing import ClassVar

from anynet.array import Array, array_namespace
from anynet.optimizers.base import Optimizer
from anynet.optimizers.checks import check_real, decay_rates, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class LAMB(Optimizer):
    """Adam whose step has a length in proportion to the norm of the parameter, for large batches.

    mean and square are those of `Adam`, divided by 1 - betaᵗ after t updates. step = mean /
    (√square + eps) + weight_decay · parameter, parameter ← parameter - learning_rate · ‖parameter‖
    / ‖step‖ · step. The ratio of norms is 1 where one of them is 0.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        betas: the decay rates of mean and square, 0 or more and below 1.
        eps: 0 or more.
        weight_decay: 0 or more.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: You et al., Large batch optimization for deep learning: training BERT in 76 minutes,
    ICLR 2020, algorithm 2, with the identity as φ. The defaults are those of NVIDIA's FusedLAMB.

    >>> import numpy as np
    >>> from anynet.optimizers import LAMB
    >>> net = {"w": np.array([3.0, 4.0])}
    >>> LAMB(0.1, weight_decay=0.0).update(net, {"w": np.array([1.0, -100.0])})
    >>> np.round(net["w"], 3)
    array([2.646, 4.354])

    """

    SLOTS = ("mean", "square")
    SCALARS = ("rate", "mean_bias", "square_bias")
    CHECKS: ClassVar = {
        "betas": decay_rates,
        "eps": not_negative,
        "weight_decay": not_negative,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(learning_rate)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, 1 - beta1ᵗ and 1 - beta2ᵗ."""
        beta1, beta2 = self.betas
        return rate, 1 - beta1**step, 1 - beta2**step

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new slots."""
        check_real(self, parameter)
        (rate, mean_bias, square_bias), (mean, square) = scalars, slots
        (beta1, beta2), xp = self.betas, array_namespace(parameter)
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * (gradient * gradient)
        along = (mean / mean_bias) / (xp.sqrt(square / square_bias) + self.eps)
        along = along + self.weight_decay * parameter
        ratio = _ratio(_norm(parameter), _norm(along))
        return parameter - rate * ratio * along, (mean, square)


def _norm(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.sqrt(xp.sum(x * x))


def _ratio(x: Array, y: Array) -> Array:
    """Return x / y, or 1 where one of them is 0."""
    xp = array_namespace(x)
    one, is_defined = xp.ones_like(x), (x > 0) & (y > 0)
    return xp.where(is_defined, x, one) / xp.where(is_defined, y, one)
