"""Batch normalization in few passes over the batch."""

from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Kernels
from anynet_numpy.floats import suits, sums_of_products
from anynet_numpy.kernels.standardize import standardize

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def batch_norm(
    x: ndarray,
    weight: ndarray,
    bias: ndarray,
    epsilon: float,
) -> Any:
    """Scale and shift in place."""
    results = standardize(x, (0, *range(2, x.ndim)), epsilon)
    if results is NotImplemented or not suits(x, weight, bias):
        return NotImplemented
    y, mean, variance = results
    y *= weight.reshape(mean.shape)
    y += bias.reshape(mean.shape)
    return y, mean.reshape(-1), variance.reshape(-1)


@kernels.register(Aliasing.FRESH)
def batch_norm_gradient(
    g: ndarray,
    x: ndarray,
    weight: ndarray,
    mean: ndarray,
    variance: ndarray,
    epsilon: float,
) -> Any:
    """Combine two sums to the gradient of x, in one array."""
    if not suits(g, x, weight, mean, variance):
        return NotImplemented
    axis = (0, *range(2, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    n = x.size // mean.size
    inverse = 1 / np.sqrt(variance + variance.dtype.type(epsilon))
    c = x - mean.reshape(shape)
    of_bias = g.sum(axis=axis)
    of_weight = sums_of_products(g, c, axis) * inverse
    c *= (inverse * of_weight * (-1 / n)).astype(x.dtype).reshape(shape)
    c += g
    c -= (of_bias / n).astype(x.dtype).reshape(shape)
    c *= (weight * inverse).reshape(shape)
    return c, of_weight.astype(x.dtype, copy=False), of_bias
