"""Batch normalization in few passes over the batch."""

from typing import Any

import numpy as np

from anynet.kernel import Aliasing, Kernels
from anynet_numpy.floats import suits
from anynet_numpy.kernels.standardize import standardize

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def batch_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, epsilon: float) -> Any:
    """Scale and shift in place."""
    found = standardize(x, (0, *range(2, x.ndim)), epsilon)
    if found is NotImplemented or not suits(x, weight, bias):
        return NotImplemented
    y, mean, variance = found
    y *= weight.reshape(mean.shape)
    y += bias.reshape(mean.shape)
    return y, mean.reshape(-1), variance.reshape(-1)


@kernels.register(Aliasing.FRESH)
def batch_norm_gradient(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
) -> Any:
    """Put the cotangent together from two sums, in one array."""
    if not suits(g, x, weight, mean, variance):
        return NotImplemented
    axis, shape = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    n = x.size // mean.size
    inverse = 1 / np.sqrt(variance + variance.dtype.type(epsilon))
    c = x - mean.reshape(shape)
    letters = "abcdefgh"[: x.ndim]
    of_bias = g.sum(axis=axis)
    of_weight = np.einsum(f"{letters},{letters}->b", g, c) * inverse
    c *= (inverse * of_weight * (-1 / n)).astype(x.dtype).reshape(shape)
    c += g
    c -= (of_bias / n).astype(x.dtype).reshape(shape)
    c *= (weight * inverse).reshape(shape)
    return c, of_weight.astype(x.dtype, copy=False), of_bias
