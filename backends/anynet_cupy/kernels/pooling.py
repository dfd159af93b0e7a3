"""Maximum pooling: one launch, without a padded copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet.primitives.convolution import Padding, Pair, output_size
from anynet_cupy.elementwise import elementwise
from anynet_cupy.windows import numbers_of_windows, suits

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


@kernels.register()
def max_pool2d(
    x: ndarray,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Read every window in one launch."""
    import cupy

    size = output_size(x.shape[2:], kernel, stride, padding, (1, 1))
    if not suits("max_pool2d", x) or min(size) < 1:
        return NotImplemented
    out = cupy.empty((*x.shape[:2], *size), x.dtype)
    numbers = numbers_of_windows(x.shape[2:], size, padding)
    loop = elementwise("max_pool2d", *kernel, *stride)
    return loop(cupy.ascontiguousarray(x), *numbers, out)


@kernels.register()
def max_pool2d_gradient(
    g: ndarray,
    x: ndarray,
    largest: ndarray,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Let every pixel find the windows whose largest element it is.

    Each thread writes one pixel, so no two threads add to the same element.
    """
    import cupy

    if not suits("max_pool2d_gradient", x, g, largest):
        return NotImplemented
    numbers = numbers_of_windows(x.shape[2:], largest.shape[2:], padding)
    arrays = map(cupy.ascontiguousarray, (g, x, largest))
    out = cupy.empty(x.shape, x.dtype)
    loop = elementwise("max_pool2d_gradient", *kernel, *stride)
    return loop(*arrays, *numbers, out)
