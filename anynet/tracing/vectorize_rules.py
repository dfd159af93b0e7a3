"""How functions are evaluated at many points at once, by their names: one call of the same function
for all points.

A rule is called as ``rule(xp, function, values, batched, **settings)`` with the primitive's
function, its arguments, and which of these are batched: those have the points along axis 0. It
returns the result with the points along axis 0, or NotImplemented where the function is to be
evaluated in its parts.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from anynet.array import Array, Namespace, array_namespace, device, is_array
from anynet.errors import NoRuleError
from anynet.tracing.row_perturbation import RowPerturbation
from anynet.tracing.standard import CHAPTERS

Batcher = Callable[..., Any]


def _points(values: list[Any], batched: list[bool]) -> int:
    return next(v.shape[0] for v, b in zip(values, batched, strict=True) if b)  # type: ignore[no-any-return]


def _at_every_point(xp: Namespace, values: list[Any], batched: list[bool]) -> list[Any]:
    """Return the arrays with the points along axis 0, those too that are the same everywhere."""
    points = _points(values, batched)
    return [
        v if b or not is_array(v) else xp.broadcast_to(v, (points, *v.shape))
        for v, b in zip(values, batched, strict=True)
    ]


def _widen(xp: Namespace, value: Array, ndim: int) -> Array:
    """Put axes of length one behind that of the points."""
    missing = ndim - value.ndim
    return (
        value
        if missing <= 0
        else xp.reshape(value, (value.shape[0], *(1,) * missing, *value.shape[1:]))
    )


def _aligned(xp: Namespace, values: list[Any], batched: list[bool]) -> list[Any]:
    """Align the visible axes from the right, as broadcasting does, with the points in front of
    them.
    """
    ndim = max(v.ndim - b for v, b in zip(values, batched, strict=True) if is_array(v))
    return [_widen(xp, v, ndim + 1) if b else v for v, b in zip(values, batched, strict=True)]


def _shift(axis: Any, ndim: int) -> Any:
    """Return the place among all axes of one, or several, named among the visible ones; all of
    these for None.
    """
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple | list):
        return tuple(_shift(a, ndim) for a in axis)
    if not -ndim <= axis < ndim:
        raise IndexError(f"axis {axis} is out of range: the array has {ndim} axes")
    return axis % ndim + 1


def _elementwise(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    **settings: Any,
) -> Any:
    return function(*_aligned(xp, values, batched), **settings)


def _as_is(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    **settings: Any,
) -> Any:
    return function(*values, **settings)


def _reduction(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: Any = None,
    **settings: Any,
) -> Any:
    (x,) = values
    return function(x, axis=_shift(axis, x.ndim - 1), **settings)


def _along_axis(default: int) -> Batcher:
    """Return the rule of a function along one axis, given by name or in order."""

    def rule(
        xp: Namespace,
        function: Any,
        values: list[Any],
        batched: list[bool],
        axis: Any = default,
        **settings: Any,
    ) -> Any:
        x, *rest = values
        if rest:
            axis, *rest = rest
        return function(
            x,
            *rest,
            axis=_shift(default if axis is None else axis, x.ndim - 1),
            **settings,
        )

    return rule


def _flip(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: Any = None,
) -> Any:
    return function(values[0], axis=_shift(axis, values[0].ndim - 1))


def _arg_extreme(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int | None = None,
    keepdims: bool = False,
) -> Any:
    (x,) = values
    if axis is not None:
        return function(x, axis=_shift(axis, x.ndim - 1), keepdims=keepdims)
    found = function(xp.reshape(x, (x.shape[0], math.prod(x.shape[1:]))), axis=1)
    return xp.reshape(found, (x.shape[0], *(1,) * (x.ndim - 1))) if keepdims else found


def _roll(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: Any = None,
) -> Any:
    x, shift = values
    if axis is None:
        flat = xp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))
        return xp.reshape(function(flat, shift, axis=1), x.shape)
    return function(x, shift, axis=_shift(axis, x.ndim - 1))


def _repeat(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int | None = None,
) -> Any:
    x, repeats = values
    if batched[1]:
        _data_dependent("repeat")(xp, function, values, batched)
    if axis is None:
        return function(
            xp.reshape(x, (x.shape[0], math.prod(x.shape[1:]))),
            repeats,
            axis=1,
        )
    return function(x, repeats, axis=_shift(axis, x.ndim - 1))


def _data_dependent(name: str) -> Batcher:
    def rule(*args: Any, **settings: Any) -> Any:
        raise NoRuleError(
            f"{name!r} returns as many elements as the values of its argument say, which may be "
            "others at every point, so it cannot be evaluated at many points at once: use where(), "
            "or call the function in a loop"
        )

    return rule


def _matmul(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    """Multiply; one matrix for all points becomes one large product, far faster than many small
    ones.

    The large products keep the points next to the last axis, (rows, points, columns): what one of
    them leaves, the next one and the layers between take without moving it. A vector counts as a
    matrix of one row, or of one column.
    """
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
    xp: Namespace, function: Callable[..., Array], x1: Array, x2: Array, b1: bool, b2: bool
) -> Array:
    # A matrix of two axes is the same at all points, and the other one is not.
    if x2.ndim == 2 and x1.ndim == 3:
        points, rows, inner = x1.shape
        product = function(
            xp.reshape(xp.permute_dims(x1, (1, 0, 2)), (rows * points, inner)),
            x2,
        )
        return xp.permute_dims(xp.reshape(product, (rows, points, x2.shape[-1])), (1, 0, 2))
    if x1.ndim == 2 and x2.ndim == 3:
        return _wide(xp, function, x1, x2)
    return function(*_aligned(xp, [x1, x2], [b1, b2]))


def _wide(xp: Namespace, function: Callable[..., Array], x1: Array, x2: Array) -> Array:
    """Multiply one matrix by those of all points, side by side."""
    points, inner, columns = x2.shape
    product = function(
        x1,
        xp.reshape(xp.permute_dims(x2, (1, 0, 2)), (inner, points * columns)),
    )
    return xp.permute_dims(xp.reshape(product, (x1.shape[0], points, columns)), (1, 0, 2))


def _whole(value: Any) -> Any:
    return value.whole() if type(value) is RowPerturbation else value


def _affine(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    """Take vectors as the rows of one matrix."""
    x, *others = values
    return (
        function(_whole(x), *others)
        if batched == [True, False, False] and x.ndim == 2
        else NotImplemented
    )


def _vecdot(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int = -1,
) -> Any:
    x1, x2 = values
    if axis >= 0:
        axis -= min(x1.ndim - batched[0], x2.ndim - batched[1])
    return function(*_aligned(xp, values, batched), axis=axis)


def _solve(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x1, x2 = values
    vector = x2.ndim - batched[1] == 1
    x2 = xp.expand_dims(x2, axis=-1) if vector else x2
    out = function(*_aligned(xp, [x1, x2], batched))
    return xp.squeeze(out, axis=-1) if vector else out


def _reshape(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    **settings: Any,
) -> Any:
    x, shape = values
    shape = shape if isinstance(shape, tuple) else (shape,)
    if -1 in shape:
        rest = -math.prod(shape)
        shape = (
            tuple(math.prod(x.shape[1:]) // rest if n == -1 else n for n in shape)
            if rest
            else shape
        )
    return function(x, (x.shape[0], *shape), **settings)


def _broadcast_to(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, shape = values
    return function(_widen(xp, x, len(shape) + 1), (x.shape[0], *shape))


def _permute_dims(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, axes = values
    return function(x, (0, *_shift(tuple(axes), x.ndim - 1)))


def _moveaxis(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, source, destination = values
    return function(x, _shift(source, x.ndim - 1), _shift(destination, x.ndim - 1))


def _expand_dims(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int = 0,
) -> Any:
    return function(values[0], axis=_shift(axis, values[0].ndim))


def _squeeze(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    **settings: Any,
) -> Any:
    x, axis = values if len(values) == 2 else (values[0], settings["axis"])
    return function(x, _shift(axis, x.ndim - 1))


def _concat(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int | None = 0,
) -> Any:
    values = _at_every_point(xp, values, batched)
    if axis is None:
        values = [xp.reshape(v, (v.shape[0], math.prod(v.shape[1:]))) for v in values]
    return function(*values, axis=_shift(axis or 0, values[0].ndim - 1))


def _stack(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int = 0,
) -> Any:
    values = _at_every_point(xp, values, batched)
    return function(*values, axis=_shift(axis, values[0].ndim))


def _unstack(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int = 0,
) -> Any:
    return function(*values, axis=_shift(axis, values[0].ndim - 1))


def _searchsorted(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    **settings: Any,
) -> Any:
    x1, x2 = values
    if not batched[0]:
        return xp.reshape(function(x1, xp.reshape(x2, (-1,)), **settings), x2.shape)
    raise NoRuleError(
        "'searchsorted' cannot be evaluated at many points at once where the sorted array is "
        "another at every point: call the function in a loop"
    )


def _isin(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    invert: bool = False,
) -> Any:
    """Compare all with all where the set is another one at every point."""
    if not batched[1]:
        return function(*values, invert=invert)
    points = values[1].shape[0]
    x1, x2 = _at_every_point(xp, values, batched)
    shape = x1.shape if is_array(x1) else (points,)
    elements = xp.reshape(x1, (points, math.prod(x1.shape[1:]), 1)) if is_array(x1) else x1
    found = xp.any(
        xp.reshape(x2, (points, 1, math.prod(x2.shape[1:]))) == elements,
        axis=-1,
    )
    return xp.reshape(xp.logical_not(found) if invert else found, shape)


def _is_mask(part: Any) -> bool:
    return is_array(part) and bool(array_namespace(part).isdtype(part.dtype, "bool"))


def _index_axes(key: list[Any]) -> list[int]:
    """Return where a key has the parts that NumPy takes together: arrays, and integers beside
    arrays.
    """
    if not any(map(is_array, key)):
        return []
    return [i for i, part in enumerate(key) if is_array(part) or isinstance(part, int)]


def _are_apart(axes: list[int]) -> bool:
    return bool(axes) and axes[-1] - axes[0] >= len(axes)


def _getitem(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, key = values
    parts = list(key) if isinstance(key, tuple) else [key]
    return _with_the_points_first(xp, function(x, (slice(None), *parts)), parts)


def _with_the_points_first(xp: Namespace, out: Array, key: list[Any]) -> Array:
    """Arrays in a key that are apart from each other have their axes put first, before that of the
    points.
    """
    if not _are_apart(_index_axes(key)):
        return out
    indices = max(1 if _is_mask(part) else part.ndim for part in key if is_array(part))
    return xp.moveaxis(out, indices, 0)


def _getitem_at(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    """Read with other indices at every point: flatten the axes that they go along, and take."""
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
    # First what is the same at every point. Then every part of the key has its axis.
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
    index = _flat_index(xp, [key[i] for i in axes], [batched[i + 1] for i in axes], lengths)
    out = _rows_at(xp, x, index, batched=bool(hidden))
    # The axes of the indices stand where the first one of them was.
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


def _flat_index(xp: Namespace, parts: list[Any], batched: list[bool], lengths: list[int]) -> Array:
    """Return one index in place of one along each axis, read row by row; past the end where one is
    out of range.
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


def _rows_at(xp: Namespace, x: Array, index: Array, *, batched: bool) -> Array:
    """Return x[index], (points, …, …), for x of (rows, …), or of (points, rows, …) with an index in
    its own rows.
    """
    shape = (*index.shape, *x.shape[1 + batched :])
    if batched:
        points, rows = x.shape[:2]
        start = rows * xp.arange(points, dtype=index.dtype, device=device(index))
        start = xp.reshape(start, (points, *(1,) * (index.ndim - 1)))
        index = xp.where(index == rows, xp.full_like(index, points * rows), index + start)
        x = xp.reshape(x, (points * rows, *x.shape[2:]))
    return xp.reshape(xp.take(x, xp.reshape(index, (-1,)), axis=0), shape)


def _take(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int | None = None,
) -> Any:
    x, indices = values
    visible = x.ndim - batched[0]
    along = _shift(0 if axis is None else axis, visible) - 1
    if not batched[1]:
        return function(x, indices, axis=along + 1)
    x = xp.moveaxis(x, along + batched[0], int(batched[0]))
    index = _flat_index(xp, [indices], [True], [x.shape[int(batched[0])]])
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


def _take_along_axis(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    axis: int = -1,
) -> Any:
    x, indices = _at_every_point(xp, values, batched)
    return function(x, indices, axis=_shift(axis, x.ndim - 1))


def _put(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, key, value = values
    parts = list(key) if isinstance(key, tuple) else [key]
    if _are_apart(_index_axes(parts)):
        raise NoRuleError(
            "writing at arrays of indices that a slice separates cannot be evaluated at many "
            "points at once: call the function in a loop"
        )
    if not batched[0]:
        x = xp.broadcast_to(x, (_points(values, batched), *x.shape))
    key = (slice(None), *parts)
    return function(x, key, _widen(xp, value, x[key].ndim) if batched[2] else value)


def _index_add(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    g, indices, axis, length = values
    return NotImplemented if batched[1] else function(g, indices, _shift(axis, g.ndim - 1), length)


def _scatter_add(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    g, indices, axis, length = values
    g, indices = _at_every_point(xp, [g, indices], batched[:2])
    return function(g, indices, _shift(axis, g.ndim - 1), length)


def _images(
    xp: Namespace,
    function: Any,
    values: list[Any],
    batched: list[bool],
    *,
    images: int,
    **settings: Any,
) -> Any:
    """Take the images of all points as those of one batch; as many arguments, the first ones, are
    images.
    """
    if any(batched[images:]):
        return NotImplemented
    given = _at_every_point(xp, [_whole(x) for x in values[:images]], batched[:images])
    points, n = given[0].shape[:2]
    merged = [xp.reshape(x, (points * n, *x.shape[2:])) for x in given]
    out = function(*merged, *values[images:], **settings)
    return xp.reshape(out, (points, n, *out.shape[1:]))


#: Functions whose rules take moved arrays as they are; a copy at every point is made for the
#: others.
TAKE_PERTURBATIONS = frozenset(["affine", "conv2d", "conv2d_input_gradient", "matmul"])

BATCHERS: dict[str, Batcher] = {
    **dict.fromkeys((*CHAPTERS["elementwise"], "where"), _elementwise),
    **dict.fromkeys(
        (
            "all",
            "any",
            "count_nonzero",
            "max",
            "mean",
            "min",
            "prod",
            "std",
            "sum",
            "var",
        ),
        _reduction,
    ),
    **dict.fromkeys(("argsort", "sort", "softmax", "log_softmax"), _along_axis(-1)),
    # Without an axis, these take an array of one axis.
    **dict.fromkeys(("cumulative_prod", "cumulative_sum"), _along_axis(0)),
    **{
        f"fft.{name}": _along_axis(-1) for name in ("fft", "hfft", "ifft", "ihfft", "irfft", "rfft")
    },
    **dict.fromkeys(("argmax", "argmin"), _arg_extreme),
    **dict.fromkeys(
        (
            "astype",
            "matrix_transpose",
            "relu",
            "sigmoid",
            "relu_gradient",
            "stop_gradient",
        ),
        _as_is,
    ),
    **{
        f"linalg.{name}": _as_is
        for name in "cholesky det eig eigh eigvalsh inv matrix_rank pinv qr slogdet svd svdvals".split()
    },
    **{
        name: _data_dependent(name)
        for name in (
            "nonzero",
            "unique_all",
            "unique_counts",
            "unique_inverse",
            "unique_values",
        )
    },
    **dict.fromkeys(
        ("conv2d", "conv2d_input_gradient", "max_pool2d"),
        partial(_images, images=1),
    ),
    **dict.fromkeys(
        ("max_pool2d_gradient", "max_pool2d_gather"),
        partial(_images, images=3),
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
