"""Adam and AdamW."""

import math
from typing import ClassVar

from anynet.array import Array
from anynet.optimizers.base import (
    Numbers,
    _below_one,
    _not_negative,
    _StatefulOptimizer,
)
from anynet.optimizers.schedules import Schedule
from anynet.primitives import adam_update


class _AdamFamily(_StatefulOptimizer):
    KEPT = ("mean", "square")
    CHECKS: ClassVar = {
        "beta1": _below_one,
        "beta2": _below_one,
        "epsilon": _not_negative,
        "weight_decay": _not_negative,
    }

    def __init__(
        self,
        learning_rate: float | Schedule,
        beta1: float,
        beta2: float,
        epsilon: float,
        weight_decay: float,
    ) -> None:
        super().__init__(learning_rate)
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weight_decay = weight_decay

    def _step(self, scalars: Numbers, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        rate, correction, decay = scalars
        settings = self.beta1, self.beta2, self.epsilon
        return adam_update(rate, correction, decay, *settings, *arrays)

    def scalars(self, rate: float, step: int) -> Numbers:
        """Return the rate, the correction and the decay.

        Rate and correction compensate for mean and square being 0 at first.
        """
        corrected = rate / (1 - self.beta1**step)
        return corrected, 1 / math.sqrt(1 - self.beta2**step), 1 - rate * self.weight_decay


class Adam(_AdamFamily):
    """Descent along the running mean of the gradients, by the root of that of their squares.

    mean ← beta1 · mean + (1 - beta1) · gradient, square ← beta2 · square + (1 - beta2) · gradient²,
    parameter ← parameter - learning_rate · mean / (√square + epsilon), where mean and square are
    divided by 1 - betaᵗ after t updates. Betas are in 0 … 1, 1 not included. Source: Kingma and Ba,
    Adam: a method for stochastic optimization, ICLR 2015, algorithm 1; Deep Learning from Scratch,
    chapter 6.1.6.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, 0.0)

    def __repr__(self) -> str:
        return f"Adam({self.learning_rate!r}, beta1={self.beta1}, beta2={self.beta2}, epsilon={self.epsilon})"


class AdamW(_AdamFamily):
    """Adam whose parameters also decay, parameter ← parameter - learning_rate · weight_decay ·
    parameter.

    All parameters that have a gradient decay, biases too. Source: Loshchilov and Hutter, Decoupled
    weight decay regularization, ICLR 2019, algorithm 2.
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
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay)

    def __repr__(self) -> str:
        return (
            f"AdamW({self.learning_rate!r}, beta1={self.beta1}, beta2={self.beta2}, "
            f"epsilon={self.epsilon}, weight_decay={self.weight_decay})"
        )
