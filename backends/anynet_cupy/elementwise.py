"""Loops as CuPy compiles them, when they are first used: so kernels can be imported without a GPU."""

from functools import cache
from typing import Any

from anynet_cuda.sources import SOURCES, WINDOW


def declared(name: str, *arrays: Any) -> bool:
    """Tell whether these arrays are of one dtype, and the loop of a name is declared for it."""
    dtype = arrays[0].dtype
    return dtype.char in SOURCES[name].dtypes["T"] and all(x.dtype == dtype for x in arrays[1:])


@cache
def elementwise(name: str, *window: int) -> Any:
    """Return the compiled loop of a name, for windows of these constants where it goes over some."""
    import cupy

    inputs, outputs, operation, _ = SOURCES[name]
    constants = "".join(f"const int {constant} = {value}; " for constant, value in zip(WINDOW, window, strict=False))
    return cupy.ElementwiseKernel(inputs, outputs, constants + operation, f"anynet_{name}")
