"""Convolutions and their gradients by PyTorch's own functions."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.convolution import Padding, Pair
from anynet_torch import devices
from anynet_torch.dtypes import of_one_dtype
from anynet_torch.padding import padded, symmetric

kernels = Kernels()

#: The fewest channels of images that are faster with their channels last.
_CHANNELS = 8


@kernels.register(Aliasing.FRESH)
def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """Add uneven padding before the convolution."""
    if x.dtype is not weight.dtype or (bias is not None and bias.dtype is not x.dtype):
        x, weight, bias = of_one_dtype(x, weight, bias)
    even = symmetric(padding)
    if even is None:
        x, even = padded(x, padding), [0, 0]
    x, weight = _channels_last(weight.shape, x, weight)
    return torch.conv2d(x, weight, bias, stride, even, dilation, groups)


@kernels.register(Aliasing.FRESH)
def conv2d_input_gradient(
    g: Tensor,
    weight: Tensor,
    size: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Remove uneven padding from the result.

    PyTorch has no gradient for complex images.
    """
    if g.dtype is not weight.dtype:
        g, weight = of_one_dtype(g, weight)
    if g.dtype.is_complex:
        return NotImplemented
    even = symmetric(padding)
    (top, bottom), (left, right) = ((0, 0), (0, 0)) if even else padding
    height, width = size[0] + top + bottom, size[1] + left + right
    shape = g.shape[0], weight.shape[1] * groups, height, width
    like = weight.new_empty(1).expand(shape)
    g, weight = _channels_last(weight.shape, g, weight)
    settings = stride, even or [0, 0], dilation, False, [0, 0], groups, (True, False, False)
    out = torch.ops.aten.convolution_backward(g, like, weight, None, *settings)[0]
    return out if even else padded(out, ((-top, -bottom), (-left, -right)))


@kernels.register(Aliasing.FRESH)
def conv2d_weight_gradient(
    g: Tensor,
    x: Tensor,
    kernel: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Add uneven padding to the images.

    PyTorch has no gradient for complex images.
    """
    if g.dtype is not x.dtype:
        g, x = of_one_dtype(g, x)
    if g.dtype.is_complex:
        return NotImplemented
    even = symmetric(padding)
    if even is None:
        x, even = padded(x, padding), [0, 0]
    like = x.new_empty(1).expand((g.shape[1], x.shape[1] // groups, *kernel))
    x, g = _channels_last(like.shape, x, g)
    settings = stride, even, dilation, False, [0, 0], groups, (False, True, False)
    return torch.ops.aten.convolution_backward(g, x, like, None, *settings)[1]


def _channels_last(shape: tuple[int, ...], *arrays: Tensor) -> Any:
    """Return images with their channels last in memory, on a CPU.

    PyTorch's library for CPUs takes many channels at a time. The shape is that of the weights.
    """
    if max(shape[:2]) < _CHANNELS or devices.device_type(arrays[0]) != "cpu":
        return arrays
    return [_permuted(x) for x in arrays]


def _permuted(x: Tensor) -> Tensor:
    if x.shape[1] > 1:
        return x.contiguous(memory_format=torch.channels_last)
    # With one channel both orders have the same memory. Only the strides differ.
    n, channels, height, width = x.shape
    return x.reshape(n, height, width, channels).permute(0, 3, 1, 2)
