"""Rules of the standard's statistical functions: sums, means and extremes over axes.

Equal extremes share the cotangent. A standard deviation of 0 has no derivative, and passes no
cotangent.
"""

import math
from typing import Any

from anynet.array import Array, Axes, DType, Namespace, Shape, device, is_narrow, widened
from anynet.autodiff.rules.table import Table
from anynet.tracing.standard import STANDARD

RULES = rule = Table()
DECOMPOSITIONS = decomposition = Table()


def _axes(axis: Axes, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _restore(
    xp: Namespace,
    reduced: Array,
    shape: Shape,
    axis: Axes,
) -> Array:
    """Return a reduced array with the reduced axes as axes of length one."""
    gone = _axes(axis, len(shape))
    return xp.reshape(reduced, tuple(1 if i in gone else n for i, n in enumerate(shape)))


def _spread(g: Array, shape: Shape) -> Array:
    """Broadcast a cotangent.

    A backend's kernel may copy it, because a matrix product of a contiguous array is faster.
    """
    spread: Array = STANDARD["broadcast_to"](g, shape)
    return spread


def _count(shape: Shape, axis: Axes) -> int:
    return math.prod(shape[i] for i in _axes(axis, len(shape)))


def _per_element(g: Array, n: int) -> Array:
    """Return g / n. The division is in float32 at least, because n may overflow float16."""
    wide = widened(g) / n
    return wide if wide.dtype == g.dtype else STANDARD["astype"](wide, g.dtype)


@rule
def sum(
    xp: Namespace,
    out: Array,
    x: Array,
    *,
    axis: Axes = None,
    dtype: DType | None = None,
    keepdims: bool = False,
) -> Any:
    shape = x.shape
    return lambda g: _spread(_restore(xp, g, shape, axis), shape)


@rule
def mean(
    xp: Namespace,
    out: Array,
    x: Array,
    *,
    axis: Axes = None,
    keepdims: bool = False,
) -> Any:
    shape = x.shape

    def pullback(g: Array) -> Array:
        share = _per_element(_restore(xp, g, shape, axis), _count(shape, axis))
        return _spread(share, shape)

    return pullback


@rule
def max(
    xp: Namespace,
    out: Array,
    x: Array,
    *,
    axis: Axes = None,
    keepdims: bool = False,
) -> Any:
    return lambda g: _to_extremes(xp, g, out, x, axis)


@rule
def min(
    xp: Namespace,
    out: Array,
    x: Array,
    *,
    axis: Axes = None,
    keepdims: bool = False,
) -> Any:
    return lambda g: _to_extremes(xp, g, out, x, axis)


def _to_extremes(
    xp: Namespace,
    g: Array,
    out: Array,
    x: Array,
    axis: Axes,
) -> Array:
    """Share the cotangent equally among the elements that equal the extreme."""
    attained = xp.astype(x == _restore(xp, out, x.shape, axis), widened(g).dtype)
    share = attained / xp.sum(attained, axis=axis, keepdims=True)
    return share * _restore(xp, g, x.shape, axis)


@rule
def var(
    xp: Namespace,
    out: Array,
    x: Array,
    *,
    axis: Axes = None,
    correction: float = 0.0,
    keepdims: bool = False,
) -> Any:
    shape = x.shape
    freedom = _count(shape, axis) - correction

    def pullback(g: Array) -> Array:
        centred = x - xp.mean(x, axis=axis, keepdims=True)
        factor = 2 / freedom if freedom > 0 else math.nan
        return widened(_restore(xp, g, shape, axis)) * centred * factor

    return pullback


@rule
def std(
    xp: Namespace,
    out: Array,
    x: Array,
    *,
    axis: Axes = None,
    correction: float = 0.0,
    keepdims: bool = False,
) -> Any:
    of_variance = var(xp, out, x, axis=axis, correction=correction)
    return lambda g: of_variance(0.5 * g / xp.where(out == 0, xp.ones_like(out), out))


@rule
def cumulative_sum(
    xp: Namespace,
    out: Array,
    x: Array,
    *,
    axis: int | None = None,
    dtype: DType | None = None,
    include_initial: bool = False,
) -> Any:
    """Sum the cotangent from the end: element i is in every partial sum from i on."""
    along = 0 if axis is None else axis % x.ndim
    skip = (slice(None),) * along + (slice(1, None), ...)

    def pullback(g: Array) -> Array:
        g = widened(g[skip] if include_initial else g)
        sums = xp.cumulative_sum(xp.flip(g, axis=along), axis=along)
        return xp.flip(sums, axis=along)

    return pullback


@decomposition
def prod(
    xp: Namespace,
    x: Array,
    *,
    axis: Axes = None,
    dtype: DType | None = None,
    keepdims: bool = False,
) -> Array:
    """Multiply halves with halves. So the derivative is right where elements are zero."""
    x = _in_dtype(xp, x, dtype)
    if is_narrow(x):
        return xp.astype(prod(xp, widened(x), axis=axis, keepdims=keepdims), x.dtype)
    gone = _axes(axis, x.ndim)
    left = tuple(i for i in range(x.ndim) if i not in gone)
    shape = tuple(x.shape[i] for i in left)
    count = math.prod(x.shape[i] for i in gone)
    flat = xp.reshape(xp.permute_dims(x, (*left, *gone)), (*shape, count))
    if not count:
        one = xp.ones(
            (*shape, 1),
            dtype=x.dtype,
            device=device(x),
        )
        flat = xp.concat([flat, one], axis=-1)
    while flat.shape[-1] > 1:
        half, rest = divmod(flat.shape[-1], 2)
        product = flat[..., :half] * flat[..., half : 2 * half]
        flat = xp.concat([product, flat[..., 2 * half :]], axis=-1) if rest else product
    if keepdims:
        shape = tuple(1 if i in gone else n for i, n in enumerate(x.shape))
    return xp.reshape(flat, shape)


@decomposition
def cumulative_prod(
    xp: Namespace,
    x: Array,
    *,
    axis: int | None = None,
    dtype: DType | None = None,
    include_initial: bool = False,
) -> Array:
    """Multiply each element with the element 1, 2, 4, … places before.

    That takes few steps, and the derivative is right where elements are zero.
    """
    x = _in_dtype(xp, x, dtype)
    if is_narrow(x):
        wide = cumulative_prod(xp, widened(x), axis=axis, include_initial=include_initial)
        return xp.astype(wide, x.dtype)
    along = 0 if axis is None else axis % x.ndim
    x = xp.moveaxis(x, along, -1)
    ones = xp.ones_like(x)
    distance = 1
    while distance < x.shape[-1]:
        x = x * xp.concat([ones[..., :distance], x[..., :-distance]], axis=-1)
        distance *= 2
    if include_initial:
        one = xp.ones(
            (*x.shape[:-1], 1),
            dtype=x.dtype,
            device=device(x),
        )
        x = xp.concat([one, x], axis=-1)
    return xp.moveaxis(x, -1, along)


def _in_dtype(
    xp: Namespace,
    x: Array,
    dtype: DType | None,
) -> Array:
    return x if dtype is None else xp.astype(x, dtype)


@decomposition
def diff(
    xp: Namespace,
    x: Array,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: Array | None = None,
    append: Array | None = None,
) -> Array:
    parts = [part for part in (prepend, x, append) if part is not None]
    x = xp.concat(parts, axis=axis)
    before = (slice(None),) * (axis % x.ndim)
    for _ in range(n):
        length = x.shape[axis]
        after = x[(*before, slice(1 if length else 0, None), ...)]
        x = after - x[(*before, slice(0, after.shape[axis]), ...)]
    return x
