"""The floating dtypes that kernels support, and small arrays of them that are kept."""

from functools import lru_cache
from typing import Any

import numpy as np

#: The dtypes that kernels take, and a zero of each: arithmetic with an array is quicker than with a
#: Python number.
ZERO = {np.dtype(name): np.zeros((), name) for name in ("float32", "float64")}


def suits(*arrays: np.ndarray) -> bool:
    """Return whether arrays have elements and one dtype, which kernels support."""
    return (
        arrays[0].dtype in ZERO
        and all(x.dtype == arrays[0].dtype for x in arrays)
        and arrays[0].size > 0
    )


@lru_cache(maxsize=64)
def ones(length: int, char: str) -> Any:
    """Return ones of a dtype, which is told by its letter."""
    return np.ones(length, char)


@lru_cache(maxsize=64)
def zeros(shape: tuple[int, ...], char: str) -> Any:
    """Return zeros of a dtype, which is told by its letter."""
    return np.zeros(shape, char)
