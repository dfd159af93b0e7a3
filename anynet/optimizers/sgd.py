"""Stochastic gradient descent, plain and with momentum."""

from typing import Any, ClassVar

from anynet import tree
from anynet.array import RECORDING_TYPES, Array, unrecorded
from anynet.optimizers.base import (
    Numbers,
    Optimizer,
    _below_one,
    _like,
    _put,
    _StatefulOptimizer,
)
from anynet.optimizers.schedules import Schedule
from anynet.primitives import momentum_update, sgd_update


class SGD(Optimizer):
    """Stochastic gradient descent: parameter ← parameter - learning_rate · gradient.

    The learning rate is a number above 0, or a schedule from `anynet.optimizers.schedules`, asked
    at every update. Source: Deep Learning from Scratch, chapters 4.5 and 6.1.2.
    """

    def __init__(self, learning_rate: float | Schedule = 0.1) -> None:
        super().__init__(learning_rate)

    def update(self, net: Any, grads: Any) -> None:
        """Put new arrays in the place of all parameters that have a gradient; the old arrays stay
        as they were.
        """
        pairs = tree.pairs(net, grads)
        places, parameters, gradients = [], [], []
        for place in pairs:
            _, _, parameter, gradient = place
            if gradient is not None:
                places.append(place)
                parameters.append(
                    unrecorded(parameter) if type(parameter) in RECORDING_TYPES else parameter
                )
                fits = gradient.shape == parameter.shape and gradient.dtype == parameter.dtype
                gradients.append(gradient if fits else _like(place, parameter, gradient))
        if places:
            ((rate,),) = self._dynamic_scalars((0,), pairs[0][2])
            _put(places, sgd_update(rate, *parameters, *gradients))
        self._end_update(pairs)

    def __repr__(self) -> str:
        return f"SGD({self.learning_rate!r})"


class Momentum(_StatefulOptimizer):
    """Descent with inertia: the steps add up to a velocity, which fades.

    velocity ← momentum · velocity + gradient, parameter ← parameter - learning_rate · velocity.
    With ``nesterov`` the step is along gradient + momentum · velocity. The momentum is in 0 … 1, 1
    not included. Source: Sutskever, Martens, Dahl and Hinton, On the importance of initialization
    and momentum in deep learning, ICML 2013; Deep Learning from Scratch, chapter 6.1.4, where the
    learning rate is inside the velocity.
    """

    KEPT = ("velocity",)
    CHECKS: ClassVar = {"momentum": _below_one}

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

    def _step(self, scalars: Numbers, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        return momentum_update(scalars[0], self.momentum, self.nesterov, *arrays)

    def __repr__(self) -> str:
        return f"Momentum({self.learning_rate!r}, {self.momentum!r}, nesterov={self.nesterov})"
