"""Additions at indices, and sums over broadcast axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_cupy.elementwise import declared, elementwise
from anynet_cupy.kernels.standard import sum
from anynet_cupy.product import COUNTED

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


@kernels.register()
def index_add(
    g: ndarray,
    indices: ndarray,
    axis: int,
    length: int,
) -> Any:
    """Add slices at their indices. See `scatter_add`."""
    ones = (1,) * (g.ndim - axis - 1)
    return scatter_add(g, indices.reshape(-1, *ones), axis, length)


@kernels.register()
def scatter_add(
    g: ndarray,
    indices: ndarray,
    axis: int,
    length: int,
) -> Any:
    """Add elements at their indices in one launch.

    The order of additions is arbitrary, so the last bits of a sum may differ between calls.
    """
    import cupy

    axis %= g.ndim
    if g.dtype.kind == "c":
        # The real and the imaginary parts are adjacent.
        parts = cupy.ascontiguousarray(g)[..., None].view(g.real.dtype)
        out = scatter_add(parts, indices[..., None], axis, length)
        return out if out is NotImplemented else out.view(g.dtype)[..., 0]
    if not declared("scatter_add", g, L=indices) or max(g.size, length) >= COUNTED:
        return NotImplemented
    after = g.shape[axis + 1 :]
    out = cupy.zeros((*g.shape[:axis], length, *after), g.dtype)
    g = cupy.ascontiguousarray(g)
    return elementwise("scatter_add")(
        g,
        indices,
        g.shape[axis],
        math.prod(after),
        length,
        out,
    )


@kernels.register()
def sum_to(g: ndarray, shape: tuple[int, ...]) -> Any:
    """Sum a matrix to one row. The gradient of a layer's bias is such a sum."""
    return sum(g, axis=0) if shape == g.shape[1:] else NotImplemented
