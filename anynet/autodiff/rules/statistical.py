"""Rules of the standard's statistical functions: sums, means and extremes over axes."""

import math
from typing import Any

from anynet.array import Array, Namespace
from anynet.autodiff.rules.table import Table

RULES = rule = Table()

Axes = int | tuple[int, ...] | None


def _axes(axis: Axes, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _restore(xp: Namespace, reduced: Array, shape: tuple[int, ...], axis: Axes) -> Array:
    """Give a reduced array its lost axes back, as axes of length one."""
    gone = _axes(axis, len(shape))
    return xp.reshape(reduced, tuple(1 if i in gone else n for i, n in enumerate(shape)))


def _count(shape: tuple[int, ...], axis: Axes) -> int:
    return math.prod(shape[i] for i in _axes(axis, len(shape)))


@rule
def sum(xp: Namespace, out: Array, x: Array, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Any:
    shape = x.shape
    return lambda g: xp.broadcast_to(_restore(xp, g, shape, axis), shape)


@rule
def mean(xp: Namespace, out: Array, x: Array, *, axis: Axes = None, keepdims: bool = False) -> Any:
    shape = x.shape
    return lambda g: xp.broadcast_to(_restore(xp, g, shape, axis) / _count(shape, axis), shape)


@rule
def max(xp: Namespace, out: Array, x: Array, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Share the cotangent equally among the elements that attain the maximum."""
    return lambda g: _to_extremes(xp, g, out, x, axis)


@rule
def min(xp: Namespace, out: Array, x: Array, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Share the cotangent equally among the elements that attain the minimum."""
    return lambda g: _to_extremes(xp, g, out, x, axis)


def _to_extremes(xp: Namespace, g: Array, out: Array, x: Array, axis: Axes) -> Array:
    attained = xp.astype(x == _restore(xp, out, x.shape, axis), g.dtype)
    share = attained / xp.sum(attained, axis=axis, keepdims=True)
    return share * _restore(xp, g, x.shape, axis)


@rule
def var(
    xp: Namespace, out: Array, x: Array, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
) -> Any:
    shape = x.shape

    def pullback(g: Array) -> Array:
        centred = x - xp.mean(x, axis=axis, keepdims=True)
        return _restore(xp, g, shape, axis) * centred * (2 / (_count(shape, axis) - correction))

    return pullback


@rule
def std(
    xp: Namespace, out: Array, x: Array, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
) -> Any:
    of_variance = var(xp, out, x, axis=axis, correction=correction)
    return lambda g: of_variance(0.5 * g / out)


@rule
def cumulative_sum(
    xp: Namespace, out: Array, x: Array, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Sum the cotangent from the end: element i is in every partial sum from i on."""
    along = 0 if axis is None else axis % x.ndim
    skip = (slice(None),) * along + (slice(1, None), ...)

    def pullback(g: Array) -> Array:
        g = g[skip] if include_initial else g
        return xp.flip(xp.cumulative_sum(xp.flip(g, axis=along), axis=along), axis=along)

    return pullback
