"""Convolutions: the images unfolded in one launch, and one product of matrices.

Arrays with more elements than 32 bits can count are left to the references.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet.primitives.convolution import Padding, Pair, output_size
from anynet_cupy.elementwise import elementwise
from anynet_cupy.kernels.standard import product
from anynet_cupy.windows import counted, numbers_of_windows, suits

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


def _unfold(
    x: ndarray,
    kernel: Pair,
    out: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> ndarray:
    """Return the elements of all windows.

    The result is (channels · kernel height · kernel width, images · out height · out width).
    """
    import cupy

    images, channels, height, width = x.shape
    columns = cupy.empty((channels * math.prod(kernel), images * math.prod(out)), x.dtype)
    numbers = numbers_of_windows((height, width), out, padding)
    loop = elementwise("unfold", *kernel, *stride, *dilation)
    size = images * channels * math.prod(out)
    return loop(cupy.ascontiguousarray(x), images, channels, *numbers, columns, size=size)


def _channels_first(g: ndarray, groups: int) -> Any:
    """Return images (N, channels, h, w) as (groups, channels / groups, N · h · w)."""
    return g.swapaxes(0, 1).reshape(
        groups,
        g.shape[1] // groups,
        -1,
    )


@kernels.register()
def conv2d(
    x: ndarray,
    weight: ndarray,
    bias: ndarray | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Unfold all images and multiply once."""
    import cupy

    arrays = (x, weight) if bias is None else (x, weight, bias)
    if not suits("unfold", *arrays) or x.shape[1] != weight.shape[1] * groups:
        return NotImplemented
    channels, _, *kernel = weight.shape
    size = output_size(x.shape[2:], kernel, stride, padding, dilation)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the padded image")
    if not counted(*x.shape[:2], *kernel, *size):
        return NotImplemented
    columns = _unfold(x, kernel, size, stride, padding, dilation)
    rows = weight.reshape(groups, channels // groups, -1)
    out = product(rows, columns.reshape(groups, rows.shape[2], -1))
    out = out.reshape(channels, x.shape[0], *size).swapaxes(0, 1)
    if bias is None:
        return cupy.ascontiguousarray(out)
    return cupy.add(
        out,
        bias[:, None, None],
        out=cupy.empty(out.shape, out.dtype),
    )


@kernels.register()
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
    """Unfold all images and multiply once."""
    if not suits("unfold", g, x) or not counted(*x.shape[:2], *kernel, *g.shape[2:]):
        return NotImplemented
    columns = _unfold(x, kernel, g.shape[2:], stride, padding, dilation)
    columns = columns.reshape(groups, -1, columns.shape[1])
    out = product(_channels_first(g, groups), columns.swapaxes(1, 2))
    return out.reshape(g.shape[1], x.shape[1] // groups, *kernel)


@kernels.register()
def conv2d_input_gradient(
    g: ndarray,
    weight: ndarray,
    size: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Multiply once, and let every pixel gather its products."""
    import cupy

    in_channels, *kernel = weight.shape[1:]
    if not suits("fold", g, weight) or not counted(
        len(g), groups * in_channels, *kernel, *g.shape[2:]
    ):
        return NotImplemented
    rows = weight.reshape(groups, weight.shape[0] // groups, -1).swapaxes(1, 2)
    columns = cupy.ascontiguousarray(product(rows, _channels_first(g, groups)))
    out = cupy.empty((g.shape[0], groups * in_channels, *size), g.dtype)
    numbers = numbers_of_windows(size, g.shape[2:], padding)
    loop = elementwise("fold", *kernel, *stride, *dilation)
    return loop(columns, len(g), groups * in_channels, *numbers, out)
