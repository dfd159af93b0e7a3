"""Updates of optimizers, in blocks that fit a cache.

A dozen passes over large arrays would read them from memory each time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Emit, Kernels
from anynet.primitives.update import by_parameter, in_turn
from anynet_numpy.floats import ZERO
from anynet_numpy.memory import BLOCK, blocks, fresh, scratch

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def sgd_update(learning_rate: float, *arrays: ndarray) -> Any:
    """Call `descended` for each parameter."""
    dtype = arrays[0].dtype
    if dtype not in ZERO:
        return NotImplemented
    for x in arrays:
        if (x.dtype is not dtype and x.dtype != dtype) or not x.ndim:
            return NotImplemented
    rate = np.array(learning_rate, dtype)
    count = len(arrays) // 2
    pairs = zip(arrays[:count], arrays[count:], strict=True)
    return tuple([descended(p, g, rate) for p, g in pairs])


@kernels.lowering(sgd_update)
def lower_sgd_update(emit: Emit, learning_rate: float, *arrays: ndarray) -> Any:
    """Multiply and subtract. Large parameters are updated in blocks."""
    rate = emit(np.array, learning_rate, arrays[0].dtype)
    results = []
    for p, g in by_parameter(2, arrays):
        if p.size > BLOCK:
            results.append(emit(descended, p, g, rate))
        else:
            results.append(emit(np.subtract, p, emit(np.multiply, g, rate)))
    return tuple(results)


def descended(p: ndarray, g: ndarray, rate: Any, out: ndarray | None = None) -> ndarray:
    """Return p - rate · g, computed in blocks that fit a cache."""
    over_p = out is p
    out = fresh(p.shape, p.dtype) if out is None else out
    for old, change, new in ((p, g, out),) if p.size <= BLOCK else blocks(p, g, out):
        # Written over p, the products would replace elements that are still to be read.
        product = scratch("product", old.shape, old.dtype) if over_p else new
        np.multiply(change, rate, out=product)
        np.subtract(old, product, out=new)
    return out


kernels.declare(Aliasing.IN_PLACE, descended)


def _are_alike(arrays: Sequence[Any]) -> bool:
    """Return whether the arrays of a parameter have axes and one dtype, which kernels support."""
    first = arrays[0]
    if first.dtype not in ZERO or not first.ndim:
        return False
    return all(x.dtype == first.dtype for x in arrays)


def _new_like(x: Any, count: int) -> tuple[ndarray, ...]:
    return tuple([fresh(x.shape, x.dtype) for _ in range(count)])


@kernels.register(Aliasing.FRESH)
def momentum_update(learning_rate: float, momentum: float, nesterov: bool, *arrays: ndarray) -> Any:
    """Use the memory of the new arrays for the products."""
    numbers = learning_rate, momentum, nesterov
    results = []
    for old in by_parameter(3, arrays):
        if not _are_alike(old):
            return NotImplemented
        new = _new_like(old[0], 2)
        for block in blocks(*old, *new):
            _momentum(block, *numbers)
        results.append(new)
    return in_turn(results)


def _momentum(arrays: Sequence[Any], rate: float, momentum: float, nesterov: bool) -> None:
    """Write the update of the first three arrays into the last two."""
    p, g, velocity, new_p, new_velocity = arrays
    np.multiply(velocity, momentum, out=new_velocity)
    new_velocity += g
    np.multiply(new_velocity, momentum * rate if nesterov else rate, out=new_p)
    if nesterov:
        product = scratch("product", g.shape, g.dtype)
        new_p += np.multiply(g, rate, out=product)
    np.subtract(p, new_p, out=new_p)


@kernels.register(Aliasing.FRESH)
def adam_update(
    rate: float,
    correction: float,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    *arrays: ndarray,
) -> Any:
    """Use one block of other memory for the products."""
    scalars = rate, correction, decay, beta1, beta2, epsilon
    results = []
    for old in by_parameter(4, arrays):
        if not _are_alike(old):
            return NotImplemented
        new = _new_like(old[0], 3)
        for block in blocks(*old, *new):
            _adam(block, scalars)
        results.append(new)
    return in_turn(results)


def _adam(arrays: Sequence[Any], scalars: Sequence[float]) -> None:
    """Write the update of the first four arrays into the last three."""
    p, g, m, s, new_p, new_m, new_s = arrays
    rate, correction, decay, beta1, beta2, epsilon = scalars
    work = scratch("product", g.shape, g.dtype)
    np.multiply(g, 1 - beta1, out=work)
    np.multiply(m, beta1, out=new_m)
    new_m += work
    np.multiply(g, g, out=work)
    work *= 1 - beta2
    np.multiply(s, beta2, out=new_s)
    new_s += work
    np.sqrt(new_s, out=work)
    work *= correction
    work += epsilon
    np.divide(new_m, work, out=work)
    work *= rate
    decayed = p if decay == 1 else np.multiply(p, decay, out=new_p)
    np.subtract(decayed, work, out=new_p)
