"""CuPy's kernels: element-wise steps that the references take in several launches, in one launch each.

The sources are compiled when they are first used, so that this module can be imported without a GPU.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

#: name: (arguments in, arguments out, operation), in the words of cupy.ElementwiseKernel.
SOURCES = {
    "erf": ("T x", "T out", "out = erf(x)"),
    "relu": ("T x", "T out", "out = x > 0 ? x : (x == x ? T(0) : x)"),
    "relu_gradient": ("T g, T y", "T out", "out = y > 0 ? g : T(0)"),
    "sgd_update": ("T parameter, T gradient, T learning_rate", "T out", "out = parameter - learning_rate * gradient"),
}


@cache
def elementwise(name: str) -> Any:
    """Return the compiled kernel of a name."""
    import cupy

    return cupy.ElementwiseKernel(*SOURCES[name], f"anynet_{name}")


def erf(x: Any) -> Any:
    """CUDA's own, in one launch."""
    return elementwise("erf")(x) if x.dtype.kind == "f" else NotImplemented


def relu(x: Any) -> Any:
    """One launch instead of two."""
    return elementwise("relu")(x) if x.dtype.kind == "f" else NotImplemented


def relu_gradient(g: Any, y: Any) -> Any:
    """One launch instead of three."""
    return elementwise("relu_gradient")(g, y) if g.dtype == y.dtype else NotImplemented


def sgd_update(parameter: Any, gradient: Any, learning_rate: float) -> Any:
    """One launch instead of two."""
    if parameter.dtype != gradient.dtype:
        return NotImplemented
    return elementwise("sgd_update")(parameter, gradient, parameter.dtype.type(learning_rate))


KERNELS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function for function in (erf, relu, relu_gradient, sgd_update)
}
