"""Rules of the standard's manipulation functions: the same numbers at another place."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, device
from anynet.autodiff.rules.table import Table
from anynet.tracing.trace import Primitive

RULES = rule = Table()
DECOMPOSITIONS = decomposition = Table()


@rule
def astype(
    xp: Namespace,
    out: Array,
    x: Array,
    dtype: Any,
    *,
    copy: bool = True,
    device: Any = None,
) -> Any:
    """Pass the cotangent on; the walker casts it back."""
    return lambda g: g, None


@rule
def broadcast_to(xp: Namespace, out: Array, x: Array, shape: Any) -> Any:
    """Pass the cotangent on; the walker sums it over what was broadcast."""
    return lambda g: g, None


@rule
def concat(xp: Namespace, out: Array, *arrays: Array, axis: int | None = 0) -> Any:
    """Give each array its slice of the cotangent."""
    if axis is None:
        parts = zip(
            _starts([math.prod(x.shape) for x in arrays]),
            [x.shape for x in arrays],
            strict=True,
        )
        return tuple(
            lambda g, start=start, shape=shape: xp.reshape(
                g[start : start + math.prod(shape)], shape
            )
            for start, shape in parts
        )
    lengths = [x.shape[axis] for x in arrays]
    before = (slice(None),) * (axis % out.ndim)
    return tuple(
        lambda g, start=start, stop=start + length: g[(*before, slice(start, stop), ...)]
        for start, length in zip(_starts(lengths), lengths, strict=True)
    )


def _starts(lengths: list[int]) -> list[int]:
    return [sum(lengths[:i]) for i in range(len(lengths))]


@rule
def expand_dims(xp: Namespace, out: Array, x: Array, /, *, axis: int = 0) -> Any:
    shape = x.shape
    return lambda g: xp.reshape(g, shape)


@rule
def flip(xp: Namespace, out: Array, x: Array, *, axis: Any = None) -> Any:
    return lambda g: xp.flip(g, axis=axis)


@rule
def moveaxis(xp: Namespace, out: Array, x: Array, source: Any, destination: Any) -> Any:
    return lambda g: xp.moveaxis(g, destination, source), None, None


@rule
def permute_dims(xp: Namespace, out: Array, x: Array, axes: Any) -> Any:
    inverse = sorted(range(len(axes)), key=lambda i: axes[i] % len(axes))
    return lambda g: xp.permute_dims(g, tuple(inverse)), None


@rule
def reshape(
    xp: Namespace,
    out: Array,
    x: Array,
    shape: Any,
    *,
    copy: bool | None = None,
) -> Any:
    given = x.shape
    return lambda g: xp.reshape(g, given), None


@rule
def roll(xp: Namespace, out: Array, x: Array, shift: Any, *, axis: Any = None) -> Any:
    back = tuple(-s for s in shift) if isinstance(shift, tuple) else -shift
    return lambda g: xp.roll(g, back, axis=axis), None


@rule
def squeeze(xp: Namespace, out: Array, x: Array, axis: Any) -> Any:
    shape = x.shape
    return lambda g: xp.reshape(g, shape), None


@rule
def stack(xp: Namespace, out: Array, *arrays: Array, axis: int = 0) -> Any:
    before = (slice(None),) * (axis % out.ndim)
    return tuple(lambda g, i=i: g[(*before, i, ...)] for i in range(len(arrays)))


@decomposition
def broadcast_arrays(xp: Namespace, *arrays: Array) -> Any:
    shape = broadcast_shape(*(x.shape for x in arrays))
    return type(xp.broadcast_arrays(*map(xp.zeros_like, arrays)))(
        xp.broadcast_to(x, shape) for x in arrays
    )


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape to which arrays of these shapes are broadcast."""
    ndim = max(map(len, shapes), default=0)
    padded = [(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(0 if 0 in lengths else max(lengths) for lengths in zip(*padded, strict=True))


@decomposition
def repeat(xp: Namespace, x: Array, repeats: Any, /, *, axis: int | None = None) -> Array:
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    places = xp.arange(x.shape[axis], device=device(x))
    return xp.take(x, xp.repeat(places, repeats), axis=axis)


@decomposition
def tile(xp: Namespace, x: Array, repetitions: tuple[int, ...], /) -> Array:
    ndim = max(x.ndim, len(repetitions))
    repetitions = (1,) * (ndim - len(repetitions)) + tuple(repetitions)
    shape = (1,) * (ndim - x.ndim) + tuple(x.shape)
    wide = xp.reshape(x, tuple(n for length in shape for n in (1, length)))
    wide = xp.broadcast_to(
        wide,
        tuple(n for pair in zip(repetitions, shape, strict=True) for n in pair),
    )
    return xp.reshape(wide, tuple(r * n for r, n in zip(repetitions, shape, strict=True)))


@rule
def unstack(xp: Namespace, out: tuple[Array, ...], x: Array, /, *, axis: int = 0) -> Any:
    return lambda g: xp.stack(
        [xp.zeros_like(y) if c is None else c for y, c in zip(out, g, strict=True)],
        axis=axis,
    )


# The standard takes these arrays in a sequence; as primitives the functions take them one by one.
SEQUENCE_PRIMITIVES = (
    Primitive(
        "concat",
        concat,
        lambda *arrays, **settings: array_namespace(*arrays).concat(arrays, **settings),
    ),
    Primitive(
        "stack",
        stack,
        lambda *arrays, **settings: array_namespace(*arrays).stack(arrays, **settings),
    ),
)
