"""ReLU: comparisons with arrays of zeros, since NumPy vectorizes functions of two arrays."""

from typing import Any

import numpy as np
from numpy import ndarray

from anynet.compiler.recorder import value_of
from anynet.kernel import Aliasing, Emit, Kernels
from anynet_numpy.floats import ZERO, zeros
from anynet_numpy.memory import blocks, fresh

kernels = Kernels()

#: Elements of the largest array of zeros that is kept.
MOST_ZEROS = 32768


@kernels.register(Aliasing.IN_PLACE)
def relu(x: ndarray, out: ndarray | None = None) -> Any:
    """Take the maximum of x and zeros, block by block."""
    zero = ZERO.get(x.dtype)
    if zero is None:
        return NotImplemented
    if not x.flags.c_contiguous:
        return np.maximum(x, zero, out=out)
    if out is None:
        out = fresh(x.shape, x.dtype)
    parts = ((x, out),) if x.size <= MOST_ZEROS else blocks(x, out, size=MOST_ZEROS)
    for old, new in parts:
        np.maximum(old, zeros(old.shape, x.dtype.char), out=new)
    return out


@kernels.lowering(relu)
def lower_relu(emit: Emit, x: ndarray) -> Any:
    """Take the maximum of small, contiguous arrays and zeros."""
    if x.size > MOST_ZEROS or not value_of(x).flags.c_contiguous:
        return NotImplemented
    return emit(np.maximum, x, zeros(x.shape, x.dtype.char))


@kernels.register(Aliasing.FRESH)
def relu_gradient(g: ndarray, y: ndarray) -> Any:
    """Multiply by a floating mask in its own memory, in a third of the time of ``where``."""
    zero = ZERO.get(y.dtype)
    if zero is None or g.dtype != y.dtype or not y.ndim:
        return NotImplemented
    mask = np.greater(y, zero, out=fresh(y.shape, y.dtype))
    return np.multiply(g, mask, out=mask)


@kernels.lowering(relu_gradient)
def lower_relu_gradient(
    emit: Emit,
    g: ndarray,
    y: ndarray,
) -> Any:
    """Multiply by a mask."""
    return emit(np.multiply, g, emit(above_zero, y))


def above_zero(x: ndarray, out: ndarray | None = None) -> ndarray:
    """Return ones of x's dtype where x is above zero, zeros elsewhere."""
    out = np.empty_like(x) if out is None else out
    np.greater(x, ZERO[x.dtype], out=out)
    return out


kernels.declare(Aliasing.IN_PLACE, above_zero)
