"""Optimizers: how gradients change parameters.

Those that keep something from one update to the next keep it in ``state``, a dict of arrays for each parameter by its
path; a parameter has none until its first gradient. So an optimizer belongs to one network.
"""

import math
from typing import Any

from anynet import tree
from anynet.array import Array, array_namespace
from anynet.errors import ArgumentError, ShapeError
from anynet.primitives import adam_update, momentum_update, sgd_update
from anynet.schedulers import Schedule, check_learning_rate


class _Optimizer:
    def __init__(self, learning_rate: float | Schedule) -> None:
        if not callable(learning_rate):
            check_learning_rate(learning_rate)
        self.learning_rate = learning_rate
        self.updates = 0

    def _next_rate(self) -> float:
        rate = self.learning_rate(self.updates) if callable(self.learning_rate) else self.learning_rate
        self.updates += 1
        return rate


class SGD(_Optimizer):
    """Stochastic gradient descent: parameter ← parameter - learning_rate · gradient.

    The learning rate is a number above 0, or a schedule from `anynet.schedulers`, asked at every update.
    Source: Deep Learning from Scratch, chapters 4.5 and 6.1.2.
    """

    def __init__(self, learning_rate: float | Schedule = 0.1) -> None:
        super().__init__(learning_rate)

    def update(self, net: Any, grads: Any) -> None:
        """Put new arrays in the place of all parameters that have a gradient; the old arrays stay as they were."""
        rate = self._next_rate()
        tree.update(lambda p, g: p if g is None else sgd_update(p, g, rate), net, grads)

    def __repr__(self) -> str:
        return f"SGD({self.learning_rate!r})"


class _StatefulOptimizer(_Optimizer):
    def __init__(self, learning_rate: float | Schedule) -> None:
        super().__init__(learning_rate)
        self.state: dict[str, dict[str, Any]] = {}

    def update(self, net: Any, grads: Any) -> None:
        """Put new arrays in the place of all parameters that have a gradient; the old arrays stay as they were.

        Raises:
            ArgumentError: the network has other parameters than the one of the first update.

        """
        if not self.state:
            self.state = {path: {} for path, _ in tree.leaves(net)}
        rate = self._next_rate()
        # In the order of the parameters, which costs less than to look for each by its path.
        states = iter(self.state.items())

        def step(parameter: Array, gradient: Array | None) -> Array:
            path, state = next(states, ("", None))
            if state is None:
                raise ArgumentError(f"there is state for {len(self.state)} parameters, the network has more: {_REMEDY}")
            if gradient is None:
                return parameter
            for name, kept in state.items():
                if name != "updates" and kept.shape != parameter.shape:
                    raise ShapeError(
                        f"{path} is of shape {tuple(parameter.shape)}, its state of {tuple(kept.shape)}: {_REMEDY}"
                    )
            return self._step(parameter, gradient, state, rate)

        tree.update(step, net, grads)

    def _step(self, parameter: Array, gradient: Array, state: dict[str, Any], rate: float) -> Array:
        """Return the new parameter, and renew the state; it is empty at first."""
        raise NotImplementedError


_REMEDY = "an optimizer belongs to one network, make a new one for another"


class Momentum(_StatefulOptimizer):
    """Descent with inertia: the steps add up to a velocity, which fades.

    velocity ← momentum · velocity + gradient, parameter ← parameter - learning_rate · velocity.
    With ``nesterov`` the step is along gradient + momentum · velocity. The momentum is in 0 … 1, 1 not included.
    Source: Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum in deep learning,
    ICML 2013; Deep Learning from Scratch, chapter 6.1.4, where the learning rate is inside the velocity.
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.01, momentum: float = 0.9, *, nesterov: bool = False
    ) -> None:
        super().__init__(learning_rate)
        _check_below_one("momentum", momentum)
        self.momentum = momentum
        self.nesterov = nesterov

    def _step(self, parameter: Array, gradient: Array, state: dict[str, Any], rate: float) -> Array:
        if not state:
            state["velocity"] = array_namespace(parameter).zeros_like(parameter)
        new, state["velocity"] = momentum_update(
            parameter, gradient, state["velocity"], rate, self.momentum, self.nesterov
        )
        return new

    def __repr__(self) -> str:
        return f"Momentum({self.learning_rate!r}, {self.momentum!r}, nesterov={self.nesterov})"


class _AdamFamily(_StatefulOptimizer):
    def __init__(
        self, learning_rate: float | Schedule, beta1: float, beta2: float, epsilon: float, weight_decay: float
    ) -> None:
        super().__init__(learning_rate)
        _check_below_one("beta1", beta1)
        _check_below_one("beta2", beta2)
        for name, value in (("epsilon", epsilon), ("weight_decay", weight_decay)):
            if not 0 <= value < math.inf:
                raise ArgumentError(f"{name} is {value!r}: wanted a finite number of 0 or more")
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weight_decay = weight_decay

    def _step(self, parameter: Array, gradient: Array, state: dict[str, Any], rate: float) -> Array:
        if not state:
            zeros_like = array_namespace(parameter).zeros_like
            state.update(mean=zeros_like(parameter), square=zeros_like(parameter), updates=0)
        state["updates"] += 1
        new, state["mean"], state["square"] = adam_update(
            parameter,
            gradient,
            state["mean"],
            state["square"],
            rate,
            self.beta1,
            self.beta2,
            self.epsilon,
            self.weight_decay,
            state["updates"],
        )
        return new


class Adam(_AdamFamily):
    """Descent along the running mean of the gradients, by the root of that of their squares.

    mean ← beta1 · mean + (1 - beta1) · gradient, square ← beta2 · square + (1 - beta2) · gradient²,
    parameter ← parameter - learning_rate · mean / (√square + epsilon), where mean and square are divided by
    1 - betaᵗ after t updates. Betas are in 0 … 1, 1 not included.
    Source: Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1; Deep Learning from
    Scratch, chapter 6.1.6.
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
    """Adam whose parameters also decay, parameter ← parameter - learning_rate · weight_decay · parameter.

    All parameters that have a gradient decay, biases too.
    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019, algorithm 2.
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
            f"AdamW({self.learning_rate!r}, beta1={self.beta1}, beta2={self.beta2}, epsilon={self.epsilon}, "
            f"weight_decay={self.weight_decay})"
        )


def _check_below_one(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ArgumentError(f"{name} is {value!r}: wanted a number of 0 or more and below 1, such as 0.9")
