"""Convolutions by XLA, and their gradients by transposition.

The gradient of a strided convolution by its input is left to the reference: for some strides and
paddings, XLA for CPUs (jaxlib 0.10.2) fails one of its checks on it and ends the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet.primitives.convolution import Padding, Pair

if TYPE_CHECKING:
    from jax import Array

kernels = Kernels()


def _conv(
    x: Array,
    weight: Array,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    from jax import lax

    return lax.conv_general_dilated(
        x,
        weight,
        stride,
        padding,
        rhs_dilation=dilation,
        feature_group_count=groups,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )


def _empty(shape: tuple[int, ...], like: Any) -> Any:
    from jax import ShapeDtypeStruct

    return ShapeDtypeStruct(shape, like.dtype)


@kernels.register()
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Call XLA's convolution."""
    if x.dtype != weight.dtype:
        return NotImplemented
    y = _conv(x, weight, stride, padding, dilation, groups)
    if min(y.shape[2:]) < 1:
        raise ValueError("the kernel is larger than the image")
    return y if bias is None else y + bias[:, None, None]


@kernels.register()
def conv2d_weight_gradient(
    g: Array,
    x: Array,
    kernel: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Transpose the convolution as a linear function of the weights."""
    from jax import linear_transpose

    if g.dtype != x.dtype:
        return NotImplemented
    weight = _empty((g.shape[1], x.shape[1] // groups, *kernel), g)
    return linear_transpose(
        lambda weight: _conv(x, weight, stride, padding, dilation, groups),
        weight,
    )(g)[0]


@kernels.register()
def conv2d_input_gradient(
    g: Array,
    weight: Array,
    size: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Transpose the convolution as a linear function of the images, where that is safe."""
    from jax import linear_transpose

    if g.dtype != weight.dtype or tuple(stride) != (1, 1):
        return NotImplemented
    for i in (0, 1):
        reach = dilation[i] * (weight.shape[2 + i] - 1)
        if not all(0 <= n <= reach for n in padding[i]):
            return NotImplemented
    x = _empty((g.shape[0], weight.shape[1] * groups, *size), g)
    return linear_transpose(lambda x: _conv(x, weight, stride, padding, dilation, groups), x)(g)[0]
