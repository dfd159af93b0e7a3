"""Stochastic gradient descent, plain and with momentum."""

from typing import ClassVar

from anynet.array import Array
from anynet.errors import ArgumentError
from anynet.optimizers.base import Optimizer, penalized
from anynet.optimizers.checks import below_one, flag, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class SGD(Optimizer):
    """Stochastic gradient descent: parameter ← parameter - learning_rate · gradient.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        weight_decay: 0 or more. weight_decay · parameter is added to the gradient.

    Source: PyTorch's SGD; Deep Learning from Scratch, chapters 4.5 and 6.1.2.

    >>> import numpy as np
    >>> from anynet.optimizers import SGD
    >>> net = {"w": np.array([1.0, 2.0])}
    >>> SGD(0.5).update(net, {"w": np.array([1.0, -1.0])})
    >>> net["w"]
    array([0.5, 2.5])

    """

    KERNEL = "sgd_update"
    SETTINGS = ("weight_decay",)
    CHECKS: ClassVar = {"weight_decay": not_negative}

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.weight_decay = weight_decay

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter."""
        (rate,) = scalars
        return parameter - rate * penalized(gradient, parameter, self.weight_decay), ()


class Momentum(Optimizer):
    """Stochastic gradient descent with momentum.

    velocity ← momentum · velocity + (1 - dampening) · gradient, parameter ← parameter -
    learning_rate · velocity. The first velocity is the gradient. With ``nesterov`` the step is
    along gradient + momentum · velocity.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        momentum: 0 or more and below 1.
        dampening: 0 or more and below 1.
        nesterov: use Nesterov's momentum, which needs a dampening of 0.
        weight_decay: 0 or more. weight_decay · parameter is added to the gradient.

    Raises:
        ArgumentError: ``nesterov`` with a dampening.

    Source: PyTorch's SGD; Sutskever, Martens, Dahl and Hinton, On the importance of initialization
    and momentum in deep learning, ICML 2013, section 2, with the learning rate outside the
    velocity; Deep Learning from Scratch, chapter 6.1.4, has it inside.

    >>> import numpy as np
    >>> from anynet.optimizers import Momentum
    >>> net, optimizer = {"w": np.array([1.0])}, Momentum(0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.update(net, {"w": np.array([1.0])})
    >>> net["w"], optimizer.state["w"]["velocity"]
    (array([-0.25]), array([1.5]))

    """

    SLOTS = ("velocity",)
    SCALARS = ("rate", "gain")
    KERNEL = "momentum_update"
    SETTINGS = ("momentum", "dampening", "nesterov", "weight_decay")
    CHECKS: ClassVar = {
        "momentum": below_one,
        "dampening": below_one,
        "nesterov": flag,
        "weight_decay": not_negative,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        momentum: float = 0.9,
        *,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self._check_nesterov()

    def _check_nesterov(self) -> None:
        if self.nesterov and self.dampening:
            raise ArgumentError(
                f"nesterov is True and dampening is {self.dampening}: wanted a dampening of 0 with "
                "Nesterov's momentum"
            )

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, and the gain of the gradient in the velocity."""
        self._check_nesterov()
        return rate, 1.0 if step == 1 else 1.0 - self.dampening

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new velocity."""
        (rate, gain), (velocity,) = scalars, slots
        gradient = penalized(gradient, parameter, self.weight_decay)
        velocity = self.momentum * velocity + (gain * gradient if self.dampening else gradient)
        along = gradient + self.momentum * velocity if self.nesterov else velocity
        return parameter - rate * along, (velocity,)
