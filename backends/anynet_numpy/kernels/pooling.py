"""Maximum pooling through strided views, one for each position in the window."""

import math
from typing import Any

import numpy as np

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.convolution import Padding, Pair, output_size
from anynet_numpy.floats import ZERO, suits
from anynet_numpy.memory import fresh, scratch
from anynet_numpy.windows import image_blocks, padded, padded_size, windows

kernels = Kernels()


@kernels.register(Aliasing.OUT)
def max_pool2d(
    x: np.ndarray, *, kernel: Pair, stride: Pair, padding: Padding, out: np.ndarray | None = None
) -> Any:
    """Compare strided views of the images, one for each place in the window."""
    if x.dtype not in ZERO:
        return NotImplemented
    size = output_size(x.shape[2:], kernel, stride, padding, (1, 1))
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    if out is None:
        out = fresh((*x.shape[:2], *size), x.dtype)
    for some in image_blocks(x.shape[0], x[:1].nbytes):
        views = windows(padded(x[some], padding, -math.inf), kernel, stride)
        part = out[some]
        part[...] = views[:, :, 0, 0]
        for place in range(1, math.prod(kernel)):
            np.maximum(
                part,
                views[:, :, place // kernel[1], place % kernel[1]],
                out=part,
            )
    return out


@kernels.register(Aliasing.OUT)
def max_pool2d_gradient(
    g: np.ndarray,
    x: np.ndarray,
    largest: np.ndarray,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    out: np.ndarray | None = None,
) -> Any:
    """Compare every place in the window with the largest element, and give the first that is equal
    the cotangent.
    """
    if not suits(g, x) or largest.dtype != x.dtype:
        return NotImplemented
    (top, _), (left, _) = padding
    whole = padded_size(x, padding)
    apart = stride[0] >= kernel[0] and stride[1] >= kernel[1]
    covers = apart and stride == kernel and not (whole[0] % kernel[0] or whole[1] % kernel[1])
    if out is None:
        out = fresh(x.shape, x.dtype)
    for some in image_blocks(x.shape[0], x[:1].nbytes):
        # NaN equals nothing: of a window of -∞, padding is not the largest element.
        views = windows(padded(x[some], padding, math.nan), kernel, stride)
        wide = (
            out[some]
            if whole == x.shape[2:]
            else scratch("spread", (*x[some].shape[:2], *whole), x.dtype)
        )
        if not covers:
            wide.fill(0)
        places = windows(wide, kernel, stride)
        left_over, share = (
            scratch(name, views.shape[:2] + views.shape[4:], x.dtype) for name in ("left", "share")
        )
        np.copyto(left_over, g[some])
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                np.equal(views[:, :, i, j], largest[some], out=share)
                share *= left_over
                if apart:
                    places[:, :, i, j] = share
                else:
                    places[:, :, i, j] += share
                left_over -= share
        if whole != x.shape[2:]:
            out[some] = wide[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    return out
