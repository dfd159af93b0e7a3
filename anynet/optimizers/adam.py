"""Adam and AdamW."""

import math
from typing import ClassVar

from anynet.array import Array, array_namespace, is_complex
from anynet.errors import DTypeError
from anynet.optimizers.base import Optimizer, below_one, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class Adam(Optimizer):
    """Descent along the running mean of the gradients, divided by the root of that of their
    squares.

    mean ← beta1 · mean + (1 - beta1) · gradient, square ← beta2 · square + (1 - beta2) · gradient²,
    parameter ← parameter - learning_rate · mean / (√square + epsilon), where mean and square are
    divided by 1 - betaᵗ after t updates.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        beta1: the decay of the mean, 0 or more and below 1.
        beta2: the decay of the square, 0 or more and below 1.
        epsilon: 0 or more.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1; Deep
    Learning from Scratch, chapter 6.1.6.

    >>> import numpy as np
    >>> from anynet.optimizers import Adam
    >>> net = {"w": np.array([1.0, 2.0])}
    >>> Adam(0.5).update(net, {"w": np.array([1.0, -100.0])})
    >>> np.round(net["w"], 6)
    array([0.5, 2.5])

    """

    SLOTS = ("mean", "square")
    SCALARS = ("rate", "correction", "decay")
    KERNEL = "adam_update"
    SETTINGS = ("beta1", "beta2", "epsilon")
    CHECKS: ClassVar = {
        "beta1": below_one,
        "beta2": below_one,
        "epsilon": not_negative,
        "weight_decay": not_negative,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate)
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate and the correction, which compensate for slots that begin as zeros, and
        the decay of the parameter.
        """
        correction = 1 / math.sqrt(1 - self.beta2**step)
        return rate / (1 - self.beta1**step), correction, 1.0

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter, and the new mean and square."""
        if is_complex(parameter):
            raise DTypeError(
                f"{self.KERNEL}: a parameter of {parameter.dtype} was given: wanted real ones, "
                "since Adam divides by the root of squared gradients; SGD and Momentum train "
                "complex parameters"
            )
        (rate, correction, decay), (mean, square) = scalars, slots
        mean = self.beta1 * mean + (1 - self.beta1) * gradient
        square = self.beta2 * square + (1 - self.beta2) * (gradient * gradient)
        root = correction * array_namespace(square).sqrt(square) + self.epsilon
        return decay * parameter - rate * (mean / root), (mean, square)


class AdamW(Adam):
    """Adam with decoupled weight decay: parameter ← parameter - learning_rate · weight_decay ·
    parameter, before the step of `Adam`.

    All parameters that have a gradient decay, biases too.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        beta1: the decay of the mean, 0 or more and below 1.
        beta2: the decay of the square, 0 or more and below 1.
        epsilon: 0 or more.
        weight_decay: 0 or more.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019, algorithm 2.

    >>> import numpy as np
    >>> from anynet.optimizers import AdamW
    >>> net = {"w": np.array([1.0])}
    >>> AdamW(0.5, weight_decay=0.1).update(net, {"w": np.array([2.0])})
    >>> np.round(net["w"], 6)
    array([0.45])

    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon)
        self.weight_decay = weight_decay

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, the correction and the decay."""
        corrected, correction, _ = super().scalars(rate, step)
        return corrected, correction, 1 - rate * self.weight_decay
