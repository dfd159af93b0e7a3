"""Optimizers' updates: a new parameter from an old one and its gradient; nothing is written into."""

from anynet.array import Array
from anynet.autodiff.trace import primitive


@primitive()
def sgd_update(parameter: Array, gradient: Array, learning_rate: float) -> Array:
    """Return parameter - learning_rate · gradient; both arrays are of one shape and dtype.

    Source: Deep Learning from Scratch, chapter 6.1.2.
    """
    return parameter - learning_rate * gradient
