"""Activations and other functions without state; any array in, the same kind of array out."""

from anynet.array import Array, array_namespace, device
from anynet.primitives import log_softmax, relu, sigmoid, softmax

__all__ = ["identity", "log_softmax", "one_hot", "relu", "sigmoid", "softmax", "step", "tanh"]


def identity(x: Array) -> Array:
    """Return x as it is, the output activation of regression (Deep Learning from Scratch, chapter 3.5)."""
    return x


def step(x: Array) -> Array:
    """Return 1 where x > 0 and 0 elsewhere, of x's shape and dtype (Deep Learning from Scratch, chapter 3.2.2)."""
    return array_namespace(x).astype(x > 0, x.dtype)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of every element, in (-1, 1), of x's shape and floating dtype."""
    return array_namespace(x).tanh(x)


def one_hot(labels: Array, classes: int, dtype: object = None) -> Array:
    """Return rows (…, classes) with a 1 at each label's place and 0 elsewhere; float32 unless another dtype is given.

    Labels are integers in 0 … classes - 1; the row of one outside holds zeros only.
    """
    xp = array_namespace(labels)
    places = xp.arange(classes, dtype=labels.dtype, device=device(labels))
    return xp.astype(xp.expand_dims(labels, axis=-1) == places, dtype or xp.float32)
