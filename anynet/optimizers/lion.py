"""Lion: steps along the sign of the momentum."""

from typing import ClassVar

from anynet.array import Array, array_namespace
from anynet.optimizers.base import Optimizer
from anynet.optimizers.checks import check_real, decay_rates, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class Lion(Optimizer):
    """Descent along the sign of a running mean of the gradients, with decoupled weight decay.

    parameter ← parameter - learning_rate · (sign(beta1 · mean + (1 - beta1) · gradient) +
    weight_decay · parameter), then mean ← beta2 · mean + (1 - beta2) · gradient.

    Each element moves by the learning rate, so a good one is three to ten times smaller than for
    `AdamW`, and the weight decay is larger by the same factor.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        betas: the decay rates of the mean in the step, and from update to update, 0 or more and
            below 1.
        weight_decay: 0 or more.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: Chen et al., Symbolic discovery of optimization algorithms, NeurIPS 2023, algorithm 2.

    >>> import numpy as np
    >>> from anynet.optimizers import Lion
    >>> net = {"w": np.array([1.0, 2.0])}
    >>> Lion(0.5).update(net, {"w": np.array([1.0, -100.0])})
    >>> net["w"]
    array([0.5, 2.5])

    """

    SLOTS = ("mean",)
    SCALARS = ("rate", "decay")
    CHECKS: ClassVar = {"betas": decay_rates, "weight_decay": not_negative}

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.betas = betas
        self.weight_decay = weight_decay

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, and the factor of the parameter."""
        return rate, 1 - rate * self.weight_decay

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new mean."""
        check_real(self, parameter)
        (rate, decay), (mean,) = scalars, slots
        beta1, beta2 = self.betas
        sign = array_namespace(parameter).sign(beta1 * mean + (1 - beta1) * gradient)
        mean = beta2 * mean + (1 - beta2) * gradient
        return decay * parameter - rate * sign, (mean,)
