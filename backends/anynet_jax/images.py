"""JAX's kernels for images: its own pooling and convolution, and its own way back to the weights.

Not the one from a strided convolution to its input: for some strides and paddings XLA for CPUs
(jaxlib 0.10.2) fails a check of its own on it, and ends the process. The reference spreads the
cotangent itself, and convolves what it got.
"""

from collections.abc import Callable
from typing import Any


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


def _pool(x: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    from jax import lax, numpy

    windows, strides = (1, 1, *kernel), (1, 1, *stride)
    return lax.reduce_window(x, -numpy.inf, lax.max, windows, strides, ((0, 0), (0, 0), *padding))


def max_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Reduce every window."""
    y = _pool(x, kernel, stride, padding) if x.dtype.kind == "f" else NotImplemented
    if y is not NotImplemented and min(y.shape[2:]) < 1:
        raise ValueError("the kernel is larger than the image")
    return y


def max_pool2d_gradient(
    g: Any, x: Any, largest: Any, *, kernel: Any, stride: Any, padding: Any
) -> Any:
    """Let XLA select and scatter; of equal elements it, too, takes the first."""
    from jax import vjp

    if g.dtype != x.dtype or x.dtype.kind != "f":
        return NotImplemented
    return vjp(lambda x: _pool(x, kernel, stride, padding), x)[1](g)[0]


_FUNCTIONS = (
    conv2d,
    conv2d_input_gradient,
    conv2d_weight_gradient,
    max_pool2d,
    max_pool2d_gradient,
)
KERNELS: dict[str, Callable[..., Any]] = {function.__name__: function for function in _FUNCTIONS}
