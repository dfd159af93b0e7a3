"""Updates of optimizers, in blocks that fit a cache.

A dozen passes over large arrays would read them from memory each time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_numpy.floats import ZERO
from anynet_numpy.memory import BLOCK, blocks, fresh, scratch

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def sgd_update(
    rate: float,
    *arrays: ndarray,
    weight_decay: float,
) -> Any:
    """Call `descended` for each parameter."""
    dtype = arrays[0].dtype
    if dtype not in ZERO:
        return NotImplemented
    for x in arrays:
        if (x.dtype is not dtype and x.dtype != dtype) or not x.ndim:
            return NotImplemented
    factor = np.array(rate, dtype)
    pairs = zip(arrays[::2], arrays[1::2], strict=True)
    return tuple([descended(p, g, factor, weight_decay) for p, g in pairs])


@kernels.lowering(sgd_update)
def lower_sgd_update(
    emit: Emit,
    rate: float,
    *arrays: ndarray,
    weight_decay: float,
) -> Any:
    """Multiply and subtract. Large parameters are updated in blocks."""
    factor = emit(np.array, rate, arrays[0].dtype)
    results = []
    for p, g in zip(arrays[::2], arrays[1::2], strict=True):
        if p.size > BLOCK:
            results.append(emit(descended, p, g, factor, weight_decay))
            continue
        along = g if not weight_decay else emit(np.add, emit(np.multiply, p, weight_decay), g)
        results.append(emit(np.subtract, p, emit(np.multiply, along, factor)))
    return tuple(results)


def descended(
    p: ndarray,
    g: ndarray,
    rate: Any,
    weight_decay: float,
    out: ndarray | None = None,
) -> ndarray:
    """Return p - rate · (g + weight_decay · p), computed in blocks that fit a cache."""
    if out is None and not weight_decay and p.size <= BLOCK:
        # Most parameters are small, and a call costs as much as its work.
        out = fresh(p.shape, p.dtype)
        np.multiply(g, rate, out)
        np.subtract(p, out, out)
        return out
    over_p = out is p
    out = fresh(p.shape, p.dtype) if out is None else out
    for old, change, new in ((p, g, out),) if p.size <= BLOCK else blocks(p, g, out):
        # Written over p, the products would replace elements that are still to be read.
        product = scratch("product", old.shape, old.dtype) if over_p else new
        np.multiply(_penalized(change, old, weight_decay), rate, out=product)
        np.subtract(old, product, out=new)
    return out


kernels.declare(Aliasing.IN_PLACE, descended)


@kernels.register(Aliasing.FRESH)
def momentum_update(
    rate: float,
    gain: float,
    *arrays: ndarray,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
) -> Any:
    """Use the memory of the new arrays for the products."""
    if dampening:
        return NotImplemented

    def update(block: Sequence[ndarray]) -> None:
        p, g, velocity, new_p, new_velocity = block
        if weight_decay:
            g = _penalized(g, p, weight_decay)
        np.multiply(velocity, momentum, out=new_velocity)
        new_velocity += g
        np.multiply(new_velocity, momentum * rate if nesterov else rate, out=new_p)
        if nesterov:
            product = scratch("product", g.shape, g.dtype)
            new_p += np.multiply(g, rate, out=product)
        np.subtract(p, new_p, out=new_p)

    return _update_each(update, 3, arrays)


@kernels.register(Aliasing.FRESH)
def adam_update(
    rate: float,
    correction: float,
    *arrays: ndarray,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
) -> Any:
    """Update block by block."""
    if amsgrad:
        return NotImplemented
    return _adam(rate, correction, 1.0, arrays, betas, eps, weight_decay)


@kernels.register(Aliasing.FRESH)
def adamw_update(
    rate: float,
    correction: float,
    decay: float,
    *arrays: ndarray,
    betas: tuple[float, float],
    eps: float,
    amsgrad: bool,
) -> Any:
    """Update block by block."""
    if amsgrad:
        return NotImplemented
    return _adam(rate, correction, decay, arrays, betas, eps, 0.0)


def _adam(
    rate: float,
    correction: float,
    decay: float,
    arrays: Sequence[ndarray],
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> Any:
    """Use one block of other memory for the products."""
    beta1, beta2 = betas

    def update(block: Sequence[ndarray]) -> None:
        p, g, mean, square, new_p, new_mean, new_square = block
        if weight_decay:
            g = _penalized(g, p, weight_decay)
        work = scratch("product", g.shape, g.dtype)
        np.multiply(g, 1 - beta1, out=work)
        np.multiply(mean, beta1, out=new_mean)
        new_mean += work
        np.multiply(g, g, out=work)
        work *= 1 - beta2
        np.multiply(square, beta2, out=new_square)
        new_square += work
        np.sqrt(new_square, out=work)
        work *= correction
        work += eps
        np.divide(new_mean, work, out=work)
        work *= rate
        decayed = p if decay == 1 else np.multiply(p, decay, out=new_p)
        np.subtract(decayed, work, out=new_p)

    return _update_each(update, 4, arrays)


@kernels.register(Aliasing.FRESH)
def adagrad_update(
    rate: float,
    *arrays: ndarray,
    weight_decay: float,
    eps: float,
) -> Any:
    """Use the memory of the new parameter for the root."""

    def update(block: Sequence[ndarray]) -> None:
        p, g, total, new_p, new_total = block
        if weight_decay:
            g = _penalized(g, p, weight_decay)
        np.multiply(g, g, out=new_total)
        new_total += total
        np.sqrt(new_total, out=new_p)
        _descend_along(p, g, new_p, rate, eps)

    return _update_each(update, 3, arrays)


@kernels.register(Aliasing.FRESH)
def rmsprop_update(
    rate: float,
    *arrays: ndarray,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> Any:
    """Use the memory of the new parameter for the products."""
    if momentum or centered:
        return NotImplemented

    def update(block: Sequence[ndarray]) -> None:
        p, g, square, new_p, new_square = block
        if weight_decay:
            g = _penalized(g, p, weight_decay)
        np.multiply(g, g, out=new_p)
        new_p *= 1 - alpha
        np.multiply(square, alpha, out=new_square)
        new_square += new_p
        np.sqrt(new_square, out=new_p)
        _descend_along(p, g, new_p, rate, eps)

    return _update_each(update, 3, arrays)


def _descend_along(
    p: ndarray,
    g: ndarray,
    root: ndarray,
    rate: float,
    eps: float,
) -> None:
    """Write p - rate · g / (root + eps) over the root."""
    root += eps
    np.divide(g, root, out=root)
    root *= rate
    np.subtract(p, root, out=root)


def _penalized(
    g: ndarray,
    p: ndarray,
    weight_decay: float,
) -> ndarray:
    """Return g + weight_decay · p."""
    if not weight_decay:
        return g
    out = scratch("penalized", p.shape, p.dtype)
    np.multiply(p, weight_decay, out=out)
    out += g
    return out


def _update_each(
    update: Callable[[Sequence[ndarray]], None],
    count: int,
    arrays: Sequence[ndarray],
) -> Any:
    """Update each parameter block by block. The count is that of its arrays.

    A block contains a part of these arrays, and of new arrays for all but the gradient. The update
    writes into the new arrays.
    """
    results: list[ndarray] = []
    for i in range(0, len(arrays), count):
        own = arrays[i : i + count]
        if not _are_alike(own):
            return NotImplemented
        new = [fresh(own[0].shape, own[0].dtype) for _ in range(count - 1)]
        for block in blocks(*own, *new):
            update(block)
        results += new
    return tuple(results)


def _are_alike(arrays: Sequence[ndarray]) -> bool:
    """Return whether the arrays of a parameter have axes and one dtype, which kernels support."""
    dtype = arrays[0].dtype
    if dtype not in ZERO or not arrays[0].ndim:
        return False
    # Dtypes are mostly one object, and a comparison is slower.
    for x in arrays:  # noqa: SIM110 - quicker
        if x.dtype is not dtype and x.dtype != dtype:
            return False
    return True
