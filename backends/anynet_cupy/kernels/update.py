"""Updates of optimizers: one launch for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_cupy.elementwise import declared, elementwise, of_dtype

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


@kernels.register()
def sgd_update(rate: float, *arrays: ndarray) -> Any:
    """Use one launch for each parameter instead of two."""
    return _each("sgd_update", 2, arrays, (rate,))


@kernels.register()
def momentum_update(
    rate: float,
    *arrays: ndarray,
    momentum: float,
    nesterov: bool,
) -> Any:
    """Use one launch for each parameter instead of four or six."""
    return _each("momentum_update", 3, arrays, (rate, momentum, nesterov))


@kernels.register()
def adam_update(
    rate: float,
    correction: float,
    decay: float,
    *arrays: ndarray,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> Any:
    """Use one launch for each parameter instead of fourteen."""
    scalars = rate, correction, decay, beta1, beta2, epsilon
    return _each("adam_update", 4, arrays, scalars)


def _each(
    name: str,
    count: int,
    arrays: Sequence[ndarray],
    scalars: Sequence[float],
) -> Any:
    """Update each parameter in one launch. The count is that of its arrays."""
    results: list[Any] = []
    for i in range(0, len(arrays), count):
        own = arrays[i : i + count]
        if not declared(name, *own):
            return NotImplemented
        dtype = own[0].dtype
        out = elementwise(name)(*own, *[of_dtype(dtype, x) for x in scalars])
        results += out if isinstance(out, tuple) else (out,)
    return tuple(results)
