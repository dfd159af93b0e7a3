"""Evaluating a function at many points at once: a trace whose arrays have a leading axis that the function cannot see.

`Batch` moves the axes that a function names past its own, and calls the same function of the library once for all
points. Functions without a way to be batched raise `NoRuleError`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from anynet.array import Array, Namespace, array_namespace, device, is_array
from anynet.autodiff.rules.chapters import CHAPTERS
from anynet.autodiff.trace import Primitive, Traced, lift, next_level, refused
from anynet.errors import NoRuleError

# Called with the namespace, the primitive's function, the values, which of them are batched, and the settings; a
# batched value has the points along axis 0.
_Batcher = Callable[..., Any]


class Moved:
    """An array that at every point has another change in the same few rows: what differences are taken of.

    ``base`` is (…, columns) and counts as (rows, columns); ``change`` is (points, moving rows, columns) and moves the
    rows from ``first`` on. A product with it costs the moving rows only; all else sees it `whole`.
    """

    def __init__(self, base: Array, first: int, change: Array) -> None:
        self.base = base
        self.first = first
        self.change = change
        self.rows = slice(first, first + change.shape[1])
        self.shape = (change.shape[0], *base.shape)
        self.ndim = base.ndim + 1
        self.dtype = base.dtype
        self.device = device(base)

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        return array_namespace(self.base)

    def whole(self) -> Array:
        """Return the array at all points, (points, …)."""
        xp = array_namespace(self.base)
        points, _, columns = self.change.shape
        base = xp.reshape(self.base, (1, -1, columns))
        before, after = base[:, : self.first, :], base[:, self.rows.stop :, :]
        parts = [xp.broadcast_to(part, (points, *part.shape[1:])) for part in (before, after)]
        return xp.reshape(xp.concat([parts[0], base[:, self.rows, :] + self.change, parts[1]], axis=1), self.shape)


class Batch:
    """A trace over ``points`` evaluations: axis 0 of a value runs over the points."""

    hidden_axes = 1
    whole = False
    refused = staticmethod(refused)

    def __init__(self, points: int) -> None:
        self.level = next_level()
        self.points = points

    def variable(self, values: "Array | Moved") -> Traced:
        """Begin with an array that differs from point to point, given as (points, …) or by its changes."""
        return Traced(values, self)

    def apply(self, primitive: Primitive, args: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Evaluate the primitive at all points."""
        if primitive.reference is not None and primitive.name not in _BATCHERS:
            # A reference is made of the standard's functions; those know how.
            return primitive.reference(*args, **settings)
        if primitive.name not in _BATCHERS:
            raise NoRuleError(
                f"{primitive.name!r} cannot be evaluated at many points at once: add how to anynet/autodiff/batching.py"
            )
        batched = [type(arg) is Traced and arg.trace is self for arg in args]
        values = [
            arg.value if type(arg) is Traced and (arg.trace is self or arg.trace is None) else arg for arg in args
        ]
        if primitive.name != "matmul":
            values = [_whole(value) for value in values]
        if any(type(value) is Traced for value in values):
            values = [lift(value) if is_array(value) else value for value in values]

        def function(*values: Any, **settings: Any) -> Any:
            return primitive.evaluate(values, settings)[0]

        x = next(v for v, b in zip(values, batched, strict=True) if b)
        out = _BATCHERS[primitive.name](array_namespace(x), function, values, batched, **settings)
        return tuple([Traced(x, self) for x in out]) if isinstance(out, tuple) else Traced(out, self)


def _elementwise(xp: Namespace, function: Any, values: list[Any], batched: list[bool], **settings: Any) -> Any:
    """Align the visible axes from the right, as broadcasting does, with the points in front of them."""
    ndim = max(v.ndim - b for v, b in zip(values, batched, strict=True) if is_array(v))
    return function(*(_widen(xp, v, ndim + 1) if b else v for v, b in zip(values, batched, strict=True)), **settings)


def _widen(xp: Namespace, value: Array, ndim: int) -> Array:
    missing = ndim - value.ndim
    return value if not missing else xp.reshape(value, (value.shape[0], *(1,) * missing, *value.shape[1:]))


def _reduction(
    xp: Namespace, function: Any, values: list[Any], batched: list[bool], axis: Any = None, **settings: Any
) -> Any:
    """Reduce the named axes, all but that of the points where none is named."""
    (x,) = values
    return function(x, axis=_shift(axis, x.ndim - 1, every=True), **settings)


def _along_axis(
    xp: Namespace, function: Any, values: list[Any], batched: list[bool], axis: Any = -1, **settings: Any
) -> Any:
    x, *rest = values
    return function(x, *rest, axis=_shift(axis, x.ndim - 1), **settings)


def _shift(axis: Any, ndim: int, *, every: bool = False) -> Any:
    """Return the place among all axes of an axis that was named among the visible ones."""
    if axis is None:
        return tuple(range(1, ndim + 1)) if every else None
    if isinstance(axis, tuple):
        return tuple(a % ndim + 1 for a in axis)
    return axis % ndim + 1


def _matmul(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    """Multiply; one matrix for all points becomes one large product, far faster than many small ones.

    The large products keep the points next to the last axis, (rows, points, columns): what one of them leaves, the
    next one and the layers between take without moving it.
    """
    x1, x2 = values
    b1, b2 = batched
    if type(x2) is Moved and x1.ndim == 2 and x2.ndim == 3 and not b1:
        return _wide(xp, function, x1[:, x2.rows], x2.change) + function(x1, x2.base)
    x1, x2 = _whole(x1), _whole(x2)
    if x1.ndim - b1 < 2 or x2.ndim - b2 < 2:
        raise NoRuleError("a product with a vector cannot be evaluated at many points at once: use a matrix of one row")
    if b1 and not b2 and x2.ndim == 2 and x1.ndim == 3:
        points, rows, inner = x1.shape
        product = function(xp.reshape(xp.permute_dims(x1, (1, 0, 2)), (rows * points, inner)), x2)
        return xp.permute_dims(xp.reshape(product, (rows, points, x2.shape[-1])), (1, 0, 2))
    if b2 and not b1 and x1.ndim == 2 and x2.ndim == 3:
        return _wide(xp, function, x1, x2)
    ndim = max(x1.ndim - b1, x2.ndim - b2) + 1
    return function(_widen(xp, x1, ndim) if b1 else x1, _widen(xp, x2, ndim) if b2 else x2)


def _wide(xp: Namespace, function: Any, x1: Array, x2: Array) -> Array:
    """Multiply one matrix by those of all points, side by side."""
    points, inner, columns = x2.shape
    product = function(x1, xp.reshape(xp.permute_dims(x2, (1, 0, 2)), (inner, points * columns)))
    return xp.permute_dims(xp.reshape(product, (x1.shape[0], points, columns)), (1, 0, 2))


def _whole(value: Any) -> Any:
    return value.whole() if type(value) is Moved else value


def _reshape(xp: Namespace, function: Any, values: list[Any], batched: list[bool], **settings: Any) -> Any:
    x, shape = values
    shape = shape if isinstance(shape, tuple) else (shape,)
    if -1 in shape:
        rest = -math.prod(shape)
        shape = tuple(math.prod(x.shape[1:]) // rest if n == -1 else n for n in shape) if rest else shape
    return function(x, (x.shape[0], *shape), **settings)


def _broadcast_to(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, shape = values
    return function(_widen(xp, x, len(shape) + 1), (x.shape[0], *shape))


def _permute_dims(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, axes = values
    return function(x, (0, *(axis % (x.ndim - 1) + 1 for axis in axes)))


def _expand_dims(xp: Namespace, function: Any, values: list[Any], batched: list[bool], axis: int = 0) -> Any:
    return function(values[0], axis=axis % values[0].ndim + 1)


def _squeeze(xp: Namespace, function: Any, values: list[Any], batched: list[bool], **settings: Any) -> Any:
    x, axis = values if len(values) == 2 else (values[0], settings["axis"])
    return function(x, _shift(axis, x.ndim - 1))


def _getitem(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, key = values
    return function(x, _shift_key(key))


def _put(xp: Namespace, function: Any, values: list[Any], batched: list[bool]) -> Any:
    x, key, value = values
    key = _shift_key(key)
    if not batched[0]:
        points = value.shape[0]
        x = xp.broadcast_to(x, (points, *x.shape))
    if batched[2]:
        value = _widen(xp, value, max(value.ndim, x[key].ndim))
    return function(x, key, value)


def _shift_key(key: Any) -> Any:
    """Return the key behind the axis of the points, which arrays that stand apart would move to another place."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(map(is_array, parts)):
        chosen = [i for i, part in enumerate(parts) if is_array(part) or isinstance(part, int)]
        if len(chosen) <= chosen[-1] - chosen[0]:
            raise NoRuleError("a key whose integers stand apart cannot be evaluated at many points at once")
    return (slice(None), *parts)


def _sequence(xp: Namespace, function: Any, values: list[Any], batched: list[bool], axis: int = 0) -> Any:
    points = next(v.shape[0] for v, b in zip(values, batched, strict=True) if b)
    values = [v if b else xp.broadcast_to(v, (points, *v.shape)) for v, b in zip(values, batched, strict=True)]
    return function(*values, axis=axis + 1 if axis >= 0 else axis)


def _unstack(xp: Namespace, function: Any, values: list[Any], batched: list[bool], axis: int = 0) -> Any:
    return function(*values, axis=_shift(axis, values[0].ndim - 1))


def _as_is(xp: Namespace, function: Any, values: list[Any], batched: list[bool], **settings: Any) -> Any:
    return function(*values, **settings)


_BATCHERS: dict[str, _Batcher] = {
    **dict.fromkeys((*CHAPTERS["elementwise"], "where"), _elementwise),
    **dict.fromkeys(("all", "any", "max", "mean", "min", "prod", "std", "sum", "var"), _reduction),
    **dict.fromkeys(("cumulative_sum", "flip", "softmax", "log_softmax", "argmax", "argmin"), _along_axis),
    **dict.fromkeys(("astype", "matrix_transpose", "relu", "sigmoid", "relu_gradient", "stop_gradient"), _as_is),
    **dict.fromkeys(("concat", "stack"), _sequence),
    "broadcast_to": _broadcast_to,
    "expand_dims": _expand_dims,
    "getitem": _getitem,
    "matmul": _matmul,
    "permute_dims": _permute_dims,
    "put": _put,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "unstack": _unstack,
}
