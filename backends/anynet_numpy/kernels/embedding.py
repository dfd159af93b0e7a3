"""Rows of a table by index."""

from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Kernels

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def embedding(weight: ndarray, indices: ndarray) -> Any:
    """Raise for negative indices, which NumPy counts from the end."""
    if indices.dtype.kind not in "iu":
        return NotImplemented
    rows = indices.astype(np.intp, copy=False)
    if rows.size and rows.min() < 0:
        raise IndexError("a negative index")
    return weight.take(rows, axis=0)
