"""Standardization: one pass for the mean, one for the variance, in one array."""

import math
from typing import Any

import numpy as np

from anynet.kernel import Aliasing, Kernels
from anynet_numpy.floats import ZERO, suits

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def standardize(x: np.ndarray, axis: tuple[int, ...], epsilon: float) -> Any:
    """Take one pass for the mean and one for the variance, and work in one array."""
    if x.dtype not in ZERO or not x.size:
        return NotImplemented
    mean = x.mean(axis=axis, keepdims=True)
    out = x - mean
    letters = "abcdefgh"[: x.ndim]
    kept = "".join(letter for i, letter in enumerate(letters) if i not in axis)
    squares = np.einsum(f"{letters},{letters}->{kept}", out, out)
    variance = (
        (squares / math.prod(x.shape[i] for i in axis))
        .reshape(mean.shape)
        .astype(x.dtype, copy=False)
    )
    out *= 1 / np.sqrt(variance + x.dtype.type(epsilon))
    return out, mean, variance


@kernels.register(Aliasing.FRESH)
def standardize_gradient(
    g: np.ndarray, y: np.ndarray, variance: np.ndarray, axis: tuple[int, ...], epsilon: float
) -> Any:
    """Take one pass for both means, and work in one array."""
    if not suits(g, y, variance):
        return NotImplemented
    n = math.prod(y.shape[i] for i in axis)
    letters = "abcdefgh"[: y.ndim]
    kept = "".join(letter for i, letter in enumerate(letters) if i not in axis)
    along = (np.einsum(f"{letters},{letters}->{kept}", g, y) / n).reshape(variance.shape)
    c = y * -along
    c += g
    c -= g.mean(axis=axis, keepdims=True)
    c *= 1 / np.sqrt(variance + variance.dtype.type(epsilon))
    return c
