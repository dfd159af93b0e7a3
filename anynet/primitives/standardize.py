"""Standardization, which all normalization layers share."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, widened
from anynet.primitives.precision import REAL, rounded
from anynet.tracing.trace import primitive


@primitive(decomposed=True, kind=REAL)
def standardize_gradient(
    g: Array,
    y: Array,
    variance: Array,
    axis: tuple[int, ...],
    epsilon: float,
) -> Array:
    """Return the cotangent of x for g of y, where y and variance are results of `standardize`."""
    xp = array_namespace(g, y)
    g, y = widened(g), widened(y)
    along = xp.mean(g * y, axis=axis, keepdims=True)
    return (g - xp.mean(g, axis=axis, keepdims=True) - y * along) / xp.sqrt(variance + epsilon)


def _rule(
    xp: Namespace,
    out: tuple[Array, ...],
    x: Array,
    axis: tuple[int, ...],
    epsilon: float,
) -> Any:
    y, mean, variance = out
    n = math.prod(x.shape[i] for i in axis)

    def pullback(g: tuple[Array | None, ...]) -> Array:
        of_y, of_mean, of_variance = g
        own = None if of_y is None else standardize_gradient(of_y, y, variance, axis, epsilon)
        c = xp.zeros_like(x) if own is None else own
        if of_mean is not None:
            c = c + widened(of_mean) / n
        if of_variance is not None:
            c = c + widened(of_variance) * (x - mean) * (2 / n)
        return c

    return pullback, None, None


@primitive(_rule, kind=REAL)
def standardize(
    x: Array,
    axis: tuple[int, ...],
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """Return (x - mean) / √(variance + epsilon) over axes, the mean and the variance.

    The first result is of x's shape. Mean and variance keep the axes, with length one. They are
    float32 for an x narrower than float32.

    Args:
        x: an array of any shape, floating.
        axis: the axes to standardize over, not negative.
        epsilon: added to the variance.

    Source: Ioffe and Szegedy, Batch normalization, ICML 2015; Deep Learning from Scratch, chapter
    6.3.

    >>> import numpy as np
    >>> from anynet.primitives import standardize
    >>> y, mean, variance = standardize(np.array([[1.0, 3.0]]), (1,), 0.0)
    >>> y
    array([[-1.,  1.]])

    """
    xp = array_namespace(x)
    wide = widened(x)
    mean = xp.mean(wide, axis=axis, keepdims=True)
    centred = wide - mean
    variance = xp.mean(centred * centred, axis=axis, keepdims=True)
    return rounded(centred / xp.sqrt(variance + epsilon), x), mean, variance
