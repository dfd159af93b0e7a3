"""Loops as CuPy compiles them, when they are first used: so kernels can be imported without a
GPU.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from anynet_cuda.sources import SOURCES, WINDOW

if TYPE_CHECKING:
    from cupy import ndarray


def declared(name: str, *arrays: ndarray, **others: Any) -> bool:
    """Tell whether the loop of a name declares the dtype T of these arrays, all of one, and those
    of others.
    """
    dtypes, dtype = SOURCES[name].dtypes, arrays[0].dtype
    if dtype.char not in dtypes["T"] or any(x.dtype != dtype for x in arrays[1:]):
        return False
    return all(x.dtype.char in dtypes[letter] for letter, x in others.items())


@cache
def elementwise(name: str, *window: int) -> Any:
    """Return the compiled loop of a name, for windows of these constants where it goes over
    some.
    """
    import cupy

    inputs, outputs, operation, _ = SOURCES[name]
    constants = "".join(
        f"const int {constant} = {value}; " for constant, value in zip(WINDOW, window, strict=False)
    )
    return cupy.ElementwiseKernel(inputs, outputs, constants + operation, f"anynet_{name}")


def of_dtype(dtype: Any, number: Any) -> Any:
    """Return a number of a dtype; in a graph it is an array without axes."""
    return number.astype(dtype, copy=False) if hasattr(number, "astype") else dtype.type(number)
