"""Convolutions: products of matrices with unfolded images, a block of images at a time."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.convolution import Padding, Pair, output_size
from anynet_numpy.floats import suits
from anynet_numpy.memory import fresh, scratch
from anynet_numpy.windows import image_blocks, padded, windows

kernels = Kernels()


def _columns(
    x: np.ndarray,
    kernel: Pair,
    groups: int,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Iterator[tuple[slice, Any]]:
    """Unfold the images, a block at a time, into (images, groups, channels / groups · kernel,
    places).
    """
    n, c = x.shape[:2]
    size = output_size(x.shape[2:], kernel, stride, padding, dilation)
    rows, places = c // groups * math.prod(kernel), math.prod(size)
    for some in image_blocks(n, groups * rows * places * x.itemsize):
        views = windows(padded(x[some], padding), kernel, stride, dilation)
        part = scratch("columns", views.shape, x.dtype)
        np.copyto(part, views)
        yield some, part.reshape(-1, groups, rows, places)


@kernels.register(Aliasing.OUT)
def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    out: np.ndarray | None = None,
) -> Any:
    """Unfold a block of images, multiply, and add the bias in place."""
    if (
        not suits(x, weight)
        or x.shape[1] != weight.shape[1] * groups
        or not (bias is None or suits(x, bias))
    ):
        return NotImplemented
    n, channels, kernel = x.shape[0], weight.shape[0], weight.shape[2:]
    size = output_size(x.shape[2:], kernel, stride, padding, dilation)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    rows = weight.reshape(groups, channels // groups, -1)
    if out is None:
        out = fresh((n, channels, *size), x.dtype)
    grouped = out.reshape(n, groups, channels // groups, -1)
    for some, columns in _columns(x, kernel, groups, stride, padding, dilation):
        np.matmul(rows, columns, out=grouped[some])
        if bias is not None:
            out[some] += bias[:, None, None]
    return out


@kernels.register(Aliasing.FRESH)
def conv2d_weight_gradient(
    g: np.ndarray,
    x: np.ndarray,
    kernel: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Unfold a block of images and add its products up."""
    if not suits(g, x):
        return NotImplemented
    n, channels = g.shape[:2]
    g = np.ascontiguousarray(g).reshape(n, groups, channels // groups, -1)
    total: Any = 0
    for some, columns in _columns(x, kernel, groups, stride, padding, dilation):
        total = total + np.matmul(g[some], columns.swapaxes(-1, -2)).sum(axis=0)
    return total.reshape(channels, x.shape[1] // groups, *kernel)


@kernels.register(Aliasing.OUT)
def conv2d_input_gradient(
    g: np.ndarray,
    weight: np.ndarray,
    size: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    out: np.ndarray | None = None,
) -> Any:
    """Multiply a block of images, and add what every part of the kernel gives to where it came
    from.
    """
    if not suits(g, weight):
        return NotImplemented
    n, channels, oh, ow = g.shape
    in_channels, kh, kw = weight.shape[1:]
    rows = weight.reshape(groups, channels // groups, -1).swapaxes(-1, -2)
    reach = [
        (g.shape[2 + i] - 1) * stride[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1
        for i in (0, 1)
    ]
    (top, _), (left, _) = padding
    around = (-top, size[0] + top - reach[0]), (-left, size[1] + left - reach[1])
    if out is None:
        out = fresh((n, groups * in_channels, *size), g.dtype)
    for some in image_blocks(n, groups * rows.shape[1] * oh * ow * g.itemsize):
        part = np.ascontiguousarray(g[some]).reshape(-1, groups, channels // groups, oh * ow)
        columns = scratch("columns", (len(part), groups, rows.shape[1], oh * ow), g.dtype)
        np.matmul(rows, part, out=columns)
        columns = columns.reshape(-1, groups, in_channels, kh, kw, oh, ow)
        there = scratch("reached", (len(part), groups, in_channels, *reach), g.dtype)
        there.fill(0)
        for i in range(kh):
            for j in range(kw):
                top, left = i * dilation[0], j * dilation[1]
                bottom, right = (
                    top + (oh - 1) * stride[0] + 1,
                    left + (ow - 1) * stride[1] + 1,
                )
                there[..., top : bottom : stride[0], left : right : stride[1]] += columns[
                    :, :, :, i, j
                ]
        out[some] = padded(there.reshape(len(part), -1, *reach), around)
    return out
