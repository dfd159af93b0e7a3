"""Functions of the standard: NumPy's own, called directly."""

import math
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from anynet.kernel import Aliasing, Emit, Kernels
from anynet.tracing.standard import CHAPTERS
from anynet_numpy import older
from anynet_numpy.floats import ZERO
from anynet_numpy.memory import LEAST, fresh

kernels = Kernels()


@kernels.register(Aliasing.OUT)
def matmul(x1: np.ndarray, x2: np.ndarray, out: np.ndarray | None = None) -> Any:
    """Multiply into memory that was used before; `dot` has less to look at than `matmul`.

    A stack of matrices by one is a product of all rows, of which `matmul` makes many small ones.
    """
    if x1.ndim < 2 or x2.ndim != 2 or x1.dtype != x2.dtype or x1.dtype not in ZERO:
        return np.matmul(x1, x2, out=out)
    shape = (*x1.shape[:-1], x2.shape[1])
    if out is None:
        out = fresh(shape, x1.dtype)
    if x1.ndim == 2:
        return np.dot(x1, x2, out=out)
    rows = math.prod(shape[:-1])
    np.dot(x1.reshape(rows, x1.shape[-1]), x2, out=out.reshape(rows, shape[-1]))
    return out


@kernels.lowering(matmul)
def lower_matmul(emit: Emit, x1: np.ndarray, x2: np.ndarray) -> Any:
    """Multiply; where results are large, the kernel knows of memory that was used before."""
    small = x1.ndim == x2.ndim == 2 and x1.shape[0] * x2.shape[1] * x1.dtype.itemsize < LEAST
    return emit(
        np.dot if small and x1.dtype in ZERO and x1.dtype == x2.dtype else matmul,
        x1,
        x2,
    )


@kernels.register()
def matrix_transpose(x: np.ndarray) -> Any:
    """Ask the array itself."""
    return x.mT


@kernels.lowering(matrix_transpose)
def lower_matrix_transpose(emit: Emit, x: np.ndarray) -> Any:
    """Ask the array itself."""
    return emit(np.ndarray.transpose, x) if x.ndim == 2 else NotImplemented


_ELEMENTWISE = [getattr(xp, name) for name in CHAPTERS["elementwise"]]

kernels.declare(Aliasing.IN_PLACE, *[f for f in _ELEMENTWISE if isinstance(f, np.ufunc)])
kernels.declare(Aliasing.OUT, np.dot, np.maximum.reduce)
kernels.declare(Aliasing.FRESH, xp.mean, xp.sum, np.add.reduce, np.ndarray.take)
kernels.update(older.KERNELS)
