"""Pooling by PyTorch's own functions.

For windows of 2×2 side by side on a CPU, these take ten times as long as maxima of pairs: of each
two elements in a row, then of each two of the results in a column.
"""

from operator import call
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from anynet.compiler.recorder import value_of
from anynet.kernel import Aliasing, Emit, Kernels
from anynet.primitives.convolution import Padding, Pair
from anynet_torch import devices
from anynet_torch.padding import symmetric

kernels = Kernels()


def _supported(kernel: Pair, padding: Padding) -> list[int] | None:
    """Return the padding in PyTorch's form, None if PyTorch does not support it."""
    even = symmetric(padding)
    if even is None or 2 * even[0] > kernel[0] or 2 * even[1] > kernel[1]:
        return None
    return even


@kernels.register(Aliasing.FRESH)
def max_pool2d(
    x: Tensor,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Return the maxima of pairs, or call PyTorch's function."""
    even = _supported(kernel, padding)
    if even is None:
        return NotImplemented
    if in_pairs(x, kernel, stride, padding):
        return largest_in_pairs(call, x)
    return torch.ops.aten.max_pool2d_with_indices(x, kernel, stride, even)[0]


@kernels.lowering(max_pool2d)
def lower_max_pool2d(
    emit: Emit,
    x: Tensor,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Compute maxima of pairs."""
    if in_pairs(value_of(x), kernel, stride, padding):
        return largest_in_pairs(emit, x)
    return NotImplemented


@kernels.register(Aliasing.FRESH)
def max_pool2d_with_residuals(
    x: Tensor,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Return the indices of the largest elements too. PyTorch finds them in the same pass."""
    even = _supported(kernel, padding)
    if even is None or in_pairs(x, kernel, stride, padding):
        return NotImplemented
    return torch.ops.aten.max_pool2d_with_indices(x, kernel, stride, even)


@kernels.register(Aliasing.FRESH)
def max_pool2d_gradient(
    g: Tensor,
    x: Tensor,
    largest: Tensor,
    *residuals: Tensor,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Add at the indices, or go back from pairs to pairs."""
    even = _supported(kernel, padding)
    if even is None or g.dtype is not x.dtype:
        return NotImplemented
    if in_pairs(x, kernel, stride, padding) and not g.requires_grad:
        return spread_in_pairs(call, g, x)
    if not residuals:
        _, *residuals = torch.ops.aten.max_pool2d_with_indices(x, kernel, stride, even)
    settings = kernel, stride, even, [1, 1], False
    return torch.ops.aten.max_pool2d_with_indices_backward(g, x, *settings, *residuals)


@kernels.lowering(max_pool2d_gradient)
def lower_max_pool2d_gradient(
    emit: Emit,
    g: Tensor,
    x: Tensor,
    largest: Tensor,
    *residuals: Tensor,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Go back from pairs to pairs."""
    if in_pairs(value_of(x), kernel, stride, padding):
        return spread_in_pairs(emit, g, x)
    return NotImplemented


def in_pairs(
    x: Tensor,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> bool:
    """Return whether windows are of 2×2 and side by side, on a CPU."""
    sides = tuple(kernel) == tuple(stride) == (2, 2) and not any(map(any, padding))
    return sides and min(x.shape[2:]) > 1 and devices.device_type(x) == "cpu"


def largest_in_pairs(emit: Emit, x: Tensor) -> Any:
    """Return the larger of each two in a row, and of each two of these in a column."""
    rows = emit(larger, x, -1)
    return emit(larger, rows, -2)


def spread_in_pairs(
    emit: Emit,
    g: Tensor,
    x: Tensor,
) -> Any:
    """Return the gradient: first to one of two in a column, then to one of two in a row."""
    below = emit(second, emit(larger, x, -1), -2)
    rows = emit(spread, g, below, -2, x.shape[-2])
    return emit(
        spread,
        rows,
        emit(second, x, -1),
        -1,
        x.shape[-1],
    )


def _pairs(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return the first and the second of each two along an axis, without an odd last one."""
    even = x.narrow(axis, 0, x.shape[axis] // 2 * 2)
    if axis == -1:
        return even[..., ::2], even[..., 1::2]
    return even[..., ::2, :], even[..., 1::2, :]


def larger(
    x: Tensor,
    axis: int,
    out: Tensor | None = None,
) -> Tensor:
    """Return the larger of each two along an axis."""
    return torch.maximum(*_pairs(x, axis), out=out)


def second(
    x: Tensor,
    axis: int,
    out: Tensor | None = None,
) -> Tensor:
    """Return 1 for each two along an axis where the second is larger, and 0 elsewhere."""
    first, other = _pairs(x, axis)
    return torch.gt(other, first, out=torch.empty_like(first) if out is None else out)


def spread(
    g: Tensor,
    seconds: Tensor,
    axis: int,
    length: int,
    out: Tensor | None = None,
) -> Tensor:
    """Return each cotangent at the first or the second of two along an axis of this length.

    The other elements are zero.
    """
    if out is None:
        shape = list(g.shape)
        shape[axis] = length
        last = seconds.is_contiguous(memory_format=torch.channels_last)
        order = torch.channels_last if last else torch.contiguous_format
        out = torch.empty(shape, dtype=g.dtype, memory_format=order)
    if length % 2:
        out.zero_()
    first, other = _pairs(out, axis)
    torch.mul(g, seconds, out=other)
    torch.sub(g, other, out=first)
    return out


kernels.declare(Aliasing.OUT, larger, second, spread)


@kernels.register(Aliasing.FRESH)
def avg_pool2d(
    x: Tensor,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Call PyTorch's function, which supports real images."""
    even = _supported(kernel, padding)
    if even is None or x.dtype.is_complex:
        return NotImplemented
    return functional.avg_pool2d(x, kernel, stride, even)
