"""Optimizers: how gradients change parameters."""

from typing import Any

from anynet import tree
from anynet.primitives import sgd_update
from anynet.schedulers import Schedule, check_learning_rate


class SGD:
    """Stochastic gradient descent: parameter ← parameter - learning_rate · gradient.

    The learning rate is a number above 0, or a schedule from `anynet.schedulers`, asked at every update.
    Source: Deep Learning from Scratch, chapters 4.5 and 6.1.2.
    """

    def __init__(self, learning_rate: float | Schedule = 0.1) -> None:
        if not callable(learning_rate):
            check_learning_rate(learning_rate)
        self.learning_rate = learning_rate
        self.updates = 0

    def update(self, net: Any, grads: Any) -> None:
        """Put new arrays in the place of all parameters that have a gradient; the old arrays stay as they were."""
        rate = self.learning_rate(self.updates) if callable(self.learning_rate) else self.learning_rate
        self.updates += 1
        tree.update(lambda p, g: p if g is None else sgd_update(p, g, rate), net, grads)

    def __repr__(self) -> str:
        return f"SGD({self.learning_rate!r})"
