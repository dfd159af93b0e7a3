"""JAX's kernels for images: its own convolutions, and its own ways back through them."""

from collections.abc import Callable
from typing import Any


def _conv(x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
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


def conv2d(x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Convolve."""
    if x.dtype != weight.dtype:
        return NotImplemented
    y = _conv(x, weight, stride, padding, dilation, groups)
    return y if bias is None else y + bias[:, None, None]


def conv2d_transposed(g: Any, weight: Any, size: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Transpose the function that is linear in x."""
    from jax import linear_transpose

    if g.dtype != weight.dtype:
        return NotImplemented
    x = _empty((g.shape[0], weight.shape[1] * groups, *size), g)
    return linear_transpose(lambda x: _conv(x, weight, stride, padding, dilation, groups), x)(g)[0]


def conv2d_weight(g: Any, x: Any, kernel: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Transpose the function that is linear in the weights."""
    from jax import linear_transpose

    if g.dtype != x.dtype:
        return NotImplemented
    weight = _empty((g.shape[1], x.shape[1] // groups, *kernel), g)
    return linear_transpose(lambda weight: _conv(x, weight, stride, padding, dilation, groups), weight)(g)[0]


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (conv2d, conv2d_transposed, conv2d_weight)
}
