"""RMSprop."""

from typing import ClassVar

from anynet.array import Array, array_namespace
from anynet.optimizers.base import Optimizer, penalized
from anynet.optimizers.checks import below_one, check_real, flag, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class RMSprop(Optimizer):
    """Descent along the gradient, divided by the root of the running mean of its square.

    square ← alpha · square + (1 - alpha) · gradient², parameter ← parameter - learning_rate ·
    gradient / (√square + eps). With ``centered``, the square of the running mean of the gradient is
    subtracted from the square. With a momentum, velocity ← momentum · velocity + gradient /
    (√square + eps), and the step is along the velocity.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        alpha: the decay rate of the means, 0 or more and below 1.
        eps: 0 or more.
        weight_decay: 0 or more. weight_decay · parameter is added to the gradient.
        momentum: 0 or more and below 1.
        centered: divide by the root of the variance of the gradient.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: PyTorch's RMSprop; Tieleman and Hinton, Neural networks for machine learning, lecture
    6.5, 2012; Graves, Generating sequences with recurrent neural networks, 2013, for ``centered``.

    >>> import numpy as np
    >>> from anynet.optimizers import RMSprop
    >>> net, optimizer = {"w": np.array([1.0, 2.0])}, RMSprop(0.1, alpha=0.75)
    >>> optimizer.update(net, {"w": np.array([3.0, -4.0])})
    >>> np.round(net["w"], 6), optimizer.state["w"]["square"]
    (array([0.8, 2.2]), array([2.25, 4.  ]))

    """

    SLOTS = ("square", "velocity", "mean")
    KERNEL = "rmsprop_update"
    SETTINGS = ("alpha", "eps", "weight_decay", "momentum", "centered")
    CHECKS: ClassVar = {
        "alpha": below_one,
        "eps": not_negative,
        "weight_decay": not_negative,
        "momentum": below_one,
        "centered": flag,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.alpha = alpha
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.centered = centered

    def slot_names(self) -> tuple[str, ...]:
        """Return the names of the slots: the velocity only with a momentum, the mean only if
        ``centered``.
        """
        velocity = ("velocity",) if self.momentum else ()
        mean = ("mean",) if self.centered else ()
        return ("square", *velocity, *mean)

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new slots."""
        check_real(self, parameter)
        (rate,), old = scalars, dict(zip(self.slot_names(), slots, strict=True))
        xp = array_namespace(parameter)
        gradient = penalized(gradient, parameter, self.weight_decay)
        new = {"square": self._running(old["square"], gradient * gradient)}
        variance = new["square"]
        mean = self._running(old["mean"], gradient) if self.centered else None
        if mean is not None:
            # Rounding may leave less than 0.
            variance = xp.maximum(variance - mean * mean, xp.zeros_like(mean))
        along = gradient / (xp.sqrt(variance) + self.eps)
        if self.momentum:
            along = new["velocity"] = self.momentum * old["velocity"] + along
        if mean is not None:
            new["mean"] = mean
        return parameter - rate * along, tuple(new.values())

    def _running(self, mean: Array, x: Array) -> Array:
        """Return the running mean after a new value."""
        return self.alpha * mean + (1 - self.alpha) * x
