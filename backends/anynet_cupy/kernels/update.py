"""Updates of optimizers: one launch for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet.primitives.update import by_parameter, in_turn
from anynet_cupy.elementwise import declared, elementwise, of_dtype

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


@kernels.register()
def sgd_update(learning_rate: float, *arrays: ndarray) -> Any:
    """One launch instead of two."""
    return _each("sgd_update", (learning_rate,), 2, arrays)


@kernels.register()
def momentum_update(learning_rate: float, momentum: float, nesterov: bool, *arrays: ndarray) -> Any:
    """One launch instead of four or six."""
    return _each("momentum_update", (learning_rate, momentum, nesterov), 3, arrays)


@kernels.register()
def adam_update(
    rate: float,
    correction: float,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    *arrays: ndarray,
) -> Any:
    """One launch instead of fourteen."""
    return _each(
        "adam_update",
        (rate, correction, decay, beta1, beta2, epsilon),
        4,
        arrays,
    )


def _each(name: str, numbers: Sequence[float], count: int, arrays: tuple[Any, ...]) -> Any:
    """Update every parameter in one launch; the numbers come after its arrays."""
    found = []
    for given in by_parameter(count, arrays):
        if not declared(name, *given):
            return NotImplemented
        dtype = given[0].dtype
        out = elementwise(name)(*given, *(of_dtype(dtype, number) for number in numbers))
        found.append(out if isinstance(out, tuple) else (out,))
    return in_turn(found)
