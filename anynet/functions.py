"""Activations and other functions without state; a floating array in, the same kind of array out.

Integers, booleans and complex numbers raise a `DTypeError`.
"""

from anynet.arguments import whole_number
from anynet.array import (
    Array,
    array_namespace,
    as_indices,
    check_floating,
    device,
)
from anynet.primitives import (
    elu,
    erf,
    gelu,
    hard_sigmoid,
    leaky_relu,
    log_softmax,
    mish,
    relu,
    selu,
    sigmoid,
    softmax,
    softplus,
)

__all__ = [
    "elu",
    "erf",
    "gelu",
    "hard_sigmoid",
    "identity",
    "leaky_relu",
    "log_softmax",
    "mish",
    "one_hot",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "step",
    "tanh",
]


def identity(x: Array) -> Array:
    """Return x as it is, the output activation of regression (Deep Learning from Scratch, chapter
    3.5).
    """
    return x


def step(x: Array) -> Array:
    """Return 1 where x > 0 and 0 elsewhere, of x's shape and dtype (Deep Learning from Scratch,
    chapter 3.2.2).
    """
    check_floating("step", x)
    return array_namespace(x).astype(x > 0, x.dtype)


def silu(x: Array) -> Array:
    """Return x / (1 + exp(-x)) for every element, also called swish, of x's shape and floating
    dtype.

    Source: Elfwing, Uchibe and Doya, Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning, Neural Networks 107, 2018.
    """
    return x * sigmoid(x)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of every element, in (-1, 1), of x's shape and floating
    dtype.
    """
    check_floating("tanh", x)
    return array_namespace(x).tanh(x)


def one_hot(labels: Array, classes: int, dtype: object = None) -> Array:
    """Return rows (…, classes) with a 1 at each label's place and 0 elsewhere; float32 unless
    another dtype is given.

    Labels are integers in 0 … classes - 1, of any integer dtype; the row of one outside holds zeros
    only.

    Raises:
        DataError: labels that are not integers.

    """
    classes = whole_number("classes", classes, 0)
    xp, labels = array_namespace(labels), as_indices("labels", labels)
    places = xp.arange(classes, dtype=labels.dtype, device=device(labels))
    return xp.astype(xp.expand_dims(labels, axis=-1) == places, dtype or xp.float32)
