"""Convolutions: products of matrices with unfolded images, a block of images at a time."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.convolution import Padding, Pair, output_size
from anynet_numpy.floats import suits
from anynet_numpy.memory import fresh, scratch
from anynet_numpy.windows import image_blocks, padded, windows

kernels = Kernels()


def _columns(
    x: ndarray,
    kernel: Pair,
    groups: int,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield unfolded images, (images, groups, channels / groups · kernel, positions), by block."""
    n, channels = x.shape[:2]
    size = output_size(x.shape[2:], kernel, stride, padding, dilation)
    rows = channels // groups * math.prod(kernel)
    positions = math.prod(size)
    for block in image_blocks(n, groups * rows * positions * x.itemsize):
        views = windows(padded(x[block], padding), kernel, stride, dilation)
        columns = scratch("columns", views.shape, x.dtype)
        np.copyto(columns, views)
        yield block, columns.reshape(-1, groups, rows, positions)


@kernels.register(Aliasing.OUT)
def conv2d(
    x: ndarray,
    weight: ndarray,
    bias: ndarray | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    out: ndarray | None = None,
) -> Any:
    """Unfold a block of images, multiply, and add the bias in place."""
    if not suits(x, weight) or x.shape[1] != weight.shape[1] * groups:
        return NotImplemented
    if bias is not None and not suits(x, bias):
        return NotImplemented
    n = x.shape[0]
    channels, _, height, width = weight.shape
    kernel = height, width
    size = output_size(x.shape[2:], kernel, stride, padding, dilation)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    rows = weight.reshape(groups, channels // groups, -1)
    if out is None:
        out = fresh((n, channels, *size), x.dtype)
    grouped = out.reshape(n, groups, channels // groups, -1)
    for block, columns in _columns(x, kernel, groups, stride, padding, dilation):
        np.matmul(rows, columns, out=grouped[block])
        if bias is not None:
            out[block] += bias[:, None, None]
    return out


@kernels.register(Aliasing.FRESH)
def conv2d_weight_gradient(
    g: ndarray,
    x: ndarray,
    kernel: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Unfold a block of images, and sum the products over blocks."""
    if not suits(g, x):
        return NotImplemented
    n, channels = g.shape[:2]
    g = np.ascontiguousarray(g).reshape(n, groups, channels // groups, -1)
    total: Any = 0
    for block, columns in _columns(x, kernel, groups, stride, padding, dilation):
        products = np.matmul(g[block], columns.swapaxes(-1, -2))
        total = total + products.sum(axis=0)
    return total.reshape(channels, x.shape[1] // groups, *kernel)


@kernels.register(Aliasing.OUT)
def conv2d_input_gradient(
    g: ndarray,
    weight: ndarray,
    size: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    out: ndarray | None = None,
) -> Any:
    """Multiply a block of images, and add the products of each kernel element to its pixels."""
    if not suits(g, weight):
        return NotImplemented
    n, channels, *positions = g.shape
    in_channels, *kernel = weight.shape[1:]
    rows = weight.reshape(groups, channels // groups, -1).swapaxes(-1, -2)
    # From the first to the last pixel in windows with padding, on each axis.
    span = [(positions[i] - 1) * stride[i] + 1 for i in (0, 1)]
    reach = [span[i] + dilation[i] * (kernel[i] - 1) for i in (0, 1)]
    (above, _), (before, _) = padding
    around = (-above, size[0] + above - reach[0]), (-before, size[1] + before - reach[1])
    if out is None:
        out = fresh((n, groups * in_channels, *size), g.dtype)
    count = math.prod(positions)
    for block in image_blocks(n, groups * rows.shape[1] * count * g.itemsize):
        part = np.ascontiguousarray(g[block]).reshape(
            -1,
            groups,
            channels // groups,
            count,
        )
        columns = scratch(
            "columns",
            (len(part), groups, rows.shape[1], count),
            g.dtype,
        )
        np.matmul(rows, part, out=columns)
        columns = columns.reshape(-1, groups, in_channels, *kernel, *positions)
        pixels = scratch("pixels", (len(part), groups, in_channels, *reach), g.dtype)
        pixels.fill(0)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                top, left = i * dilation[0], j * dilation[1]
                down = slice(top, top + span[0], stride[0])
                across = slice(left, left + span[1], stride[1])
                pixels[..., down, across] += columns[:, :, :, i, j]
        out[block] = padded(pixels.reshape(len(part), -1, *reach), around)
    return out
