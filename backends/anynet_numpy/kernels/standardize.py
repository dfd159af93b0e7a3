"""Standardization: one pass for the mean, one for the variance, in one array."""

import math
from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Kernels
from anynet_numpy.floats import ZERO, suits, sums_of_products

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def standardize(
    x: ndarray,
    axis: tuple[int, ...],
    epsilon: float,
) -> Any:
    """Compute the mean and the variance in one pass each."""
    if x.dtype not in ZERO or not x.size:
        return NotImplemented
    n = math.prod(x.shape[i] for i in axis)
    mean = x.mean(axis=axis, keepdims=True)
    y = x - mean
    variance = sums_of_products(y, y, axis) / n
    variance = variance.reshape(mean.shape).astype(x.dtype, copy=False)
    y *= 1 / np.sqrt(variance + x.dtype.type(epsilon))
    return y, mean, variance


@kernels.register(Aliasing.FRESH)
def standardize_gradient(
    g: ndarray,
    y: ndarray,
    variance: ndarray,
    axis: tuple[int, ...],
    epsilon: float,
) -> Any:
    """Compute both means in one pass each."""
    if not suits(g, y, variance):
        return NotImplemented
    n = math.prod(y.shape[i] for i in axis)
    along = (sums_of_products(g, y, axis) / n).reshape(variance.shape)
    c = y * -along
    c += g
    c -= g.mean(axis=axis, keepdims=True)
    c *= 1 / np.sqrt(variance + variance.dtype.type(epsilon))
    return c
