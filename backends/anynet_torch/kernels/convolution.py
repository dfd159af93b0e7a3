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

#: Channels for which turning images round is worth while.
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
) -> Any:
    """Convolve; uneven padding is added first."""
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
    """Go back to the input; uneven padding is taken off last. PyTorch has no way back of complex
    images.
    """
    if g.dtype is not weight.dtype:
        g, weight = of_one_dtype(g, weight)
    if g.dtype.is_complex:
        return NotImplemented
    even = symmetric(padding)
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
    return found if even else padded(found, ((-top, -bottom), (-left, -right)))


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
    """Go back to the weights; PyTorch has no way back of complex images."""
    if g.dtype is not x.dtype:
        g, x = of_one_dtype(g, x)
    if g.dtype.is_complex:
        return NotImplemented
    even = symmetric(padding)
    if even is None:
        x, even = padded(x, padding), [0, 0]
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


def _channels_last(weight: Tensor, *arrays: Tensor) -> Any:
    """Lay images out with their channels beside each other on a CPU, whose library takes many
    channels at a time.
    """
    if max(weight[:2]) < _CHANNELS or devices.device_type(arrays[0]) != "cpu":
        return arrays
    return [_turned(x) for x in arrays]


def _turned(x: Tensor) -> Any:
    if x.shape[1] > 1:
        return x.contiguous(memory_format=torch.channels_last)
    # Of one channel both orders are one, and only strides tell which is meant.
    n, c, h, w = x.shape
    return x.reshape(n, h, w, c).permute(0, 3, 1, 2)
