"""Stochastic gradient descent, plain and with momentum."""

from typing import ClassVar

from anynet.array import Array
from anynet.optimizers.base import Optimizer, below_one, flag
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class SGD(Optimizer):
    """Stochastic gradient descent: parameter ← parameter - learning_rate · gradient.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.

    Source: Deep Learning from Scratch, chapters 4.5 and 6.1.2.

    >>> import numpy as np
    >>> from anynet.optimizers import SGD
    >>> net = {"w": np.array([1.0, 2.0])}
    >>> SGD(0.5).update(net, {"w": np.array([1.0, -1.0])})
    >>> net["w"]
    array([0.5, 2.5])

    """

    KERNEL = "sgd_update"

    def __init__(self, learning_rate: float | Schedule = 0.1) -> None:
        super().__init__(learning_rate)

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter."""
        (rate,) = scalars
        return parameter - rate * gradient, ()


class Momentum(Optimizer):
    """Stochastic gradient descent with momentum.

    velocity ← momentum · velocity + gradient, parameter ← parameter - learning_rate · velocity.
    With ``nesterov`` the step is along gradient + momentum · velocity.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        momentum: 0 or more and below 1.
        nesterov: use Nesterov's momentum.

    Source: Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum in
    deep learning, ICML 2013, section 2, with the learning rate outside the velocity; Deep Learning
    from Scratch, chapter 6.1.4, has it inside.

    >>> import numpy as np
    >>> from anynet.optimizers import Momentum
    >>> net, optimizer = {"w": np.array([1.0])}, Momentum(0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.update(net, {"w": np.array([1.0])})
    >>> net["w"], optimizer.state["w"]["velocity"]
    (array([-0.25]), array([1.5]))

    """

    SLOTS = ("velocity",)
    KERNEL = "momentum_update"
    SETTINGS = ("momentum", "nesterov")
    CHECKS: ClassVar = {"momentum": below_one, "nesterov": flag}

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.9,
        *,
        nesterov: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.momentum = momentum
        self.nesterov = nesterov

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new velocity."""
        (rate,), (velocity,) = scalars, slots
        velocity = self.momentum * velocity + gradient
        along = gradient + self.momentum * velocity if self.nesterov else velocity
        return parameter - rate * along, (velocity,)
