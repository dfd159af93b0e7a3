"""NAdam: Adam with Nesterov's momentum."""

from typing import ClassVar

from anynet.array import Array, array_namespace, device
from anynet.optimizers.base import Optimizer, penalized
from anynet.optimizers.checks import check_real, decay_rates, flag, not_negative
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, which grows from update to update.

    momentumₜ = beta1 · (1 - ½ · 0.96^(t · momentum_decay)) in update t, and productₜ is the product
    of all momenta so far. mean ← beta1 · mean + (1 - beta1) · gradient, square ← beta2 · square +
    (1 - beta2) · gradient², parameter ← parameter - learning_rate · step / (√(square / (1 -
    beta2ᵗ)) + eps), where step = (1 - momentumₜ) / (1 - productₜ) · gradient + momentumₜ₊₁ / (1 -
    productₜ₊₁) · mean.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        betas: the decay rates of mean and square, 0 or more and below 1.
        eps: 0 or more.
        weight_decay: 0 or more. weight_decay · parameter is added to the gradient.
        momentum_decay: 0 or more.
        decoupled_weight_decay: subtract learning_rate · weight_decay · parameter from the
            parameter, as `AdamW` does, in place of the addition to the gradient.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: PyTorch's NAdam; Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016.

    >>> import numpy as np
    >>> from anynet.optimizers import NAdam
    >>> net = {"w": np.array([1.0, 2.0])}
    >>> NAdam(0.5, betas=(0.0, 0.999)).update(net, {"w": np.array([1.0, -100.0])})
    >>> np.round(net["w"], 6)
    array([0.5, 2.5])

    """

    SLOTS = ("mean", "square", "product")
    SCALARS = ("rate", "momentum", "complement", "next_momentum", "bias", "decay")
    CHECKS: ClassVar = {
        "betas": decay_rates,
        "eps": not_negative,
        "weight_decay": not_negative,
        "momentum_decay": not_negative,
        "decoupled_weight_decay": flag,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum_decay = momentum_decay
        self.decoupled_weight_decay = decoupled_weight_decay

    def initial_slot(self, name: str, parameter: Array) -> Array:
        """Return zeros, or 1 without axes for the product of momenta."""
        if name == "product":
            xp = array_namespace(parameter)
            return xp.ones((), dtype=parameter.dtype, device=device(parameter))
        return super().initial_slot(name, parameter)

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, the momentum, 1 - momentum, the next momentum, 1 - beta2ᵗ, and the
        factor of the parameter.
        """
        momentum = self._momentum(step)
        decay = rate * self.weight_decay if self.decoupled_weight_decay else 0.0
        return (
            rate,
            momentum,
            1 - momentum,
            self._momentum(step + 1),
            1 - self.betas[1] ** step,
            1 - decay,
        )

    def _momentum(self, step: int) -> float:
        fade: float = 0.96 ** (step * self.momentum_decay)
        return self.betas[0] * (1 - 0.5 * fade)

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new slots."""
        check_real(self, parameter)
        rate, momentum, complement, next_momentum, bias, decay = scalars
        mean, square, product = slots
        (beta1, beta2), xp = self.betas, array_namespace(parameter)
        if not self.decoupled_weight_decay:
            gradient = penalized(gradient, parameter, self.weight_decay)
        product = product * momentum
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * (gradient * gradient)
        of_gradient = complement / (1 - product)
        of_mean = next_momentum / (1 - product * next_momentum)
        root = xp.sqrt(square / bias) + self.eps
        along = (of_gradient * gradient + of_mean * mean) / root
        return decay * parameter - rate * along, (mean, square, product)
