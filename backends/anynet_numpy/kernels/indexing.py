"""Additions at indices, and sums over broadcast axes."""

from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_numpy.floats import ZERO, ones

kernels = Kernels()

#: Slices of as many elements are added one by one, which is faster than add.at().
LARGE = 256


@kernels.register(Aliasing.FRESH)
def index_add(
    g: ndarray,
    indices: ndarray,
    axis: int,
    length: int,
) -> ndarray:
    """Add slices at their indices."""
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype)
    if indices.size * LARGE <= g.size:
        sums, slices = np.moveaxis(out, axis, 0), np.moveaxis(g, axis, 0)
        for i, index in enumerate(indices.tolist()):
            sums[index] += slices[i]
        return out
    at: Any = (slice(None),) * axis + (indices,)
    np.add.at(out, at, g)
    return out


@kernels.register(Aliasing.FRESH)
def scatter_add(
    g: ndarray,
    indices: ndarray,
    axis: int,
    length: int,
) -> ndarray:
    """Add elements at their indices."""
    axis %= g.ndim
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype)
    at: Any = list(np.indices(g.shape, sparse=True))
    at[axis] = indices
    np.add.at(out, tuple(at), g)
    return out


@kernels.register(Aliasing.FRESH)
def sum_to(g: ndarray, shape: tuple[int, ...]) -> Any:
    """Sum a matrix to one row by a product with ones, which is faster than a reduction.

    The gradient of a layer's bias is such a sum.
    """
    if g.ndim != 2 or shape != g.shape[1:] or g.dtype not in ZERO:
        return NotImplemented
    return np.dot(ones(len(g), g.dtype.char), g)


@kernels.lowering(sum_to)
def lower_sum_to(
    emit: Emit,
    g: ndarray,
    shape: tuple[int, ...],
) -> Any:
    """Multiply with ones."""
    return emit(
        np.dot,
        ones(g.shape[0], g.dtype.char),
        g,
    )
