"""ReLU, sigmoid and softmax. They are primitives for speed, and because the formula overflows."""

from typing import Any

from anynet.arguments import describe
from anynet.array import Array, Namespace, array_namespace
from anynet.errors import ArgumentTypeError, ShapeError
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive


def _relu_gradient_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    y: Array,
) -> Any:
    return lambda h: relu_gradient(h, y), None


@primitive(_relu_gradient_rule, kind=REAL)
def relu_gradient(g: Array, y: Array) -> Array:
    """Return g where y = relu(x) is positive, and 0 elsewhere, also at x = 0.

    g and y are of one shape and dtype. Where y is NaN, the result is g or 0.
    """
    xp = array_namespace(g, y)
    return xp.where(y > 0, g, xp.zeros_like(g))


def _relu_rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: relu_gradient(g, out)


@primitive(_relu_rule, kind=REAL)
def relu(x: Array) -> Array:
    """Return max(x, 0) for every element, of x's shape and floating dtype. NaN stays NaN.

    The derivative at 0 is 0. Source: Deep Learning from Scratch, chapter 3.2.7.

    >>> import numpy as np
    >>> anynet.functions.relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])

    """
    xp = array_namespace(x)
    return xp.maximum(x, xp.zeros_like(x))


def _sigmoid_rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * out * (1 - out)


@primitive(_sigmoid_rule, kind=REAL)
@in_float32
def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) for every element, of x's shape and floating dtype.

    It is in [0, 1], and no x overflows. Source: Deep Learning from Scratch, chapter 3.2.4.

    >>> import numpy as np
    >>> anynet.functions.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])

    """
    xp = array_namespace(x)
    # The exponential of a negative value does not overflow, and small results keep all digits.
    e = xp.exp(-xp.abs(x))
    # The numerator is 1 where x ≥ 0. A maximum is faster than where(), which branches.
    return xp.maximum(e, xp.astype(x >= 0, x.dtype)) / (1 + e)


def _explain_axis(x: Array, axis: object = -1) -> None:
    if not isinstance(axis, int):
        raise ArgumentTypeError(f"axis is {describe(axis)}: wanted a whole number")
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            f"axis is {axis} for an array of shape {tuple(x.shape)}: wanted {-x.ndim} to "
            f"{x.ndim - 1}"
        )


def _softmax_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    axis: int = -1,
) -> Any:
    return lambda g: out * (g - xp.sum(g * out, axis=axis, keepdims=True)), None


@primitive(_softmax_rule, _explain_axis, kind=REAL)
@in_float32
def softmax(x: Array, axis: int = -1) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis, of x's shape and floating dtype.

    The results are in [0, 1] and their sum is 1. The largest element is subtracted first, which
    does not change the result and avoids overflow.

    Args:
        x: an array of any shape.
        axis: the axis to sum along, -x.ndim … x.ndim - 1.

    Raises:
        ShapeError: x has no such axis.
        ArgumentTypeError: ``axis`` is not an integer.

    Source: Deep Learning from Scratch, chapter 3.5.

    >>> import numpy as np
    >>> anynet.functions.softmax(np.array([0.0, 0.0, 1000.0]))
    array([0., 0., 1.])

    """
    xp = array_namespace(x)
    if 0 in x.shape:
        # An array without elements has no maximum.
        return xp.exp(x)
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


def _log_softmax_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    axis: int = -1,
) -> Any:
    return lambda g: g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True), None


@primitive(_log_softmax_rule, _explain_axis, kind=REAL)
@in_float32
def log_softmax(x: Array, axis: int = -1) -> Array:
    """Return log(softmax(x)) along an axis, finite where the softmax underflows to 0.

    See `softmax` for the arguments and the errors.

    >>> import numpy as np
    >>> anynet.functions.log_softmax(np.array([0.0, 0.0, 1000.0]))
    array([-1000., -1000.,     0.])

    """
    xp = array_namespace(x)
    if 0 in x.shape:
        return xp.exp(x)
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))
