"""Windows over images, as strided views of padded images, a block of images at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from anynet.primitives.convolution import NO_PADDING, Padding, Pair, output_size
from anynet_numpy.memory import scratch

#: Bytes that are worked on at a time.
_BLOCK = 1 << 20


def padded(x: np.ndarray, padding: Padding, fill: float = 0.0) -> Any:
    """Return images with rows and columns around them, in memory of this module's; a negative
    padding takes off.
    """
    if not any(map(any, padding)):
        return x
    (top, bottom), (left, right) = padding
    x = x[
        :,
        :,
        max(0, -top) : x.shape[2] - max(0, -bottom),
        max(0, -left) : x.shape[3] - max(0, -right),
    ]
    top, bottom, left, right = (max(0, n) for n in (top, bottom, left, right))
    if not (top or bottom or left or right):
        return x
    n, c, h, w = x.shape
    out = scratch("padded", (n, c, h + top + bottom, w + left + right), x.dtype)
    out.fill(fill)
    out[:, :, top : top + h, left : left + w] = x
    return out


def windows(x: np.ndarray, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Any:
    """Return a view of all windows, (N, C, kernel height, kernel width, out height, out width)."""
    n, c = x.shape[:2]
    s = x.strides
    size = output_size(x.shape[2:], kernel, stride, NO_PADDING, dilation)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    strides = (
        s[0],
        s[1],
        s[2] * dilation[0],
        s[3] * dilation[1],
        s[2] * stride[0],
        s[3] * stride[1],
    )
    return as_strided(x, (n, c, *kernel, *size), strides)


def padded_size(x: np.ndarray, padding: Padding) -> tuple[int, int]:
    """Return the height and the width of images with their padding."""
    return x.shape[2] + sum(padding[0]), x.shape[3] + sum(padding[1])


def image_blocks(images: int, bytes_of_one: int) -> Iterator[slice]:
    """Go through the images, so many at a time as come near the size of a block."""
    step = max(1, min(images, _BLOCK // max(1, bytes_of_one)))
    return (slice(start, min(start + step, images)) for start in range(0, images, step))
