"""Functions of the standard whose CuPy versions wait for the GPU or cannot be captured."""

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
def clip(
    x: ndarray,
    min: Any = None,
    max: Any = None,
) -> Any:
    """Call ``maximum`` and ``minimum``.

    The wrapper of array-api-compat indexes with masks, which waits for the GPU.
    """
    import cupy

    if x.dtype.kind != "f" or (min is None and max is None):
        return NotImplemented
    for function, limit in ((cupy.maximum, min), (cupy.minimum, max)):
        x = x if limit is None else function(x, of_dtype(x.dtype, limit))
    return x


@kernels.register()
def sum(
    x: ndarray,
    *,
    axis: int | tuple[int, ...] | None = None,
    dtype: Any = None,
    keepdims: bool = False,
) -> Any:
    """Sum a matrix to one row."""
    if x.ndim != 2 or axis not in (0, (0,)) or dtype is not None or keepdims:
        return NotImplemented
    return sums(x, 0) if x.dtype.char in "fd" else NotImplemented


@kernels.register()
def matmul(x1: ndarray, x2: ndarray) -> Any:
    """Multiply floating or complex vectors, matrices and stacks of matrices by cuBLAS."""
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
            # One product of all rows of the stack.
            x1, x2 = x1.reshape(-1, x1.shape[-1]), x2.reshape(x2.shape[-2:])
        elif math.prod(x1.shape[:-2]) == 1:
            x1 = x1.reshape(x1.shape[-2:])
        else:
            x1, x2 = (cupy.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (x1, x2))
    if max(x1.size, x2.size, math.prod(batch)) >= COUNTED:
        return NotImplemented
    return multiply(x1, x2).reshape((*batch, *rows, *columns))


def product(x1: ndarray, x2: ndarray) -> Any:
    """Multiply, by CuPy's function if cuBLAS does not support the arrays."""
    import cupy

    out = matmul(x1, x2)
    return cupy.matmul(x1, x2) if out is NotImplemented else out


@kernels.register()
def tensordot(
    x1: ndarray,
    x2: ndarray,
    /,
    *,
    axes: int | tuple[Sequence[int], Sequence[int]] = 2,
) -> Any:
    """Bring the summed axes together, and compute one product of matrices."""
    if isinstance(axes, int):
        axes = range(x1.ndim - axes, x1.ndim), range(axes)
    if not is_multiplied(x1, x2) or not all(map(_are_axes, (x1, x2), axes)):
        return NotImplemented
    summed1 = [axis % x1.ndim for axis in axes[0]]
    summed2 = [axis % x2.ndim for axis in axes[1]]
    kept1 = [axis for axis in range(x1.ndim) if axis not in summed1]
    kept2 = [axis for axis in range(x2.ndim) if axis not in summed2]
    lengths = [x1.shape[axis] for axis in summed1]
    if lengths != [x2.shape[axis] for axis in summed2]:
        return NotImplemented
    rows = x1.transpose(*kept1, *summed1).reshape(-1, math.prod(lengths))
    columns = x2.transpose(*summed2, *kept2).reshape(math.prod(lengths), -1)
    shape = [x1.shape[axis] for axis in kept1] + [x2.shape[axis] for axis in kept2]
    return product(rows, columns).reshape(shape)


def _are_axes(x: ndarray, axes: Sequence[int]) -> bool:
    """Return whether these are distinct axes of an array."""
    if not all(-x.ndim <= axis < x.ndim for axis in axes):
        return False
    return len({axis % x.ndim for axis in axes}) == len(axes)


@kernels.register()
def vecdot(
    x1: ndarray,
    x2: ndarray,
    /,
    *,
    axis: int = -1,
) -> Any:
    """Multiply and sum, since cuBLAS would compute one product for each pair of vectors."""
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
            # Copied, because the result shares no memory with x.
            out = x.copy() if out is None else product(out, x)
        x = product(x, x) if n else x
    return out


kernels["linalg.matrix_power"] = matrix_power
