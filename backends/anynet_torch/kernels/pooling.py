"""Pooling by PyTorch's own functions, and in pairs for windows of 2×2 on a CPU."""

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


def _pools(kernel: Pair, padding: Padding) -> list[int] | None:
    """Return the padding as PyTorch takes it, None where it allows not so much."""
    even = symmetric(padding)
    return None if even is None or 2 * even[0] > kernel[0] or 2 * even[1] > kernel[1] else even


@kernels.register(Aliasing.FRESH)
def max_pool2d(x: Tensor, *, kernel: Pair, stride: Pair, padding: Padding) -> Any:
    """Keep the places of the largest elements beside them, for the way back."""
    even = _pools(kernel, padding)
    if even is None:
        return NotImplemented
    if in_pairs(x, kernel, stride, padding):
        return largest_in_pairs(call, x)
    out, out.places = torch.ops.aten.max_pool2d_with_indices(x, kernel, stride, even)
    return out


@kernels.lowering(max_pool2d)
def lower_max_pool2d(emit: Emit, x: Tensor, *, kernel: Pair, stride: Pair, padding: Padding) -> Any:
    """Look for the largest in pairs."""
    return (
        largest_in_pairs(emit, x)
        if in_pairs(value_of(x), kernel, stride, padding)
        else NotImplemented
    )


@kernels.register(Aliasing.FRESH)
def max_pool2d_gradient(
    g: Tensor, x: Tensor, largest: Tensor, *, kernel: Pair, stride: Pair, padding: Padding
) -> Any:
    """Go back to the places that were kept, or to one of two pairs, and one of its two elements."""
    even = _pools(kernel, padding)
    if even is None or g.dtype is not x.dtype:
        return NotImplemented
    if in_pairs(x, kernel, stride, padding) and not g.requires_grad:
        return spread_in_pairs(call, g, x)
    places = getattr(largest, "places", None)
    if places is None:
        return NotImplemented
    return torch.ops.aten.max_pool2d_with_indices_backward(
        g, x, kernel, stride, even, [1, 1], False, places
    )


@kernels.lowering(max_pool2d_gradient)
def lower_max_pool2d_gradient(
    emit: Emit,
    g: Tensor,
    x: Tensor,
    largest: Tensor,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Spread in pairs."""
    return (
        spread_in_pairs(emit, g, x)
        if in_pairs(value_of(x), kernel, stride, padding)
        else NotImplemented
    )


def in_pairs(x: Tensor, kernel: Pair, stride: Pair, padding: Padding) -> bool:
    """Tell whether windows are of 2×2 and side by side: PyTorch's own pooling on a CPU takes ten
    times as long.
    """
    sides = tuple(kernel) == tuple(stride) == (2, 2) and not any(map(any, padding))
    return sides and min(x.shape[2:]) > 1 and devices.device_type(x) == "cpu"


def largest_in_pairs(emit: Emit, x: Tensor) -> Any:
    """Return the larger one of each two in a row, and of each two of these in a column."""
    return emit(larger, emit(larger, x, -1), -2)


def spread_in_pairs(emit: Emit, g: Tensor, x: Tensor) -> Any:
    """Go back to one of two in a column, and from there to one of two in a row."""
    rows = emit(spread, g, emit(second, emit(larger, x, -1), -2), -2, x.shape[-2])
    return emit(spread, rows, emit(second, x, -1), -1, x.shape[-1])


def _pairs(x: Tensor, axis: int) -> tuple[Any, Any]:
    """Return the first and the second of each two along an axis; a last one without another is left
    out.
    """
    whole = x.narrow(axis, 0, x.shape[axis] // 2 * 2)
    return (
        (whole[..., ::2], whole[..., 1::2])
        if axis == -1
        else (whole[..., ::2, :], whole[..., 1::2, :])
    )


def larger(x: Tensor, axis: int, out: Tensor | None = None) -> Any:
    """Return the larger one of each two along an axis."""
    return torch.maximum(*_pairs(x, axis), out=out)


def second(x: Tensor, axis: int, out: Tensor | None = None) -> Any:
    """Return for each two along an axis 1 where the second is larger, 0 elsewhere: of equal ones,
    the first counts.
    """
    first, other = _pairs(x, axis)
    return torch.gt(other, first, out=torch.empty_like(first) if out is None else out)


def spread(g: Tensor, seconds: Tensor, axis: int, length: int, out: Tensor | None = None) -> Any:
    """Give each cotangent to the first or the second of two along an axis of this length, zeros to
    the others.
    """
    if out is None:
        shape = list(g.shape)
        shape[axis] = length
        order = (
            torch.channels_last
            if seconds.is_contiguous(memory_format=torch.channels_last)
            else None
        )
        out = torch.empty(
            shape,
            dtype=g.dtype,
            memory_format=order or torch.contiguous_format,
        )
    if length % 2:
        out.zero_()
    first, other = _pairs(out, axis)
    torch.mul(g, seconds, out=other)
    torch.sub(g, other, out=first)
    return out


kernels.declare(Aliasing.OUT, larger, second, spread)


@kernels.register(Aliasing.FRESH)
def avg_pool2d(x: Tensor, *, kernel: Pair, stride: Pair, padding: Padding) -> Any:
    """Take PyTorch's, which is for real images, where it allows so much padding."""
    even = _pools(kernel, padding)
    return (
        NotImplemented
        if even is None or x.dtype.is_complex
        else functional.avg_pool2d(x, kernel, stride, even)
    )
