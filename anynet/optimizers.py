"""Optimizers: how gradients change parameters."""

import math
from typing import Any

from anynet import tree
from anynet.primitives import sgd_update


class SGD:
    """Stochastic gradient descent: parameter ← parameter - learning_rate · gradient.

    Source: Deep Learning from Scratch, chapters 4.5 and 6.1.2.
    """

    def __init__(self, learning_rate: float = 0.1) -> None:
        if not 0 < learning_rate < math.inf:
            raise ValueError(f"learning_rate is {learning_rate!r}: wanted a finite number above 0, such as 0.1")
        self.learning_rate = learning_rate

    def update(self, net: Any, grads: Any) -> None:
        """Put new arrays in the place of all parameters that have a gradient; the old arrays stay as they were."""
        rate = self.learning_rate
        tree.update(lambda p, g: p if g is None else sgd_update(p, g, rate), net, grads)

    def __repr__(self) -> str:
        return f"SGD(learning_rate={self.learning_rate})"

