"""The rules that evaluate a function at many points at once, by the name of the function.

A rule is called as ``rule(call, **settings)``; see `Call`. It calls the function once for all
points, and returns the result with the points along axis 0. It returns NotImplemented where the
reference of the primitive is to be evaluated.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from anynet.array import Array, Namespace, array_namespace, device, is_array
from anynet.errors import NoRuleError
from anynet.tracing.row_perturbation import RowPerturbation
from anynet.tracing.standard import CHAPTERS

Batcher = Callable[..., Any]
Axes = int | tuple[int, ...] | list[int] | None


class Call(NamedTuple):
    """A call of a primitive at many points."""

    xp: Namespace
    #: The function that evaluates the primitive.
    function: Callable[..., Any]
    #: Its arguments.
    values: list[Any]
    #: Which arguments are batched. These have the points along axis 0.
    batched: list[bool]


def _points(values: list[Any], batched: list[bool]) -> int:
    lengths = [v.shape[0] for v, b in zip(values, batched, strict=True) if b]
    return int(lengths[0])


def _at_every_point(
    xp: Namespace,
    values: list[Any],
    batched: list[bool],
) -> list[Any]:
    """Return every array with the points along axis 0."""
    points = _points(values, batched)
    return [
        v if b or not is_array(v) else xp.broadcast_to(v, (points, *v.shape))
        for v, b in zip(values, batched, strict=True)
    ]


def _flat(xp: Namespace, x: Array) -> Array:
    """Return the array with all axes but the first as one."""
    return xp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


def _widen(
    xp: Namespace,
    x: Array,
    ndim: int,
) -> Array:
    """Insert axes of length one after axis 0, so that there are ``ndim`` axes."""
    missing = ndim - x.ndim
    if missing <= 0:
        return x
    return xp.reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:]))


def _aligned(
    xp: Namespace,
    values: list[Any],
    batched: list[bool],
) -> list[Any]:
    """Align the visible axes from the right, as broadcasting does, after the axis of points."""
    ndim = max(v.ndim - b for v, b in zip(values, batched, strict=True) if is_array(v))
    return [_widen(xp, v, ndim + 1) if b else v for v, b in zip(values, batched, strict=True)]


def _shift(axis: Axes, ndim: int) -> Any:
    """Return the index of a visible axis, or of several, among all axes. None means all visible."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple | list):
        return tuple(_shift(a, ndim) for a in axis)
    if not -ndim <= axis < ndim:
        raise IndexError(f"axis {axis} is out of range: the array has {ndim} axes")
    return axis % ndim + 1


def _elementwise(call: Call, **settings: Any) -> Any:
    return call.function(*_aligned(call.xp, call.values, call.batched), **settings)


def _as_is(call: Call, **settings: Any) -> Any:
    return call.function(*call.values, **settings)


def _reduction(
    call: Call,
    axis: Axes = None,
    **settings: Any,
) -> Any:
    (x,) = call.values
    return call.function(x, axis=_shift(axis, x.ndim - 1), **settings)


def _along_axis(default: int) -> Batcher:
    """Return the rule of a function along one axis, which is a setting or the second argument."""

    def rule(
        call: Call,
        axis: int | None = default,
        **settings: Any,
    ) -> Any:
        x, *rest = call.values
        if rest:
            axis, *rest = rest
        return call.function(
            x,
            *rest,
            axis=_shift(default if axis is None else axis, x.ndim - 1),
            **settings,
        )

    return rule


def _flip(call: Call, axis: Axes = None) -> Any:
    return call.function(call.values[0], axis=_shift(axis, call.values[0].ndim - 1))


def _arg_extreme(
    call: Call,
    axis: int | None = None,
    keepdims: bool = False,
) -> Any:
    (x,) = call.values
    if axis is not None:
        return call.function(x, axis=_shift(axis, x.ndim - 1), keepdims=keepdims)
    found = call.function(_flat(call.xp, x), axis=1)
    return call.xp.reshape(found, (x.shape[0], *(1,) * (x.ndim - 1))) if keepdims else found


def _roll(call: Call, axis: Axes = None) -> Any:
    x, shift = call.values
    if axis is None:
        flat = _flat(call.xp, x)
        return call.xp.reshape(call.function(flat, shift, axis=1), x.shape)
    return call.function(x, shift, axis=_shift(axis, x.ndim - 1))


def _repeat(call: Call, axis: int | None = None) -> Any:
    x, repeats = call.values
    if call.batched[1]:
        _data_dependent("repeat")(call)
    if axis is None:
        return call.function(_flat(call.xp, x), repeats, axis=1)
    return call.function(x, repeats, axis=_shift(axis, x.ndim - 1))


def _data_dependent(name: str) -> Batcher:
    def rule(*args: Any, **settings: Any) -> Any:
        raise NoRuleError(
            f"the values of its argument decide how many elements {name!r} returns, which may "
            "differ from point to point, so it cannot be evaluated at many points at once: use "
            "where(), or call the function in a loop"
        )

    return rule


def _matmul(call: Call) -> Any:
    """Multiply as one large product where a matrix is the same at all points.

    One large product is far faster than many small ones. It keeps the points next to the last axis,
    (rows, points, columns). So the next product and the layers between take its result without a
    copy. A vector counts as a matrix of one row or one column.
    """
    xp, function, values, batched = call
    x1, x2 = values
    b1, b2 = batched
    if type(x2) is RowPerturbation and x1.ndim == 2 and x2.ndim == 3 and not b1:
        return _wide(xp, function, x1[:, x2.rows], x2.change) + function(x1, x2.base)
    x1, x2 = _whole(x1), _whole(x2)
    row, column = x1.ndim - b1 == 1, x2.ndim - b2 == 1
    x1 = xp.expand_dims(x1, axis=-2) if row else x1
    x2 = xp.expand_dims(x2, axis=-1) if column else x2
    out = _product(xp, function, x1, x2, b1, b2)
    out = xp.squeeze(out, axis=-1) if column else out
    return xp.squeeze(out, axis=-1 if column else -2) if row else out


def _product(
    xp: Namespace,
    function: Callable[..., Array],
    x1: Array,
    x2: Array,
    b1: bool,
    b2: bool,
) -> Array:
    # A matrix of two axes is the same at all points. The other one differs.
    if x2.ndim == 2 and x1.ndim == 3:
        points, rows, inner = x1.shape
        tall = xp.reshape(xp.permute_dims(x1, (1, 0, 2)), (rows * points, inner))
        product = function(tall, x2)
        return xp.permute_dims(xp.reshape(product, (rows, points, x2.shape[-1])), (1, 0, 2))
    if x1.ndim == 2 and x2.ndim == 3:
        return _wide(xp, function, x1, x2)
    return function(*_aligned(xp, [x1, x2], [b1, b2]))


def _wide(
    xp: Namespace,
    function: Callable[..., Array],
    x1: Array,
    x2: Array,
) -> Array:
    """Multiply one matrix by the matrices of all points, side by side."""
    points, inner, columns = x2.shape
    wide = xp.reshape(xp.permute_dims(x2, (1, 0, 2)), (inner, points * columns))
    product = function(x1, wide)
    return xp.permute_dims(xp.reshape(product, (x1.shape[0], points, columns)), (1, 0, 2))


def _whole(value: Any) -> Any:
    return value.whole() if type(value) is RowPerturbation else value


def _affine(call: Call) -> Any:
    """Evaluate vectors as the rows of one matrix."""
    x, *others = call.values
    if call.batched == [True, False, False] and x.ndim == 2:
        return call.function(_whole(x), *others)
    return NotImplemented


def _vecdot(call: Call, axis: int = -1) -> Any:
    xp, function, values, batched = call
    x1, x2 = values
    if axis >= 0:
        axis -= min(x1.ndim - batched[0], x2.ndim - batched[1])
    return function(*_aligned(xp, values, batched), axis=axis)


def _solve(call: Call) -> Any:
    xp, function, values, batched = call
    x1, x2 = values
    vector = x2.ndim - batched[1] == 1
    x2 = xp.expand_dims(x2, axis=-1) if vector else x2
    out = function(*_aligned(xp, [x1, x2], batched))
    return xp.squeeze(out, axis=-1) if vector else out


def _reshape(call: Call, **settings: Any) -> Any:
    x, shape = call.values
    shape = shape if isinstance(shape, tuple) else (shape,)
    if -1 in shape:
        known = -math.prod(shape)
        if known:
            missing = math.prod(x.shape[1:]) // known
            shape = tuple(missing if n == -1 else n for n in shape)
    return call.function(x, (x.shape[0], *shape), **settings)


def _broadcast_to(call: Call) -> Any:
    x, shape = call.values
    return call.function(_widen(call.xp, x, len(shape) + 1), (x.shape[0], *shape))


def _permute_dims(call: Call) -> Any:
    x, axes = call.values
    return call.function(x, (0, *_shift(tuple(axes), x.ndim - 1)))


def _moveaxis(call: Call) -> Any:
    x, source, destination = call.values
    return call.function(
        x,
        _shift(source, x.ndim - 1),
        _shift(destination, x.ndim - 1),
    )


def _expand_dims(call: Call, axis: int = 0) -> Any:
    return call.function(call.values[0], axis=_shift(axis, call.values[0].ndim))


def _squeeze(call: Call, **settings: Any) -> Any:
    x, axis = call.values if len(call.values) == 2 else (call.values[0], settings["axis"])
    return call.function(x, _shift(axis, x.ndim - 1))


def _concat(call: Call, axis: int | None = 0) -> Any:
    xp, function, values, batched = call
    values = _at_every_point(xp, values, batched)
    if axis is None:
        values = [_flat(xp, v) for v in values]
    return function(*values, axis=_shift(axis or 0, values[0].ndim - 1))


def _stack(call: Call, axis: int = 0) -> Any:
    xp, function, values, batched = call
    values = _at_every_point(xp, values, batched)
    return function(*values, axis=_shift(axis, values[0].ndim))


def _unstack(call: Call, axis: int = 0) -> Any:
    return call.function(*call.values, axis=_shift(axis, call.values[0].ndim - 1))


def _searchsorted(call: Call, **settings: Any) -> Any:
    x1, x2 = call.values
    if not call.batched[0]:
        return call.xp.reshape(call.function(x1, call.xp.reshape(x2, (-1,)), **settings), x2.shape)
    raise NoRuleError(
        "'searchsorted' cannot be evaluated at many points at once where the sorted array differs "
        "from point to point: call the function in a loop"
    )


def _isin(call: Call, invert: bool = False) -> Any:
    """Compare every element with every other where the set differs from point to point."""
    xp, function, values, batched = call
    if not batched[1]:
        return function(*values, invert=invert)
    points = values[1].shape[0]
    x1, x2 = _at_every_point(xp, values, batched)
    shape = x1.shape if is_array(x1) else (points,)
    elements = xp.reshape(x1, (points, math.prod(x1.shape[1:]), 1)) if is_array(x1) else x1
    members = xp.reshape(x2, (points, 1, math.prod(x2.shape[1:])))
    inside = xp.any(members == elements, axis=-1)
    return xp.reshape(xp.logical_not(inside) if invert else inside, shape)


def _is_mask(part: Any) -> bool:
    return is_array(part) and bool(array_namespace(part).isdtype(part.dtype, "bool"))


def _index_axes(key: list[Any]) -> list[int]:
    """Return the positions in a key of its arrays, and of integers beside arrays.

    NumPy broadcasts these together.
    """
    if not any(map(is_array, key)):
        return []
    return [i for i, part in enumerate(key) if is_array(part) or isinstance(part, int)]


def _are_apart(axes: list[int]) -> bool:
    return bool(axes) and axes[-1] - axes[0] >= len(axes)


def _getitem(call: Call) -> Any:
    x, key = call.values
    parts = list(key) if isinstance(key, tuple) else [key]
    return _with_the_points_first(
        call.xp,
        call.function(x, (slice(None), *parts)),
        parts,
    )


def _with_the_points_first(
    xp: Namespace,
    out: Array,
    key: list[Any],
) -> Array:
    """Move the points to axis 0, where a key puts the axes of its arrays before them.

    It does so where a slice separates the arrays.
    """
    if not _are_apart(_index_axes(key)):
        return out
    indices = max(1 if _is_mask(part) else part.ndim for part in key if is_array(part))
    return xp.moveaxis(out, indices, 0)


def _getitem_at(call: Call) -> Any:
    """Read at indices that differ from point to point.

    Flatten the axes that the indices go along, and take rows.
    """
    xp, function, values, batched = call
    x, *key = values
    if not any(batched[1:]):
        return _with_the_points_first(xp, function(x, slice(None), *key), key)
    if any(map(_is_mask, key)):
        _data_dependent("an index that is a mask")()
    ndim = x.ndim - batched[0]
    missing = ndim - sum(part is not None and part is not ... for part in key)
    at = next((i for i, part in enumerate(key) if part is ...), len(key))
    key = [*key[:at], *[slice(None)] * missing, *key[at + 1 :]]
    batched = [
        batched[0],
        *batched[1 : at + 1],
        *[False] * missing,
        *batched[at + 2 :],
    ]
    axes = _index_axes(key)
    others = [i for i in range(len(key)) if i not in axes]
    # Read at the parts of the key that are not indices. After that every part has an axis.
    hidden = int(batched[0])
    x = x[
        (
            *(slice(None),) * hidden,
            *(slice(None) if i in axes else part for i, part in enumerate(key)),
        )
    ]
    lengths = [x.shape[hidden + i] for i in axes]
    order = (*range(hidden), *(hidden + i for i in (*axes, *others)))
    rest = tuple(x.shape[hidden + i] for i in others)
    x = xp.reshape(
        xp.permute_dims(x, order),
        (*x.shape[:hidden], math.prod(lengths), *rest),
    )
    index = _flat_index(
        xp,
        [key[i] for i in axes],
        [batched[i + 1] for i in axes],
        lengths,
    )
    out = _rows_at(xp, x, index, batched=bool(hidden))
    # The axes of the indices come where the first index was.
    before = 0 if _are_apart(axes) else axes[0]
    width = index.ndim - 1
    return xp.permute_dims(
        out,
        (
            0,
            *range(1 + width, 1 + width + before),
            *range(1, 1 + width),
            *range(1 + width + before, out.ndim),
        ),
    )


def _flat_index(
    xp: Namespace,
    parts: list[Any],
    batched: list[bool],
    lengths: list[int],
) -> Array:
    """Return one index into the flattened axes in place of one index for each axis.

    It is past the end where an index is out of range.
    """
    kind = xp.arange(0, device=device(next(part for part in parts if is_array(part)))).dtype
    parts = [xp.astype(part, kind) if is_array(part) else part for part in parts]
    index: Any = 0
    outside: Any = False
    for part, n in zip(_aligned(xp, parts, batched), lengths, strict=True):
        if not is_array(part):
            if not -n <= part < n:
                raise IndexError(f"index {part} is out of range for an axis of length {n}")
            index = index * n + part % n
            continue
        index = index * n + xp.where(part < 0, part + n, part)
        outside = outside | (part < -n) | (part >= n)
    return xp.where(outside, xp.full_like(index, math.prod(lengths)), index)


def _rows_at(
    xp: Namespace,
    x: Array,
    index: Array,
    *,
    batched: bool,
) -> Array:
    """Return x[index], (points, …, …), for x of (rows, …).

    If x is batched, (points, rows, …), the index of a point reads the rows of that point.
    """
    shape = (*index.shape, *x.shape[1 + batched :])
    if batched:
        points, rows = x.shape[:2]
        start = rows * xp.arange(points, dtype=index.dtype, device=device(index))
        start = xp.reshape(start, (points, *(1,) * (index.ndim - 1)))
        index = xp.where(
            index == rows,
            xp.full_like(index, points * rows),
            index + start,
        )
        x = xp.reshape(x, (points * rows, *x.shape[2:]))
    return xp.reshape(xp.take(x, xp.reshape(index, (-1,)), axis=0), shape)


def _take(call: Call, axis: int | None = None) -> Any:
    xp, function, values, batched = call
    x, indices = values
    visible = x.ndim - batched[0]
    along = _shift(0 if axis is None else axis, visible) - 1
    if not batched[1]:
        return function(x, indices, axis=along + 1)
    x = xp.moveaxis(x, along + batched[0], int(batched[0]))
    index = _flat_index(
        xp,
        [indices],
        [True],
        [x.shape[int(batched[0])]],
    )
    out = _rows_at(xp, x, index, batched=batched[0])
    width = index.ndim - 1
    return xp.permute_dims(
        out,
        (
            0,
            *range(1 + width, 1 + width + along),
            *range(1, 1 + width),
            *range(1 + width + along, out.ndim),
        ),
    )


def _take_along_axis(call: Call, axis: int = -1) -> Any:
    x, indices = _at_every_point(call.xp, call.values, call.batched)
    return call.function(x, indices, axis=_shift(axis, x.ndim - 1))


def _put(call: Call) -> Any:
    xp, function, values, batched = call
    x, key, value = values
    parts = list(key) if isinstance(key, tuple) else [key]
    if _are_apart(_index_axes(parts)):
        raise NoRuleError(
            "a write at arrays of indices that a slice separates cannot be evaluated at many "
            "points at once: call the function in a loop"
        )
    if not batched[0]:
        x = xp.broadcast_to(x, (_points(values, batched), *x.shape))
    key = (slice(None), *parts)
    return function(
        x,
        key,
        _widen(xp, value, x[key].ndim) if batched[2] else value,
    )


def _index_add(call: Call) -> Any:
    g, indices, axis, length = call.values
    return (
        NotImplemented
        if call.batched[1]
        else call.function(g, indices, _shift(axis, g.ndim - 1), length)
    )


def _scatter_add(call: Call) -> Any:
    g, indices, axis, length = call.values
    g, indices = _at_every_point(call.xp, [g, indices], call.batched[:2])
    return call.function(g, indices, _shift(axis, g.ndim - 1), length)


def _images(
    call: Call,
    *,
    images: int | None,
    **settings: Any,
) -> Any:
    """Evaluate the images of all points as one batch.

    The first ``images`` arguments are images, all arguments for None.
    """
    xp, function, values, batched = call
    images = len(values) if images is None else images
    if any(batched[images:]):
        return NotImplemented
    given = _at_every_point(
        xp,
        [_whole(x) for x in values[:images]],
        batched[:images],
    )
    points, n = given[0].shape[:2]
    merged = [xp.reshape(x, (points * n, *x.shape[2:])) for x in given]
    out = function(*merged, *values[images:], **settings)
    return xp.reshape(out, (points, n, *out.shape[1:]))


#: The functions whose rules take a `RowPerturbation`. The others take the array at every point.
TAKE_PERTURBATIONS = frozenset(["affine", "conv2d", "conv2d_input_gradient", "matmul"])

BATCHERS: dict[str, Batcher] = {
    **dict.fromkeys((*CHAPTERS["elementwise"], "where"), _elementwise),
    **dict.fromkeys("all any count_nonzero max mean min prod std sum var".split(), _reduction),
    **dict.fromkeys(("argsort", "sort", "softmax", "log_softmax"), _along_axis(-1)),
    # Without an axis these take an array of one axis only.
    **dict.fromkeys(("cumulative_prod", "cumulative_sum"), _along_axis(0)),
    **{
        f"fft.{name}": _along_axis(-1) for name in ("fft", "hfft", "ifft", "ihfft", "irfft", "rfft")
    },
    **dict.fromkeys(("argmax", "argmin"), _arg_extreme),
    **dict.fromkeys(
        "astype matrix_transpose relu sigmoid relu_gradient stop_gradient".split(), _as_is
    ),
    **{
        f"linalg.{name}": _as_is
        for name in (
            "cholesky det eig eigh eigvalsh inv matrix_rank pinv qr slogdet svd svdvals".split()
        )
    },
    **{
        name: _data_dependent(name)
        for name in "nonzero unique_all unique_counts unique_inverse unique_values".split()
    },
    **dict.fromkeys(
        ("conv2d", "conv2d_input_gradient", "max_pool2d"),
        partial(_images, images=1),
    ),
    **dict.fromkeys(
        ("max_pool2d_gradient", "max_pool2d_gather"),
        partial(_images, images=None),
    ),
    "affine": _affine,
    "broadcast_to": _broadcast_to,
    "concat": _concat,
    "expand_dims": _expand_dims,
    "flip": _flip,
    "getitem": _getitem,
    "getitem_at": _getitem_at,
    "index_add": _index_add,
    "isin": _isin,
    "linalg.solve": _solve,
    "matmul": _matmul,
    "moveaxis": _moveaxis,
    "permute_dims": _permute_dims,
    "put": _put,
    "repeat": _repeat,
    "reshape": _reshape,
    "roll": _roll,
    "scatter_add": _scatter_add,
    "searchsorted": _searchsorted,
    "squeeze": _squeeze,
    "stack": _stack,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "unstack": _unstack,
    "vecdot": _vecdot,
}
