"""The floating dtypes that kernels support, and small arrays of them that are kept."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy import ndarray

#: The dtypes, with a zero of each. Arithmetic with an array is faster than with a Python scalar.
ZERO = {np.dtype(name): np.zeros((), name) for name in ("float32", "float64")}


def suits(*arrays: ndarray) -> bool:
    """Return whether arrays have elements and one dtype, which kernels support."""
    first = arrays[0]
    if first.dtype not in ZERO or first.size == 0:
        return False
    return all(x.dtype == first.dtype for x in arrays)


@lru_cache(maxsize=64)
def ones(length: int, char: str) -> ndarray:
    """Return a vector of ones. The dtype is given by NumPy's letter for it."""
    return np.ones(length, char)


@lru_cache(maxsize=64)
def zeros(shape: tuple[int, ...], char: str) -> ndarray:
    """Return an array of zeros. The dtype is given by NumPy's letter for it."""
    return np.zeros(shape, char)


def sums_of_products(
    x: ndarray,
    y: ndarray,
    axis: tuple[int, ...],
) -> Any:
    """Return the sums of x · y over axes, without an array of the products."""
    letters = "abcdefgh"[: x.ndim]
    kept = "".join(letter for i, letter in enumerate(letters) if i not in axis)
    return np.einsum(f"{letters},{letters}->{kept}", x, y)
