"""CuPy's kernels: element-wise steps that the references take in several launches, in one launch each."""

from collections.abc import Callable, Sequence
from typing import Any

from anynet.primitives.update import by_parameter, in_turn
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


def _each(name: str, numbers: Sequence[float], count: int, arrays: tuple[Any, ...]) -> Any:
    """Update every parameter in one launch; the numbers come after its arrays."""
    found = []
    for given in by_parameter(count, arrays):
        dtype = given[0].dtype
        if any(x.dtype != dtype for x in given):
            return NotImplemented
        out = elementwise(name)(*given, *map(dtype.type, numbers))
        found.append(out if isinstance(out, tuple) else (out,))
    return in_turn(found)


def sgd_update(learning_rate: float, *arrays: Any) -> Any:
    """One launch instead of two."""
    return _each("sgd_update", (learning_rate,), 2, arrays)


def momentum_update(learning_rate: float, momentum: float, nesterov: bool, *arrays: Any) -> Any:
    """One launch instead of four or six."""
    return _each("momentum_update", (learning_rate, momentum, nesterov), 3, arrays)


def adam_update(
    rate: float, correction: float, decay: float, beta1: float, beta2: float, epsilon: float, *arrays: Any
) -> Any:
    """One launch instead of fourteen."""
    return _each("adam_update", (rate, correction, decay, beta1, beta2, epsilon), 4, arrays)


def threefry(key: Any, x0: Any, x1: Any) -> Any:
    """One launch instead of 180."""
    return elementwise("threefry")(key, x0, x1)


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (adam_update, erf, momentum_update, relu, relu_gradient, sgd_update, threefry)
}
