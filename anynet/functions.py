"""Activations and other functions without state: a floating array in, an array of that dtype out.

Integers, booleans and complex numbers raise a `DTypeError`.
"""

from anynet.arguments import whole_number
from anynet.array import (
    Array,
    DType,
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
    """Return x itself, the output activation of regression.

    >>> functions.identity(np.asarray([-1.0, 2.0]))
    array([-1.,  2.])

    Source: Deep Learning from Scratch, chapter 3.5.
    """
    return x


def step(x: Array) -> Array:
    """Return 1 where x > 0 and 0 elsewhere. It has no derivative.

    Args:
        x: floating, of any shape.

    Raises:
        DTypeError: x is not floating.

    >>> functions.step(np.asarray([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])

    Source: Deep Learning from Scratch, chapter 3.2.2.

    """
    check_floating("step", x)
    return array_namespace(x).astype(x > 0, x.dtype)


def silu(x: Array) -> Array:
    """Return x / (1 + exp(-x)) of every element, also called swish.

    Args:
        x: floating, of any shape.

    Raises:
        DTypeError: x is not floating.

    >>> functions.silu(np.asarray([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311])

    Source: Elfwing, Uchibe and Doya, Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning, Neural Networks 107, 2018.

    """
    return x * sigmoid(x)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of every element, (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Args:
        x: floating, of any shape.

    Raises:
        DTypeError: x is not floating.

    >>> functions.tanh(np.asarray([-1.0, 0.0, 1.0])).round(4)
    array([-0.7616,  0.    ,  0.7616])

    """
    check_floating("tanh", x)
    return array_namespace(x).tanh(x)


def one_hot(
    labels: Array,
    classes: int,
    dtype: DType | None = None,
) -> Array:
    """Return rows with 1 at the index of each label and 0 elsewhere, of shape (…, classes).

    Args:
        labels: class indices (…) in 0 … classes - 1, of any integer dtype. A label outside gives a
            row of zeros.
        classes: the length of a row, 0 or more.
        dtype: of the result, float32 by default.

    Raises:
        DataError: labels that are not integers.
        ArgumentError: classes is negative.

    >>> functions.one_hot(np.asarray([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)

    """
    classes = whole_number("classes", classes, 0)
    xp = array_namespace(labels)
    labels = as_indices("labels", labels)
    indices = xp.arange(classes, dtype=labels.dtype, device=device(labels))
    is_label = xp.expand_dims(labels, axis=-1) == indices
    return xp.astype(is_label, dtype or xp.float32)
