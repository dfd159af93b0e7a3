"""PyTorch's kernels for images: its own convolutions and pooling, and the ways back through them."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional


def _symmetric(padding: Any) -> list[int] | None:
    """Return the padding as PyTorch takes it, None where the sides differ."""
    (top, bottom), (left, right) = padding
    return [top, left] if top == bottom >= 0 and left == right >= 0 else None


def _padded(x: Any, padding: Any, fill: float = 0.0) -> Any:
    (top, bottom), (left, right) = padding
    return functional.pad(x, (left, right, top, bottom), value=fill)


def conv2d(x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Convolve; uneven padding is added first."""
    if x.dtype is not weight.dtype:
        return NotImplemented
    even = _symmetric(padding)
    if even is None:
        x, even = _padded(x, padding), [0, 0]
    return torch.conv2d(x, weight, bias, stride, even, dilation, groups)


def conv2d_transposed(g: Any, weight: Any, size: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Go back to the input; uneven padding is taken off last."""
    if g.dtype is not weight.dtype:
        return NotImplemented
    even = _symmetric(padding)
    (top, bottom), (left, right) = ((0, 0), (0, 0)) if even else padding
    shape = (g.shape[0], weight.shape[1] * groups, size[0] + top + bottom, size[1] + left + right)
    like = weight.new_empty(1).expand(shape)
    settings = (stride, even or [0, 0], dilation, False, [0, 0], groups, (True, False, False))
    found = torch.ops.aten.convolution_backward(g, like, weight, None, *settings)[0]
    return found if even else _padded(found, ((-top, -bottom), (-left, -right)))


def conv2d_weight(g: Any, x: Any, kernel: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Go back to the weights."""
    if g.dtype is not x.dtype:
        return NotImplemented
    even = _symmetric(padding)
    if even is None:
        x, even = _padded(x, padding), [0, 0]
    like = x.new_empty(1).expand((g.shape[1], x.shape[1] // groups, *kernel))
    settings = (stride, even, dilation, False, [0, 0], groups, (False, True, False))
    return torch.ops.aten.convolution_backward(g, x, like, None, *settings)[1]


def max_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Take PyTorch's, where it allows so much padding."""
    even = _symmetric(padding)
    if even is None or 2 * even[0] > kernel[0] or 2 * even[1] > kernel[1]:
        return NotImplemented
    return functional.max_pool2d(x, kernel, stride, even)


def spread_to_largest(g: Any, x: Any, largest: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Find the places again, which costs less than keeping them did."""
    even = _symmetric(padding)
    if even is None or 2 * even[0] > kernel[0] or 2 * even[1] > kernel[1] or g.dtype is not x.dtype:
        return NotImplemented
    places = torch.ops.aten.max_pool2d_with_indices(x, kernel, stride, even)[1]
    return torch.ops.aten.max_pool2d_with_indices_backward(g, x, kernel, stride, even, [1, 1], False, places)


def avg_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Take PyTorch's, where it allows so much padding."""
    even = _symmetric(padding)
    if even is None or 2 * even[0] > kernel[0] or 2 * even[1] > kernel[1]:
        return NotImplemented
    return functional.avg_pool2d(x, kernel, stride, even)


def standardize(x: Any, axis: tuple[int, ...], epsilon: float) -> Any:
    """Take the batch norm without weights, where the axes are those of one."""
    if axis != (0, *range(2, x.ndim)):
        variance, mean = torch.var_mean(x, axis, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + epsilon), mean, variance
    y, mean, scale = torch.native_batch_norm(x, None, None, None, None, True, 0.0, epsilon)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return y, mean.reshape(shape), torch.clamp(scale.reshape(shape) ** -2 - epsilon, 0)


def standardize_gradient(g: Any, x: Any, out: Any, axis: tuple[int, ...], epsilon: float) -> Any:
    """Take the way back through the batch norm."""
    _, mean, variance = out
    if axis != (0, *range(2, x.ndim)) or g.dtype is not x.dtype:
        return NotImplemented
    statistics = mean.reshape(-1), torch.rsqrt(variance.reshape(-1) + epsilon)
    settings = (None, None, None, *statistics, True, epsilon, (True, False, False))
    return torch.ops.aten.native_batch_norm_backward(g, x, *settings)[0]


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        avg_pool2d,
        conv2d,
        conv2d_transposed,
        conv2d_weight,
        max_pool2d,
        spread_to_largest,
        standardize,
        standardize_gradient,
    )
}
