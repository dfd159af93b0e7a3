"""Functions of the standard: NumPy's own, called directly."""

import math
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Emit, Kernels
from anynet.tracing.standard import CHAPTERS
from anynet_numpy import older
from anynet_numpy.floats import ZERO
from anynet_numpy.memory import LEAST, fresh

kernels = Kernels()


@kernels.register(Aliasing.OUT)
def matmul(
    x1: ndarray,
    x2: ndarray,
    out: ndarray | None = None,
) -> ndarray:
    """Multiply into reused memory by ``dot``, which checks less than ``matmul``.

    A stack of matrices by one matrix is one product of all rows. NumPy computes it as many small
    products.
    """
    if x1.ndim < 2 or x2.ndim != 2 or x1.dtype != x2.dtype or x1.dtype not in ZERO:
        return np.matmul(x1, x2, out=out)
    shape = (*x1.shape[:-1], x2.shape[1])
    if out is None:
        out = fresh(shape, x1.dtype)
    if x1.ndim == 2:
        return np.dot(x1, x2, out=out)
    rows = math.prod(shape[:-1])
    np.dot(
        x1.reshape(rows, x1.shape[-1]),
        x2,
        out=out.reshape(rows, shape[-1]),
    )
    return out


@kernels.lowering(matmul)
def lower_matmul(
    emit: Emit,
    x1: ndarray,
    x2: ndarray,
) -> Any:
    """Multiply. Small matrices do not need the kernel's reused memory."""
    function = np.dot if _is_small(x1, x2) else matmul
    return emit(function, x1, x2)


def _is_small(x1: ndarray, x2: ndarray) -> bool:
    if x1.dtype != x2.dtype or x1.dtype not in ZERO or not x1.ndim == x2.ndim == 2:
        return False
    return bool(x1.shape[0] * x2.shape[1] * x1.dtype.itemsize < LEAST)


@kernels.register()
def matrix_transpose(x: ndarray) -> ndarray:
    """Return the array's attribute."""
    return x.mT


@kernels.lowering(matrix_transpose)
def lower_matrix_transpose(emit: Emit, x: ndarray) -> Any:
    """Call the array's method."""
    return emit(np.ndarray.transpose, x) if x.ndim == 2 else NotImplemented


_ELEMENTWISE = [getattr(xp, name) for name in CHAPTERS["elementwise"]]

kernels.declare(Aliasing.IN_PLACE, *[f for f in _ELEMENTWISE if isinstance(f, np.ufunc)])
kernels.declare(Aliasing.OUT, np.dot, np.maximum.reduce)
kernels.declare(
    Aliasing.FRESH,
    xp.mean,
    xp.sum,
    np.add.reduce,
    np.ndarray.take,
)
kernels.update(older.KERNELS)
