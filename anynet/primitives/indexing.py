"""Reading, writing and adding at indices, and sums over broadcast axes.

Each of these is linear in the array, and the derivatives of each are the others.
"""

import math
import operator
from typing import Any

from anynet.array import (
    Array,
    Namespace,
    array_namespace,
    as_indices,
    device,
    is_array,
    is_narrow,
    widened,
)
from anynet.tracing.standard import INDEXING, STANDARD
from anynet.tracing.trace import Primitive, Traced, primitive


def _sum_to_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    shape: tuple[int, ...],
) -> Any:
    given = g.shape
    return lambda h: STANDARD["broadcast_to"](h, given), None


@primitive(_sum_to_rule)
def sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    """Return the sum of g over the axes that an array of this shape was broadcast along."""
    xp = array_namespace(g)
    extra = g.ndim - len(shape)
    stretched = (
        extra + i for i, length in enumerate(shape) if length == 1 and g.shape[extra + i] != 1
    )
    # In float32 where float16 would overflow. The walker rounds the sum.
    dtype = xp.float32 if is_narrow(g) else None
    return xp.reshape(xp.sum(g, axis=(*range(extra), *stretched), dtype=dtype), shape)


def _one_rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: None


@primitive(_one_rule)
def one(x: Array) -> Array:
    """Return ones like x, which depend on x for a tape, although no cotangent passes.

    So the derivative of a constant derivative is 0, and not an error. A cotangent of zeros would
    become NaN where the derivative of the step before is infinite.
    """
    # Every value to the power of 0 is 1, also NaN.
    return x**0


def _place_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    key: Any,
    shape: Any,
) -> Any:
    return lambda h: getitem(h, key), None, None


@primitive(_place_rule)
def place(
    g: Array,
    key: Any,
    shape: tuple[int, ...],
) -> Array:
    """Return zeros of the shape with ``g`` at a key that names no element twice."""
    xp = array_namespace(g)
    out = xp.zeros(shape, dtype=g.dtype, device=device(g))
    # In the standard a key with None can only read.
    key = tuple(part for part in (key if isinstance(key, tuple) else (key,)) if part is not None)
    out[key] = xp.reshape(g, out[key].shape)
    return out


# Types of the parts of a key that read no element twice.
_ONCE = (int, slice, type(None), type(...))


def _getitem_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    key: Any,
) -> Any:
    """Add the cotangent at the elements that were read."""
    shape = x.shape
    parts = key if isinstance(key, tuple) else (key,)
    if all(isinstance(part, _ONCE) for part in parts):
        return lambda g: place(g, key, shape), None
    # The same key reads the indices of the elements, or of rows where it leaves out the last axes.
    axes = x.ndim if any(part is ... for part in parts) else sum(map(_axes_of, parts))
    length, rest = math.prod(shape[:axes]), shape[axes:]
    indices = xp.reshape(xp.arange(length, device=device(x)), shape[:axes])
    places = xp.reshape(indices[key], (-1,))

    def pullback(g: Array) -> Array:
        rows = xp.reshape(widened(g), (places.shape[0], *rest))
        return xp.reshape(index_add(rows, places, 0, length), shape)

    return pullback, None


def _axes_of(part: Any) -> int:
    """Return the number of axes that a part of a key reads."""
    if part is None:
        return 0
    return part.ndim if _is_mask(part) else 1


getitem: Primitive[[Array, Any], Array] = Primitive("getitem", _getitem_rule, operator.getitem)

#: `getitem` with the parts of the key as arguments, among them index arrays whose values may differ
#: the next time.
getitem_at = Primitive(
    "getitem_at",
    lambda xp, out, x, *parts: _getitem_rule(xp, out, x, parts)[:1],
    lambda x, *parts: x[parts],
)


def _index_add_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    indices: Array,
    axis: int,
    length: int,
) -> Any:
    return lambda h: xp.take(h, indices, axis=axis), None, None, None


@primitive(_index_add_rule)
def index_add(
    g: Array,
    indices: Array,
    axis: int,
    length: int,
) -> Array:
    """Return zeros, ``length`` along an axis, with slice i of ``g`` added at indices[i].

    The reference is a product with the one-hot rows of the indices, which is slow for many indices.
    The caller widens ``g``, because sums of many slices would lose digits in 16 bits. The kernels
    for GPUs add in any order, so the last bits of a sum may differ from call to call.

    >>> import numpy as np
    >>> from anynet.primitives.indexing import index_add
    >>> index_add(np.array([1.0, 2.0, 3.0]), np.array([0, 0, 2]), 0, 4)
    array([3., 0., 3., 0.])

    """
    xp, indices = array_namespace(g, indices), as_indices("indices", indices)
    indices = xp.where(indices < 0, indices + length, indices)
    places = xp.expand_dims(xp.arange(length, dtype=indices.dtype, device=device(g)), axis=-1)
    selection = xp.astype(places == indices, g.dtype)
    last = xp.moveaxis(g, axis, 0)
    flat = xp.reshape(last, (last.shape[0], math.prod(last.shape[1:])))
    rows = xp.matmul(selection, flat)
    return xp.moveaxis(
        xp.reshape(rows, (length, *last.shape[1:])),
        0,
        axis,
    )


def _scatter_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    indices: Array,
    axis: int,
    length: int,
) -> Any:
    return lambda h: xp.take_along_axis(h, indices, axis=axis), None, None, None


@primitive(_scatter_rule)
def scatter_add(
    g: Array,
    indices: Array,
    axis: int,
    length: int,
) -> Array:
    """Return zeros, ``length`` along an axis, with each element of ``g`` added at its index.

    >>> import numpy as np
    >>> from anynet.primitives.indexing import scatter_add
    >>> scatter_add(np.array([[1.0, 2.0]]), np.array([[2, 2]]), 1, 3)
    array([[0., 0., 3.]])

    """
    xp, indices = array_namespace(g, indices), as_indices("indices", indices)
    g, indices = xp.moveaxis(g, axis, -1), xp.moveaxis(indices, axis, -1)
    indices = xp.where(indices < 0, indices + length, indices)
    places = xp.arange(length, dtype=indices.dtype, device=device(g))
    selection = xp.astype(xp.expand_dims(indices, axis=-1) == places, g.dtype)
    sums = xp.matmul(xp.expand_dims(g, axis=-2), selection)[..., 0, :]
    return xp.moveaxis(sums, -1, axis)


def _put_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    key: Any,
    value: Array,
) -> Any:
    """Pass the cotangent at the key to the value.

    If the key names an element twice, only the value that stays gets a cotangent.
    """
    parts = key if isinstance(key, tuple) else (key,)

    def pullback(g: Array) -> Array:
        return _written(
            g,
            key,
            xp.zeros((), dtype=g.dtype, device=device(g)),
        )

    if all(isinstance(part, _ONCE) or _is_mask(part) for part in parts):
        return pullback, None, lambda g: g[key]
    shape = x[key].shape
    order = xp.reshape(xp.arange(math.prod(shape), device=device(x)), shape)
    nothing = xp.full(
        x.shape,
        -1,
        dtype=order.dtype,
        device=device(x),
    )
    stays = _written(nothing, key, order)[key] == order

    def to_value(g: Array) -> Array:
        return xp.where(
            stays,
            g[key],
            xp.zeros((), dtype=g.dtype, device=device(g)),
        )

    return pullback, None, to_value


def _written(
    x: Array,
    key: Any,
    value: Array,
) -> Array:
    """Return a copy of x with the value at a key that may hold traced arrays."""
    traced = isinstance(key, tuple) and any(type(part) is Traced for part in key)
    return put_at(x, value, *key) if traced else put(x, key, value)


def _is_mask(part: Any) -> bool:
    return is_array(part) and bool(array_namespace(part).isdtype(part.dtype, "bool"))


@primitive(_put_rule)
def put(
    x: Array,
    key: Any,
    value: Array,
) -> Array:
    """Return a copy of x with the value at the key."""
    xp = array_namespace(x)
    out = xp.asarray(x, copy=True)
    out[key] = value
    return out


def _put_at_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    value: Array,
    *parts: Any,
) -> Any:
    of_x, _, of_value = _put_rule(xp, out, x, parts, value)
    return of_x, of_value


@primitive(_put_at_rule)
def put_at(
    x: Array,
    value: Array,
    *parts: Any,
) -> Array:
    """Return a copy of x with the value at the key.

    The parts of the key are arguments, among them index arrays whose values may differ the next
    time.
    """
    return put(x, parts, value)


for _step in (sum_to, getitem, getitem_at, index_add, put, put_at):
    INDEXING[_step.name] = _step
