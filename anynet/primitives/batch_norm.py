"""Batch normalization, with the statistics of the batch or with known statistics.

Arrays are (N, features, …); weight, bias, mean and variance are (features,). Source: Ioffe and
Szegedy, Batch normalization, ICML 2015; Deep Learning from Scratch, chapter 6.3.
"""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, widened
from anynet.primitives.precision import REAL, in_float32
from anynet.primitives.standardize import standardize, standardize_gradient
from anynet.tracing.trace import primitive, shared


def _axes(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _like(
    xp: Namespace,
    x: Array,
    of_features: Array,
) -> Array:
    """Return an array (features,) in a shape that broadcasts to x."""
    return xp.reshape(of_features, (-1,) + (1,) * (x.ndim - 2))


@primitive(decomposed=True, kind=REAL)
def batch_norm_gradient(
    g: Array,
    x: Array,
    weight: Array,
    mean: Array,
    variance: Array,
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """Return the cotangents of x, weight and bias, for g of the first result of `batch_norm`."""
    xp = array_namespace(g, x)
    g, x = widened(g), widened(x)
    wide_mean = xp.expand_dims(_like(xp, x, mean), axis=0)
    wide_variance = xp.expand_dims(_like(xp, x, variance), axis=0)
    y = (x - wide_mean) / xp.sqrt(wide_variance + epsilon)
    of_x = standardize_gradient(
        g * _like(xp, x, weight),
        y,
        wide_variance,
        _axes(x),
        epsilon,
    )
    return of_x, xp.sum(g * y, axis=_axes(x)), xp.sum(g, axis=_axes(x))


def _rule(
    xp: Namespace,
    out: tuple[Array, ...],
    x: Array,
    weight: Array,
    bias: Array,
    epsilon: float,
) -> Any:
    _, mean, variance = out
    n = math.prod(x.shape[i] for i in _axes(x))

    @shared
    def pullbacks(g: tuple[Array | None, ...]) -> tuple[Array, Array, Array]:
        of_y, of_mean, of_variance = g
        if of_y is None:
            of_x = xp.zeros_like(x)
            of_weight = xp.zeros_like(weight)
            of_bias = xp.zeros_like(bias)
        else:
            of_x, of_weight, of_bias = batch_norm_gradient(of_y, x, weight, mean, variance, epsilon)
        if of_mean is not None:
            of_x = of_x + _like(xp, x, widened(of_mean) / n)
        if of_variance is not None:
            of_x = of_x + _like(xp, x, widened(of_variance) * (2 / n)) * (x - _like(xp, x, mean))
        return of_x, of_weight, of_bias

    return tuple(lambda g, i=i: pullbacks(g)[i] for i in range(3))


@primitive(_rule, kind=REAL)
def batch_norm(
    x: Array,
    weight: Array,
    bias: Array,
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """Return weight · (x - mean) / √(variance + epsilon) + bias, the mean and the variance.

    Mean and variance are those of the batch, over all axes but the second.

    Args:
        x: (N, features, …), floating.
        weight: (features,).
        bias: (features,).
        epsilon: added to the variance, so that a feature of equal values has no infinite scale.

    Source: Ioffe and Szegedy, Batch normalization, ICML 2015, algorithm 1.

    >>> import numpy as np
    >>> from anynet.primitives import batch_norm
    >>> y, mean, variance = batch_norm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), 0.0)
    >>> y, mean, variance
    (array([[-1.], [ 1.]]), array([2.]), array([1.]))

    """
    xp = array_namespace(x, weight)
    y, mean, variance = standardize(x, _axes(x), epsilon)
    out = xp.add(xp.multiply(y, _like(xp, x, weight)), _like(xp, x, bias))
    return out, xp.reshape(mean, (-1,)), xp.reshape(variance, (-1,))


@primitive(decomposed=True, kind=REAL)
@in_float32
def scale_shift(
    x: Array,
    mean: Array,
    variance: Array,
    weight: Array,
    bias: Array,
    epsilon: float,
) -> Array:
    """Return weight · (x - mean) / √(variance + epsilon) + bias, for known statistics.

    x is (N, features, …). The others are (features,).
    """
    xp = array_namespace(x)
    scale = weight / xp.sqrt(variance + epsilon)
    return x * _like(xp, x, scale) + _like(xp, x, bias - mean * scale)
