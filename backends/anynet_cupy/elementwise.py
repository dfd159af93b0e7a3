"""Loops that CuPy compiles on first use, so that kernels can be imported without a GPU."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from anynet_cuda.sources import SOURCES, WINDOW

if TYPE_CHECKING:
    from cupy import ndarray


def declared(
    name: str,
    *arrays: ndarray,
    **others: Any,
) -> bool:
    """Return whether a loop declares the one dtype of arrays as T, and the dtypes of the others."""
    dtypes, dtype = SOURCES[name].dtypes, arrays[0].dtype
    if dtype.char not in dtypes["T"] or any(x.dtype != dtype for x in arrays[1:]):
        return False
    return all(x.dtype.char in dtypes[letter] for letter, x in others.items())


@cache
def elementwise(name: str, *window: int) -> Any:
    """Return a compiled loop. A loop over windows is compiled for the constants of its window."""
    import cupy

    inputs, outputs, operation, _ = SOURCES[name]
    pairs = zip(WINDOW, window, strict=False)
    constants = "".join(f"const int {constant} = {value}; " for constant, value in pairs)
    return cupy.ElementwiseKernel(inputs, outputs, constants + operation, f"anynet_{name}")


def of_dtype(dtype: Any, number: Any) -> Any:
    """Return a scalar of a dtype. In a device graph it is an array without axes."""
    return number.astype(dtype, copy=False) if hasattr(number, "astype") else dtype.type(number)
