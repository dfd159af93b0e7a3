"""Convolutions by XLA, and their gradients by transposition.

The gradient of a strided convolution by its input is left to the reference: for some strides and
paddings, XLA for CPUs (jaxlib 0.10.2) fails one of its checks on it and ends the process.
"""

from typing import Any

from anynet.kernel import Kernels

kernels = Kernels()


def _conv(
    x: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
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
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Convolve."""
    if x.dtype != weight.dtype:
        return NotImplemented
    y = _conv(x, weight, stride, padding, dilation, groups)
    if min(y.shape[2:]) < 1:
        raise ValueError("the kernel is larger than the image")
    return y if bias is None else y + bias[:, None, None]


@kernels.register()
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
    """Transpose the function that is linear in the weights."""
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
    g: Any,
    weight: Any,
    size: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Transpose the function that is linear in the images, where that is safe."""
    from jax import linear_transpose

    reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    within = all(0 <= n <= most for sides, most in zip(padding, reach, strict=True) for n in sides)
    if g.dtype != weight.dtype or tuple(stride) != (1, 1) or not within:
        return NotImplemented
    x = _empty((g.shape[0], weight.shape[1] * groups, *size), g)
    return linear_transpose(lambda x: _conv(x, weight, stride, padding, dilation, groups), x)(g)[0]
