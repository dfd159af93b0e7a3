"""PyTorch's kernels for images: its own convolutions and pooling, and the ways back through
them.
"""

from collections.abc import Callable
from functools import reduce
from operator import call
from typing import Any

import torch
from torch.nn import functional

from anynet_torch import devices

Do = Callable[..., Any]

#: Channels for which turning images round is worth while.
_CHANNELS = 8


def of_one_dtype(*arrays: Any) -> list[Any]:
    """Return arrays in the dtype that the standard's rules, and PyTorch's for 16 bits, give them
    together.
    """
    dtype = reduce(torch.promote_types, (x.dtype for x in arrays if x is not None))
    return [x if x is None else x.to(dtype) for x in arrays]


def _symmetric(padding: Any) -> list[int] | None:
    """Return the padding as PyTorch takes it, None where the sides differ."""
    (top, bottom), (left, right) = padding
    return [top, left] if top == bottom >= 0 and left == right >= 0 else None


def _padded(x: Any, padding: Any, fill: float = 0.0) -> Any:
    (top, bottom), (left, right) = padding
    return functional.pad(x, (left, right, top, bottom), value=fill)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Convolve; uneven padding is added first."""
    if x.dtype is not weight.dtype or (bias is not None and bias.dtype is not x.dtype):
        x, weight, bias = of_one_dtype(x, weight, bias)
    even = _symmetric(padding)
    if even is None:
        x, even = _padded(x, padding), [0, 0]
    x, weight = _channels_last(weight.shape, x, weight)
    return torch.conv2d(x, weight, bias, stride, even, dilation, groups)


def conv2d_input_gradient(
    g: Any,
    weight: Any,
    size: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Go back to the input; uneven padding is taken off last. PyTorch has no way back of complex
    images.
    """
    if g.dtype is not weight.dtype:
        g, weight = of_one_dtype(g, weight)
    if g.dtype.is_complex:
        return NotImplemented
    even = _symmetric(padding)
    (top, bottom), (left, right) = ((0, 0), (0, 0)) if even else padding
    shape = (
        g.shape[0],
        weight.shape[1] * groups,
        size[0] + top + bottom,
        size[1] + left + right,
    )
    like = weight.new_empty(1).expand(shape)
    settings = (
        stride,
        even or [0, 0],
        dilation,
        False,
        [0, 0],
        groups,
        (True, False, False),
    )
    g, weight = _channels_last(weight.shape, g, weight)
    found = torch.ops.aten.convolution_backward(g, like, weight, None, *settings)[0]
    return found if even else _padded(found, ((-top, -bottom), (-left, -right)))


def conv2d_weight_gradient(
    g: Any,
    x: Any,
    kernel: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Go back to the weights; PyTorch has no way back of complex images."""
    if g.dtype is not x.dtype:
        g, x = of_one_dtype(g, x)
    if g.dtype.is_complex:
        return NotImplemented
    even = _symmetric(padding)
    if even is None:
        x, even = _padded(x, padding), [0, 0]
    like = x.new_empty(1).expand((g.shape[1], x.shape[1] // groups, *kernel))
    settings = (
        stride,
        even,
        dilation,
        False,
        [0, 0],
        groups,
        (False, True, False),
    )
    x, g = _channels_last(like.shape, x, g)
    return torch.ops.aten.convolution_backward(g, x, like, None, *settings)[1]


def _channels_last(weight: Any, *arrays: Any) -> Any:
    """Lay images out with their channels beside each other on a CPU, whose library takes many
    channels at a time.
    """
    if max(weight[:2]) < _CHANNELS or devices.device_type(arrays[0]) != "cpu":
        return arrays
    return [_turned(x) for x in arrays]


def _turned(x: Any) -> Any:
    if x.shape[1] > 1:
        return x.contiguous(memory_format=torch.channels_last)
    # Of one channel both orders are one, and only strides tell which is meant.
    n, c, h, w = x.shape
    return x.reshape(n, h, w, c).permute(0, 3, 1, 2)


def _pools(kernel: Any, padding: Any) -> list[int] | None:
    """Return the padding as PyTorch takes it, None where it allows not so much."""
    even = _symmetric(padding)
    return None if even is None or 2 * even[0] > kernel[0] or 2 * even[1] > kernel[1] else even


def max_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Keep the places of the largest elements beside them, for the way back."""
    even = _pools(kernel, padding)
    if even is None:
        return NotImplemented
    if in_pairs(x, kernel, stride, padding):
        return largest_in_pairs(call, x)
    out, out.places = torch.ops.aten.max_pool2d_with_indices(x, kernel, stride, even)
    return out


def max_pool2d_gradient(
    g: Any, x: Any, largest: Any, *, kernel: Any, stride: Any, padding: Any
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


def in_pairs(x: Any, kernel: Any, stride: Any, padding: Any) -> bool:
    """Tell whether windows are of 2×2 and side by side: PyTorch's own pooling on a CPU takes ten
    times as long.
    """
    sides = tuple(kernel) == tuple(stride) == (2, 2) and not any(map(any, padding))
    return sides and min(x.shape[2:]) > 1 and devices.device_type(x) == "cpu"


def largest_in_pairs(do: Do, x: Any) -> Any:
    """Return the larger one of each two in a row, and of each two of these in a column."""
    return do(larger, do(larger, x, -1), -2)


def spread_in_pairs(do: Do, g: Any, x: Any) -> Any:
    """Go back to one of two in a column, and from there to one of two in a row."""
    rows = do(spread, g, do(second, do(larger, x, -1), -2), -2, x.shape[-2])
    return do(spread, rows, do(second, x, -1), -1, x.shape[-1])


def _pairs(x: Any, axis: int) -> tuple[Any, Any]:
    """Return the first and the second of each two along an axis; a last one without another is left
    out.
    """
    whole = x.narrow(axis, 0, x.shape[axis] // 2 * 2)
    return (
        (whole[..., ::2], whole[..., 1::2])
        if axis == -1
        else (whole[..., ::2, :], whole[..., 1::2, :])
    )


def larger(x: Any, axis: int, out: Any = None) -> Any:
    """Return the larger one of each two along an axis."""
    return torch.maximum(*_pairs(x, axis), out=out)


def second(x: Any, axis: int, out: Any = None) -> Any:
    """Return for each two along an axis 1 where the second is larger, 0 elsewhere: of equal ones,
    the first counts.
    """
    first, other = _pairs(x, axis)
    return torch.gt(other, first, out=torch.empty_like(first) if out is None else out)


def spread(g: Any, seconds: Any, axis: int, length: int, out: Any = None) -> Any:
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


def avg_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Take PyTorch's, which is for real images, where it allows so much padding."""
    even = _pools(kernel, padding)
    return (
        NotImplemented
        if even is None or x.dtype.is_complex
        else functional.avg_pool2d(x, kernel, stride, even)
    )


def standardize(x: Any, axis: tuple[int, ...], epsilon: float) -> Any:
    """Take mean and variance in one call, or all three where axes are the last ones."""
    if not x.numel() or _rounds_statistics(x):
        return NotImplemented
    if axis and axis == tuple(range(x.ndim - len(axis), x.ndim)):
        y, mean, inverse = torch.native_layer_norm(x, x.shape[-len(axis) :], None, None, epsilon)
        return y, mean, torch.clamp(inverse**-2 - epsilon, 0)
    variance, mean = torch.var_mean(x, axis, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + epsilon), mean, variance


def _rounds_statistics(x: Any) -> bool:
    """Tell whether PyTorch rounds mean and variance to the 16 bits of the images, as it does on a
    CPU.
    """
    return x.dtype.itemsize < 4 and devices.device_type(x) == "cpu"


def batch_norm(x: Any, weight: Any, bias: Any, epsilon: float) -> Any:
    """Take PyTorch's, which knows the inverse of the standard deviation."""
    if not x.dtype is weight.dtype is bias.dtype or _rounds_statistics(x):
        return NotImplemented
    y, mean, inverse = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, epsilon)
    return y, mean, torch.clamp(inverse**-2 - epsilon, 0)


def batch_norm_gradient(
    g: Any, x: Any, weight: Any, mean: Any, variance: Any, epsilon: float
) -> Any:
    """Take PyTorch's."""
    if not g.dtype is x.dtype is weight.dtype or _rounds_statistics(x):
        return NotImplemented
    if not mean.dtype is variance.dtype is (torch.float32 if x.dtype.itemsize < 4 else x.dtype):
        return NotImplemented
    statistics = mean, torch.rsqrt(variance + epsilon)
    settings = (None, None, *statistics, True, epsilon, (True, True, True))
    return torch.ops.aten.native_batch_norm_backward(g, x, weight, *settings)


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        avg_pool2d,
        batch_norm,
        batch_norm_gradient,
        conv2d,
        conv2d_input_gradient,
        conv2d_weight_gradient,
        max_pool2d,
        max_pool2d_gradient,
        standardize,
    )
}
