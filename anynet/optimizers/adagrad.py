"""AdaGrad."""

from typing import ClassVar

from anynet.array import Array, array_namespace
from anynet.optimizers.base import Optimizer, penalized
from anynet.optimizers.checks import check_real, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class AdaGrad(Optimizer):
    """Descent along the gradient, divided by the root of the sum of all squared gradients.

    sum ← sum + gradient², parameter ← parameter - rate · gradient / (√sum + eps), where rate is
    learning_rate / (1 + (t - 1) · lr_decay) in update t.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        lr_decay: 0 or more.
        weight_decay: 0 or more. weight_decay · parameter is added to the gradient.
        initial_accumulator_value: 0 or more, with which the sum begins.
        eps: 0 or more.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: PyTorch's Adagrad; Duchi, Hazan and Singer, Adaptive subgradient methods for online
    learning and stochastic optimization, JMLR 12, 2011; Deep Learning from Scratch, chapter 6.1.5.

    >>> import numpy as np
    >>> from anynet.optimizers import AdaGrad
    >>> net, optimizer = {"w": np.array([1.0, 2.0])}, AdaGrad(0.5)
    >>> optimizer.update(net, {"w": np.array([3.0, -4.0])})
    >>> net["w"], optimizer.state["w"]["sum"]
    (array([0.5, 2.5]), array([ 9., 16.]))

    """

    SLOTS = ("sum",)
    KERNEL = "adagrad_update"
    SETTINGS = ("weight_decay", "eps")
    CHECKS: ClassVar = {
        "lr_decay": not_negative,
        "weight_decay": not_negative,
        "initial_accumulator_value": not_negative,
        "eps": not_negative,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(learning_rate)
        self.lr_decay = lr_decay
        self.weight_decay = weight_decay
        self.initial_accumulator_value = initial_accumulator_value
        self.eps = eps

    def initial_slot(self, name: str, parameter: Array) -> Array:
        """Return the sum before the first update."""
        xp = array_namespace(parameter)
        return xp.full_like(parameter, self.initial_accumulator_value)

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, which decays."""
        return (rate / (1 + (step - 1) * self.lr_decay),)

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new sum."""
        check_real(self, parameter)
        (rate,), (total,) = scalars, slots
        gradient = penalized(gradient, parameter, self.weight_decay)
        total = total + gradient * gradient
        root = array_namespace(total).sqrt(total) + self.eps
        return parameter - rate * (gradient / root), (total,)
