"""Maximum pooling by XLA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet.primitives.convolution import Padding, Pair

if TYPE_CHECKING:
    from jax import Array

kernels = Kernels()


def _pool(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    from jax import lax, numpy

    windows, strides = (1, 1, *kernel), (1, 1, *stride)
    return lax.reduce_window(
        x,
        -numpy.inf,
        lax.max,
        windows,
        strides,
        ((0, 0), (0, 0), *padding),
    )


@kernels.register()
def max_pool2d(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Reduce every window."""
    if x.dtype.kind != "f":
        return NotImplemented
    y = _pool(x, kernel, stride, padding)
    if min(y.shape[2:]) < 1:
        raise ValueError("the kernel is larger than the image")
    return y


@kernels.register()
def max_pool2d_gradient(
    g: Array,
    x: Array,
    largest: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Call XLA's select and scatter, which takes the first of equal elements."""
    from jax import vjp

    if g.dtype != x.dtype or x.dtype.kind != "f":
        return NotImplemented
    return vjp(lambda x: _pool(x, kernel, stride, padding), x)[1](g)[0]
