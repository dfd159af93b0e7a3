"""Activations that are worth a step of their own: stable where the bare formula overflows, cheap to
go back through.
"""

from typing import Any

from anynet.arguments import describe
from anynet.array import Array, Namespace, array_namespace
from anynet.errors import ArgumentTypeError, ShapeError
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive


def _relu_gradient_rule(xp: Namespace, out: Array, g: Array, y: Array) -> Any:
    return lambda h: relu_gradient(h, y), None


@primitive(_relu_gradient_rule, kind=REAL)
def relu_gradient(g: Array, y: Array) -> Array:
    """Return g where y = relu(x) is positive and 0 elsewhere, at x = 0 too; all of one shape and
    dtype.

    Where y is NaN, so is the loss, and what comes out is either of the two.
    """
    xp = array_namespace(g, y)
    return xp.where(y > 0, g, xp.zeros_like(g))


def _relu_rule(xp: Namespace, out: Array, x: Array) -> Any:
    return lambda g: relu_gradient(g, out)


@primitive(_relu_rule, kind=REAL)
def relu(x: Array) -> Array:
    """Return max(x, 0) for every element, of x's shape and floating dtype; NaN stays.

    Source: Deep Learning from Scratch, chapter 3.2.7.
    """
    xp = array_namespace(x)
    return xp.maximum(x, xp.zeros_like(x))


def _sigmoid_rule(xp: Namespace, out: Array, x: Array) -> Any:
    return lambda g: g * out * (1 - out)


@primitive(_sigmoid_rule, kind=REAL)
@in_float32
def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) for every element, in (0, 1), of x's shape and floating dtype; no x
    overflows.

    Source: Deep Learning from Scratch, chapter 3.2.4.
    """
    xp = array_namespace(x)
    # The exponential of a negative number only: it cannot overflow, and small results keep all
    # their digits.
    e = xp.exp(-xp.abs(x))
    # The numerator is 1 where x ≥ 0, and the larger of two: a choice, whose sides are hard to
    # guess, takes longer.
    return xp.maximum(e, xp.astype(x >= 0, x.dtype)) / (1 + e)


def _explain_axis(x: Array, axis: Any = -1) -> None:
    if not isinstance(axis, int):
        raise ArgumentTypeError(f"axis is {describe(axis)}: wanted a whole number")
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            f"axis is {axis} for an array of shape {tuple(x.shape)}: wanted {-x.ndim} to "
            f"{x.ndim - 1}"
        )


def _softmax_rule(xp: Namespace, out: Array, x: Array, axis: int = -1) -> Any:
    return (
        lambda g: out * (g - xp.sum(g * out, axis=axis, keepdims=True)),
        None,
    )


@primitive(_softmax_rule, _explain_axis, kind=REAL)
@in_float32
def softmax(x: Array, axis: int = -1) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis, of x's shape and floating dtype: numbers in [0, 1]
    whose sum is 1.

    The largest element is subtracted first, which changes nothing but the size of the numbers.
    Source: Deep Learning from Scratch, chapter 3.5.
    """
    xp = array_namespace(x)
    if 0 in x.shape:
        # There is no largest of none.
        return xp.exp(x)
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


def _log_softmax_rule(xp: Namespace, out: Array, x: Array, axis: int = -1) -> Any:
    return (
        lambda g: g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True),
        None,
    )


@primitive(_log_softmax_rule, _explain_axis, kind=REAL)
@in_float32
def log_softmax(x: Array, axis: int = -1) -> Array:
    """Return log(softmax(x)) along an axis without ever taking the logarithm of a number that
    vanished.
    """
    xp = array_namespace(x)
    if 0 in x.shape:
        return xp.exp(x)
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))
