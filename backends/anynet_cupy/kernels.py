"""CuPy's kernels: element-wise steps that the references take in several launches, in one launch each.

The sources are compiled when they are first used, so that this module can be imported without a GPU.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

#: name: (arguments in, arguments out, operation), in the words of cupy.ElementwiseKernel.
SOURCES = {
    "adam_update": (
        "T parameter, T gradient, T mean, T square, T rate, T beta1, T beta2, T correction, T epsilon, T decay",
        "T out, T new_mean, T new_square",
        "new_mean = beta1 * mean + (T(1) - beta1) * gradient; "
        "new_square = beta2 * square + (T(1) - beta2) * gradient * gradient; "
        "out = decay * parameter - rate * (new_mean / (sqrt(new_square) * correction + epsilon))",
    ),
    "erf": ("T x", "T out", "out = erf(x)"),
    "momentum_update": (
        "T parameter, T gradient, T velocity, T learning_rate, T momentum, T nesterov",
        "T out, T new_velocity",
        "new_velocity = momentum * velocity + gradient; "
        "out = parameter - learning_rate * (nesterov > 0 ? gradient + momentum * new_velocity : new_velocity)",
    ),
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


def momentum_update(
    parameter: Any, gradient: Any, velocity: Any, learning_rate: float, momentum: float, nesterov: bool
) -> Any:
    """One launch instead of four or six."""
    if not parameter.dtype == gradient.dtype == velocity.dtype:
        return NotImplemented
    numbers = map(parameter.dtype.type, (learning_rate, momentum, nesterov))
    return elementwise("momentum_update")(parameter, gradient, velocity, *numbers)


def adam_update(
    parameter: Any,
    gradient: Any,
    mean: Any,
    square: Any,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    step: int,
) -> Any:
    """One launch instead of fourteen."""
    if not parameter.dtype == gradient.dtype == mean.dtype == square.dtype:
        return NotImplemented
    numbers = map(
        parameter.dtype.type,
        (
            learning_rate / (1 - beta1**step),
            beta1,
            beta2,
            1 / math.sqrt(1 - beta2**step),
            epsilon,
            1 - learning_rate * weight_decay,
        ),
    )
    return elementwise("adam_update")(parameter, gradient, mean, square, *numbers)


KERNELS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function for function in (adam_update, erf, momentum_update, relu, relu_gradient, sgd_update)
}
