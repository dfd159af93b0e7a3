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
def sgd_update(
    rate: float,
    *arrays: ndarray,
    weight_decay: float,
) -> Any:
    """Use one launch for each parameter instead of two or four."""
    return _each("sgd_update", 2, arrays, (rate, weight_decay))


@kernels.register()
def momentum_update(
    rate: float,
    gain: float,
    *arrays: ndarray,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
) -> Any:
    """Use one launch for each parameter instead of four to nine."""
    scalars = rate, gain, momentum, nesterov, weight_decay
    return _each("momentum_update", 3, arrays, scalars)


@kernels.register()
def adam_update(
    rate: float,
    correction: float,
    *arrays: ndarray,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
) -> Any:
    """Use one launch for each parameter instead of fourteen."""
    if amsgrad:
        return NotImplemented
    scalars = rate, correction, *betas, eps, weight_decay
    return _each("adam_update", 4, arrays, scalars)


@kernels.register()
def adamw_update(
    rate: float,
    correction: float,
    decay: float,
    *arrays: ndarray,
    betas: tuple[float, float],
    eps: float,
    amsgrad: bool,
) -> Any:
    """Use one launch for each parameter instead of fourteen."""
    if amsgrad:
        return NotImplemented
    scalars = rate, correction, decay, *betas, eps
    return _each("adamw_update", 4, arrays, scalars)


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
