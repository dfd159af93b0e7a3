"""Adam and AdamW."""

import math
from typing import ClassVar

from anynet.array import Array, array_namespace
from anynet.optimizers.base import Optimizer, penalized
from anynet.optimizers.checks import check_real, decay_rates, flag, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class Adam(Optimizer):
    """Descent along the running mean of the gradients, divided by the root of that of their
    squares.

    mean ← beta1 · mean + (1 - beta1) · gradient, square ← beta2 · square + (1 - beta2) · gradient²,
    parameter ← parameter - learning_rate · mean / (√square + eps), where mean and square are
    divided by 1 - betaᵗ after t updates.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        betas: the decay rates of mean and square, 0 or more and below 1.
        eps: 0 or more.
        weight_decay: 0 or more. weight_decay · parameter is added to the gradient.
        amsgrad: divide by the root of the largest square so far.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: PyTorch's Adam; Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015,
    algorithm 1; Reddi, Kale and Kumar, On the convergence of Adam and beyond, ICLR 2018, for
    ``amsgrad``; Deep Learning from Scratch, chapter 6.1.6.

    >>> import numpy as np
    >>> from anynet.optimizers import Adam
    >>> net = {"w": np.array([1.0, 2.0])}
    >>> Adam(0.5).update(net, {"w": np.array([1.0, -100.0])})
    >>> np.round(net["w"], 6)
    array([0.5, 2.5])

    """

    SLOTS = ("mean", "square", "largest")
    SCALARS: ClassVar[tuple[str, ...]] = ("rate", "correction")
    KERNEL = "adam_update"
    SETTINGS: ClassVar[tuple[str, ...]] = ("betas", "eps", "weight_decay", "amsgrad")
    CHECKS: ClassVar = {
        "betas": decay_rates,
        "eps": not_negative,
        "weight_decay": not_negative,
        "amsgrad": flag,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.amsgrad = amsgrad

    def slot_names(self) -> tuple[str, ...]:
        """Return the names of the slots: the largest squares only with ``amsgrad``."""
        return self.SLOTS if self.amsgrad else self.SLOTS[:2]

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate and the correction, which compensate for slots that begin as zeros."""
        beta1, beta2 = self.betas
        return rate / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new slots."""
        check_real(self, parameter)
        rate, correction = scalars
        gradient = penalized(gradient, parameter, self.weight_decay)
        along, slots = self._along(gradient, slots, correction)
        return parameter - rate * along, slots

    def _along(
        self,
        gradient: Array,
        slots: Slots,
        correction: float,
    ) -> tuple[Array, Slots]:
        """Return the mean divided by the root of the square, and the new slots."""
        (beta1, beta2), (mean, square, *largest) = self.betas, slots
        xp = array_namespace(gradient)
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * (gradient * gradient)
        largest = [xp.maximum(x, square) for x in largest]
        root = correction * xp.sqrt(largest[0] if largest else square) + self.eps
        return mean / root, (mean, square, *largest)


class AdamW(Adam):
    """Adam with decoupled weight decay: parameter ← parameter - learning_rate · weight_decay ·
    parameter, before the step of `Adam`.

    All parameters that have a gradient decay, biases too. `Groups` gives them other settings.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        betas: the decay rates of mean and square, 0 or more and below 1.
        eps: 0 or more.
        weight_decay: 0 or more.
        amsgrad: divide by the root of the largest square so far.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: PyTorch's AdamW; Loshchilov and Hutter, Decoupled weight decay regularization, ICLR
    2019, algorithm 2.

    >>> import numpy as np
    >>> from anynet.optimizers import AdamW
    >>> net = {"w": np.array([1.0])}
    >>> AdamW(0.5, weight_decay=0.1).update(net, {"w": np.array([2.0])})
    >>> np.round(net["w"], 6)
    array([0.45])

    """

    SCALARS = ("rate", "correction", "decay")
    KERNEL = "adamw_update"
    SETTINGS = ("betas", "eps", "amsgrad")

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(
            learning_rate,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
        )

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, the correction, and the factor of the parameter."""
        return *super().scalars(rate, step), 1 - rate * self.weight_decay

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new slots."""
        check_real(self, parameter)
        rate, correction, decay = scalars
        along, slots = self._along(gradient, slots, correction)
        return decay * parameter - rate * along, slots
