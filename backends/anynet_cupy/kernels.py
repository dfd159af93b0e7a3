"""CuPy's kernels: element-wise steps that the references take in several launches, in one launch each."""

import math
from collections.abc import Callable
from typing import Any

from anynet_cupy.sources import elementwise


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


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (adam_update, erf, momentum_update, relu, relu_gradient, sgd_update)
}
