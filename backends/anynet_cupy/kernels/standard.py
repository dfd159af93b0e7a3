"""Functions of the standard that CuPy's own wait for the GPU, or cannot be captured in a graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_cupy.elementwise import of_dtype
from anynet_cupy.product import COUNTED, HALF, ONE, is_multiplied, multiply, sums

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


@kernels.register()
def clip(x: ndarray, min: Any = None, max: Any = None) -> Any:
    """Take the larger, then the smaller of two: the wrapper of the standard reads masks, which
    waits for the GPU.
    """
    import cupy

    if x.dtype.kind != "f" or (min is None and max is None):
        return NotImplemented
    for function, limit in ((cupy.maximum, min), (cupy.minimum, max)):
        x = x if limit is None else function(x, of_dtype(x.dtype, limit))
    return x


@kernels.register()
def sum(x: ndarray, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Sum a matrix to one row."""
    plain = (
        x.ndim == 2
        and axis in (0, (0,))
        and dtype is None
        and not keepdims
        and x.dtype.char in "fd"
    )
    return sums(x, 0) if plain else NotImplemented


@kernels.register()
def matmul(x1: ndarray, x2: ndarray) -> Any:
    """Multiply floating or complex vectors, matrices and stacks of matrices as `numpy.matmul`
    does.
    """
    import cupy

    if not is_multiplied(x1, x2):
        return NotImplemented
    if x1.dtype != x2.dtype:
        dtype = cupy.promote_types(x1.dtype, x2.dtype)
        x1, x2 = x1.astype(dtype, copy=False), x2.astype(dtype, copy=False)
    # A vector is a matrix of one row, or of one column.
    rows, columns = x1.shape[-2:-1], x2.shape[-1:] if x2.ndim > 1 else ()
    x1 = x1 if rows else x1.reshape(1, -1)
    x2 = x2 if columns else x2.reshape(-1, 1)
    if x1.shape[-1] != x2.shape[-2]:
        return NotImplemented
    if x1.shape[:-2] == x2.shape[:-2]:
        batch = x1.shape[:-2]
    else:
        batch = cupy.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
        if math.prod(x2.shape[:-2]) == 1:
            # All rows of a stack by one matrix.
            x1, x2 = x1.reshape(-1, x1.shape[-1]), x2.reshape(x2.shape[-2:])
        elif math.prod(x1.shape[:-2]) == 1:
            x1 = x1.reshape(x1.shape[-2:])
        else:
            x1, x2 = (cupy.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (x1, x2))
    if max(x1.size, x2.size, math.prod(batch)) >= COUNTED:
        return NotImplemented
    return multiply(x1, x2).reshape((*batch, *rows, *columns))


def product(x1: ndarray, x2: ndarray) -> Any:
    """Multiply, as CuPy does it where there is no other way."""
    import cupy

    found = matmul(x1, x2)
    return cupy.matmul(x1, x2) if found is NotImplemented else found


@kernels.register()
def tensordot(
    x1: ndarray, x2: ndarray, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Any:
    """Bring the summed axes together: one product of matrices."""
    if isinstance(axes, int):
        axes = range(x1.ndim - axes, x1.ndim), range(axes)
    if not is_multiplied(x1, x2) or not all(map(_are_axes, (x1, x2), axes)):
        return NotImplemented
    gone1, gone2 = (
        [axis % x.ndim for axis in part] for x, part in zip((x1, x2), axes, strict=True)
    )
    left1, left2 = (
        [axis for axis in range(x.ndim) if axis not in gone]
        for x, gone in ((x1, gone1), (x2, gone2))
    )
    summed = [x1.shape[axis] for axis in gone1]
    if summed != [x2.shape[axis] for axis in gone2]:
        return NotImplemented
    rows = x1.transpose(*left1, *gone1).reshape(-1, math.prod(summed))
    columns = x2.transpose(*gone2, *left2).reshape(math.prod(summed), -1)
    shape = [x1.shape[axis] for axis in left1] + [x2.shape[axis] for axis in left2]
    return product(rows, columns).reshape(shape)


def _are_axes(x: ndarray, axes: Any) -> bool:
    """Tell whether these are axes of an array, each named once."""
    return all(-x.ndim <= axis < x.ndim for axis in axes) and len(
        {axis % x.ndim for axis in axes}
    ) == len(axes)


@kernels.register()
def vecdot(x1: ndarray, x2: ndarray, /, *, axis: int = -1) -> Any:
    """Multiply and sum; as a product it would be one for each pair of vectors."""
    import cupy

    dtype = cupy.promote_types(x1.dtype, x2.dtype)
    fits = -min(x1.ndim, x2.ndim) <= axis < 0 and x1.shape[axis] == x2.shape[axis]
    if dtype.char not in ONE or not fits:
        return NotImplemented
    wide = "f" if dtype.char == HALF else dtype.char
    x1, x2 = (cupy.moveaxis(x, axis, -1).astype(wide, copy=False) for x in (x1, x2))
    return cupy.sum(cupy.conj(x1) * x2, axis=-1).astype(dtype, copy=False)


def matrix_power(x: ndarray, n: int, /) -> Any:
    """Square repeatedly."""
    if n < 1 or x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        return NotImplemented
    out: Any = None
    while n:
        n, odd = divmod(n, 2)
        if odd:
            # New also where it is the first power.
            out = x.copy() if out is None else product(out, x)
        x = product(x, x) if n else x
    return out


kernels["linalg.matrix_power"] = matrix_power
