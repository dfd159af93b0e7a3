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


def _of_features(x: ndarray, share: float = 1.0) -> Any:
    """Return the share of the sums of each feature of (N, features, …)."""
    of_images = (
        sums(x.reshape(x.shape[0] * x.shape[1], -1), 1).reshape(x.shape[:2]) if x.ndim > 2 else x
    )
    return sums(of_images, 0, share)


@kernels.register()
def batch_norm(x: ndarray, weight: ndarray, bias: ndarray, epsilon: float) -> Any:
    """Go through the batch three times: for the means, for the variances, for the result."""
    import cupy

    if not suits("normalize", x, weight, bias):
        return NotImplemented
    x, weight, bias = map(cupy.ascontiguousarray, (x, weight, bias))
    features = math.prod(x.shape[2:]), x.shape[1]
    share = x.shape[1] / x.size
    mean = _of_features(x, share)
    variance = _of_features(elementwise("square_around")(x, mean, *features), share)
    y = elementwise("normalize")(x, weight, bias, mean, variance, *features, x.dtype.type(epsilon))
    return y, mean, variance


@kernels.register()
def batch_norm_gradient(
    g: ndarray, x: ndarray, weight: ndarray, mean: ndarray, variance: ndarray, epsilon: float
) -> Any:
    """Go through the batch three times: for the two sums of the way back, and for the result."""
    import cupy

    if not suits("batch_norm_gradient", g, x, weight, mean, variance):
        return NotImplemented
    g, x, weight, mean, variance = map(cupy.ascontiguousarray, (g, x, weight, mean, variance))
    features = math.prod(x.shape[2:]), x.shape[1]
    number = x.dtype.type(epsilon)
    of_weight = _of_features(
        elementwise("times_standardized")(g, x, mean, variance, *features, number)
    )
    of_bias = _of_features(g)
    given = (
        g,
        x,
        weight,
        mean,
        variance,
        of_weight,
        of_bias,
        *features,
        number,
        x.dtype.type(x.shape[1] / x.size),
    )
    return elementwise("batch_norm_gradient")(*given), of_weight, of_bias
