"""Batch normalization: three passes over the batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_cupy.elementwise import elementwise
from anynet_cupy.product import sums
from anynet_cupy.windows import suits

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


def _sums_of_features(x: ndarray, share: float = 1.0) -> ndarray:
    """Return the sums of each feature of (N, features, …), times a share."""
    if x.ndim > 2:
        rows = x.reshape(x.shape[0] * x.shape[1], -1)
        x = sums(rows, 1).reshape(x.shape[:2])
    return sums(x, 0, share)


@kernels.register()
def batch_norm(
    x: ndarray,
    weight: ndarray,
    bias: ndarray,
    epsilon: float,
) -> Any:
    """Pass over the batch for the means, for the variances, and for the result."""
    import cupy

    if not suits("normalize", x, weight, bias):
        return NotImplemented
    x, weight, bias = map(cupy.ascontiguousarray, (x, weight, bias))
    features = math.prod(x.shape[2:]), x.shape[1]
    share = x.shape[1] / x.size
    mean = _sums_of_features(x, share)
    squares = elementwise("square_around")(x, mean, *features)
    variance = _sums_of_features(squares, share)
    arrays = x, weight, bias, mean, variance
    y = elementwise("normalize")(*arrays, *features, x.dtype.type(epsilon))
    return y, mean, variance


@kernels.register()
def batch_norm_gradient(
    g: ndarray,
    x: ndarray,
    weight: ndarray,
    mean: ndarray,
    variance: ndarray,
    epsilon: float,
) -> Any:
    """Pass over the batch for each of two sums, and for the result."""
    import cupy

    if not suits("batch_norm_gradient", g, x, weight, mean, variance):
        return NotImplemented
    g, x, weight, mean, variance = map(cupy.ascontiguousarray, (g, x, weight, mean, variance))
    features = math.prod(x.shape[2:]), x.shape[1]
    epsilon = x.dtype.type(epsilon)
    share = x.dtype.type(x.shape[1] / x.size)
    products = elementwise("times_standardized")(g, x, mean, variance, *features, epsilon)
    of_weight = _sums_of_features(products)
    of_bias = _sums_of_features(g)
    arrays = g, x, weight, mean, variance, of_weight, of_bias
    out = elementwise("batch_norm_gradient")(*arrays, *features, epsilon, share)
    return out, of_weight, of_bias
