"""Updates of optimizers, in blocks that fit a cache."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from anynet.kernel import Aliasing, Emit, Kernels
from anynet.primitives.update import by_parameter, in_turn
from anynet_numpy.floats import ZERO
from anynet_numpy.memory import BLOCK, blocks, fresh, scratch

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def sgd_update(learning_rate: float, *arrays: np.ndarray) -> Any:
    """Descend by each gradient."""
    dtype = arrays[0].dtype
    if dtype not in ZERO:
        return NotImplemented
    for x in arrays:
        if (x.dtype is not dtype and x.dtype != dtype) or not x.ndim:
            return NotImplemented
    rate = np.array(learning_rate, dtype)
    count = len(arrays) // 2
    return tuple(
        [descended(p, g, rate) for p, g in zip(arrays[:count], arrays[count:], strict=True)]
    )


@kernels.lowering(sgd_update)
def lower_sgd_update(emit: Emit, learning_rate: float, *arrays: np.ndarray) -> Any:
    """Multiply and subtract, what is large in blocks."""
    rate = emit(np.array, learning_rate, arrays[0].dtype)
    return tuple(
        [
            emit(descended, p, g, rate)
            if p.size > BLOCK
            else emit(np.subtract, p, emit(np.multiply, g, rate))
            for p, g in by_parameter(2, arrays)
        ]
    )


def descended(p: np.ndarray, g: np.ndarray, rate: Any, out: np.ndarray | None = None) -> Any:
    """Return p - rate · g, computed in blocks that fit a cache."""
    over_p = out is p
    out = fresh(p.shape, p.dtype) if out is None else out
    for old, change, new in ((p, g, out),) if p.size <= BLOCK else blocks(p, g, out):
        # Written over p, the products would replace what is still to be read.
        product = scratch("product", old.shape, old.dtype) if over_p else new
        np.multiply(change, rate, out=product)
        np.subtract(old, product, out=new)
    return out


kernels.declare(Aliasing.IN_PLACE, descended)


@kernels.register(Aliasing.FRESH)
def momentum_update(
    learning_rate: float, momentum: float, nesterov: bool, *arrays: np.ndarray
) -> Any:
    """Take the new arrays' own memory for the products, in blocks that fit a cache."""
    found = []
    for given in by_parameter(3, arrays):
        parameter = given[0]
        if (
            parameter.dtype not in ZERO
            or not parameter.ndim
            or any(x.dtype != parameter.dtype for x in given)
        ):
            return NotImplemented
        made = tuple([fresh(parameter.shape, parameter.dtype) for _ in range(2)])
        for p, g, velocity, new, moved in blocks(*given, *made):
            np.multiply(velocity, momentum, out=moved)
            moved += g
            np.multiply(
                moved,
                momentum * learning_rate if nesterov else learning_rate,
                out=new,
            )
            if nesterov:
                new += np.multiply(
                    g,
                    learning_rate,
                    out=scratch("product", g.shape, g.dtype),
                )
            np.subtract(p, new, out=new)
        found.append(made)
    return in_turn(found)


@kernels.register(Aliasing.FRESH)
def adam_update(
    rate: float,
    correction: float,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    *arrays: np.ndarray,
) -> Any:
    """Work in blocks that fit a cache: a dozen passes over large arrays would read them from memory
    each time.
    """
    numbers = rate, correction, decay, beta1, beta2, epsilon
    found = []
    for given in by_parameter(4, arrays):
        parameter = given[0]
        if (
            parameter.dtype not in ZERO
            or not parameter.ndim
            or any(x.dtype != parameter.dtype for x in given)
        ):
            return NotImplemented
        made = tuple([fresh(parameter.shape, parameter.dtype) for _ in range(3)])
        for block in blocks(*given, *made):
            _adam(block, numbers)
        found.append(made)
    return in_turn(found)


def _adam(arrays: Sequence[Any], numbers: Sequence[float]) -> None:
    """Write the update of the first four arrays into the last three."""
    p, g, m, s, new_p, new_m, new_s = arrays
    rate, correction, decay, beta1, beta2, epsilon = numbers
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
    np.subtract(
        p if decay == 1 else np.multiply(p, decay, out=new_p),
        work,
        out=new_p,
    )
