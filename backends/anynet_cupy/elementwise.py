"""Loops as CuPy compiles them, when they are first used: so kernels can be imported without a GPU."""

from functools import cache
from typing import Any

from anynet_cuda.sources import SOURCES


@cache
def elementwise(name: str) -> Any:
    """Return the compiled loop of a name."""
    import cupy

    return cupy.ElementwiseKernel(*SOURCES[name], f"anynet_{name}")
