"""Rules of the standard's manipulation functions."""

import math
from typing import Any

from anynet.array import Array, Axes, Device, DType, Namespace, Shape, array_namespace, device
from anynet.autodiff.rules.table import Table
from anynet.tracing.trace import Primitive

RULES = rule = Table()
DECOMPOSITIONS = decomposition = Table()


@rule
def astype(
    xp: Namespace,
    out: Array,
    x: Array,
    dtype: DType,
    *,
    copy: bool = True,
    device: Device | None = None,
) -> Any:
    """Pass the cotangent on. The walker casts it back."""
    return lambda g: g, None


@rule
def broadcast_to(
    xp: Namespace,
    out: Array,
    x: Array,
    shape: Shape,
) -> Any:
    """Pass the cotangent on. The walker sums it over the axes that were broadcast."""
    return lambda g: g, None


@rule
def concat(
    xp: Namespace,
    out: Array,
    *arrays: Array,
    axis: int | None = 0,
) -> Any:
    """Pass each array its slice of the cotangent."""
    if axis is None:
        shapes = [x.shape for x in arrays]
        sizes = [math.prod(shape) for shape in shapes]
        return tuple(
            lambda g, start=start, n=n, shape=shape: xp.reshape(g[start : start + n], shape)
            for start, n, shape in zip(_starts(sizes), sizes, shapes, strict=True)
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
def expand_dims(
    xp: Namespace,
    out: Array,
    x: Array,
    /,
    *,
    axis: int = 0,
) -> Any:
    shape = x.shape
    return lambda g: xp.reshape(g, shape)


@rule
def flip(
    xp: Namespace,
    out: Array,
    x: Array,
    *,
    axis: Axes = None,
) -> Any:
    return lambda g: xp.flip(g, axis=axis)


@rule
def moveaxis(
    xp: Namespace,
    out: Array,
    x: Array,
    source: Axes,
    destination: Axes,
) -> Any:
    return lambda g: xp.moveaxis(g, destination, source), None, None


@rule
def permute_dims(
    xp: Namespace,
    out: Array,
    x: Array,
    axes: Shape,
) -> Any:
    inverse = sorted(range(len(axes)), key=lambda i: axes[i] % len(axes))
    return lambda g: xp.permute_dims(g, tuple(inverse)), None


@rule
def reshape(
    xp: Namespace,
    out: Array,
    x: Array,
    shape: Shape,
    *,
    copy: bool | None = None,
) -> Any:
    given = x.shape
    return lambda g: xp.reshape(g, given), None


@rule
def roll(
    xp: Namespace,
    out: Array,
    x: Array,
    shift: int | Shape,
    *,
    axis: Axes = None,
) -> Any:
    back = tuple(-s for s in shift) if isinstance(shift, tuple) else -shift
    return lambda g: xp.roll(g, back, axis=axis), None


@rule
def squeeze(
    xp: Namespace,
    out: Array,
    x: Array,
    axis: Axes,
) -> Any:
    shape = x.shape
    return lambda g: xp.reshape(g, shape), None


@rule
def stack(
    xp: Namespace,
    out: Array,
    *arrays: Array,
    axis: int = 0,
) -> Any:
    before = (slice(None),) * (axis % out.ndim)
    return tuple(lambda g, i=i: g[(*before, i, ...)] for i in range(len(arrays)))


@decomposition
def broadcast_arrays(xp: Namespace, *arrays: Array) -> Any:
    shape = broadcast_shape(*(x.shape for x in arrays))
    return type(xp.broadcast_arrays(*map(xp.zeros_like, arrays)))(
        xp.broadcast_to(x, shape) for x in arrays
    )


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that arrays of these shapes are broadcast to."""
    ndim = max(map(len, shapes), default=0)
    padded = [(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(0 if 0 in lengths else max(lengths) for lengths in zip(*padded, strict=True))


@decomposition
def repeat(
    xp: Namespace,
    x: Array,
    repeats: Array | int,
    /,
    *,
    axis: int | None = None,
) -> Array:
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    places = xp.arange(x.shape[axis], device=device(x))
    return xp.take(x, xp.repeat(places, repeats), axis=axis)


@decomposition
def tile(
    xp: Namespace,
    x: Array,
    repetitions: tuple[int, ...],
    /,
) -> Array:
    ndim = max(x.ndim, len(repetitions))
    repetitions = (1,) * (ndim - len(repetitions)) + tuple(repetitions)
    shape = (1,) * (ndim - x.ndim) + tuple(x.shape)
    wide = xp.reshape(x, tuple(n for length in shape for n in (1, length)))
    pairs = list(zip(repetitions, shape, strict=True))
    wide = xp.broadcast_to(wide, tuple(n for pair in pairs for n in pair))
    return xp.reshape(wide, tuple(r * n for r, n in pairs))


@rule
def unstack(
    xp: Namespace,
    out: tuple[Array, ...],
    x: Array,
    /,
    *,
    axis: int = 0,
) -> Any:
    def pullback(g: tuple[Array | None, ...]) -> Array:
        parts = [xp.zeros_like(y) if c is None else c for y, c in zip(out, g, strict=True)]
        return xp.stack(parts, axis=axis)

    return pullback


# The standard's functions take a sequence of arrays. These primitives take the arrays one by one.
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
