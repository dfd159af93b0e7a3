"""Maximum pooling through strided views, one for each position in the window."""

import math
from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.convolution import Padding, Pair, output_size
from anynet_numpy.floats import ZERO, suits
from anynet_numpy.memory import fresh, scratch
from anynet_numpy.windows import image_blocks, padded, padded_size, windows

kernels = Kernels()


@kernels.register(Aliasing.OUT)
def max_pool2d(
    x: ndarray,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    out: ndarray | None = None,
) -> Any:
    """Take the maximum over views of the images, one for each position in the window."""
    if x.dtype not in ZERO:
        return NotImplemented
    size = output_size(x.shape[2:], kernel, stride, padding, (1, 1))
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    if out is None:
        out = fresh((*x.shape[:2], *size), x.dtype)
    for block in image_blocks(x.shape[0], x[:1].nbytes):
        views = windows(padded(x[block], padding, -math.inf), kernel, stride)
        largest = out[block]
        largest[...] = views[:, :, 0, 0]
        for position in range(1, math.prod(kernel)):
            i, j = divmod(position, kernel[1])
            np.maximum(largest, views[:, :, i, j], out=largest)
    return out


@kernels.register(Aliasing.OUT)
def max_pool2d_gradient(
    g: ndarray,
    x: ndarray,
    largest: ndarray,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    out: ndarray | None = None,
) -> Any:
    """Give the cotangent of a window to the first element that equals the largest one."""
    if not suits(g, x) or largest.dtype != x.dtype:
        return NotImplemented
    height, width = x.shape[2:]
    (top, _), (left, _) = padding
    size = padded_size(x, padding)
    is_padded = size != (height, width)
    apart = stride[0] >= kernel[0] and stride[1] >= kernel[1]
    covers = stride == kernel and not (size[0] % kernel[0] or size[1] % kernel[1])
    if out is None:
        out = fresh(x.shape, x.dtype)
    for block in image_blocks(x.shape[0], x[:1].nbytes):
        # NaN equals nothing, so padding is not the largest element of a window of -∞.
        views = windows(padded(x[block], padding, math.nan), kernel, stride)
        pixels = out[block]
        if is_padded:
            pixels = scratch("pixels", (*pixels.shape[:2], *size), x.dtype)
        if not covers:
            pixels.fill(0)
        targets = windows(pixels, kernel, stride)
        shape = views.shape[:2] + views.shape[4:]
        left_over, share = (scratch(name, shape, x.dtype) for name in ("left over", "share"))
        np.copyto(left_over, g[block])
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                np.equal(views[:, :, i, j], largest[block], out=share)
                share *= left_over
                if apart:
                    targets[:, :, i, j] = share
                else:
                    targets[:, :, i, j] += share
                left_over -= share
        if is_padded:
            out[block] = pixels[:, :, top : top + height, left : left + width]
    return out
