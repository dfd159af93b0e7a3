"""NumPy's functions in terms of the standard's.

Some have another name in the standard, some have other parameters, and some are composed of several
functions.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from anynet.array import Array, Axes, Device, DType, Namespace, device, is_array, is_complex
from anynet.errors import ArgumentError
from anynet.tracing import views
from anynet.tracing.standard import CHAPTERS
from anynet.tracing.trace import Traced

#: An integer, or several.
Lengths = int | Sequence[int]
#: Arrays, scalars and lists. An array is a sequence along its first axis.
Arrays = Iterable[Any]

#: Functions that have another name in the standard, by NumPy's name.
RENAMED = {
    **{
        name: name
        for name in (
            *CHAPTERS["elementwise"],
            *CHAPTERS["linear_algebra"],
            *CHAPTERS["fourier"],
        )
    },
    **{f"arc{name}": f"a{name}" for name in ("cos", "cosh", "sin", "sinh", "tan", "tanh", "tan2")},
    **{f"linalg.{name}": f"linalg.{name}" for name in ("eig", "eigvals", "svdvals")},
    "absolute": "abs",
    "fabs": "abs",
    "bitwise_count": "bitwise_count",
    "conjugate": "conj",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "power": "pow",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "true_divide": "divide",
    "cross": "linalg.cross",
    "broadcast_arrays": "broadcast_arrays",
    "isin": "isin",
    "meshgrid": "meshgrid",
    "result_type": "result_type",
}

#: Functions that take only complex arrays in the standard.
OF_COMPLEX = frozenset(("fft.fft", "fft.fftn", "fft.ifft", "fft.ifftn", "fft.hfft"))

#: Functions of one array: the standard's name, and NumPy's parameters in order. Those before "/"
#: are positional in the standard.
PARAMETERS: dict[str, tuple[str, str]] = {
    "sum": ("sum", "axis dtype out keepdims initial where"),
    "prod": ("prod", "axis dtype out keepdims initial where"),
    "mean": ("mean", "axis dtype out keepdims where"),
    "max": ("max", "axis out keepdims initial where"),
    "amax": ("max", "axis out keepdims initial where"),
    "min": ("min", "axis out keepdims initial where"),
    "amin": ("min", "axis out keepdims initial where"),
    "std": ("std", "axis dtype out correction keepdims where"),
    "var": ("var", "axis dtype out correction keepdims where"),
    "all": ("all", "axis out keepdims where"),
    "any": ("any", "axis out keepdims where"),
    "argmax": ("argmax", "axis out keepdims"),
    "argmin": ("argmin", "axis out keepdims"),
    "count_nonzero": ("count_nonzero", "axis keepdims"),
    "nonzero": ("nonzero", ""),
    "flip": ("flip", "axis"),
    "roll": ("roll", "shift / axis"),
    "tril": ("tril", "k"),
    "triu": ("triu", "k"),
    "diff": ("diff", "n axis prepend append"),
    "take_along_axis": ("take_along_axis", "indices / axis"),
    "moveaxis": ("moveaxis", "source destination /"),
    "broadcast_to": ("broadcast_to", "shape /"),
    "searchsorted": ("searchsorted", "v / side sorter"),
    "astype": ("astype", "dtype /"),
    "linalg.matrix_power": ("linalg.matrix_power", "n /"),
    "linalg.pinv": ("linalg.pinv", "rtol hermitian"),
    "linalg.qr": ("linalg.qr", "mode"),
    **{
        f"fft.{name}": (f"fft.{name}", "n axis norm out")
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    },
    **{
        f"fft.{name}": (f"fft.{name}", "s axes norm out")
        for name in ("fftn", "ifftn", "rfftn", "irfftn")
    },
    **{f"fft.{name}": (f"fft.{name}", "axes") for name in ("fftshift", "ifftshift")},
}

_Function = Callable[..., Any]
_F = TypeVar("_F", bound=_Function)
#: Functions that are composed of others. They are called with the namespace first.
COMPOSED: dict[str, _Function] = {}


def composed(function: _F) -> _F:
    """Add a function to `COMPOSED` under NumPy's name.

    ``linalg_norm`` is ``linalg.norm``. An underscore at the end is left out.
    """
    name = function.__name__.removesuffix("_")
    for extension in ("linalg", "fft"):
        name = name.replace(f"{extension}_", f"{extension}.", 1)
    COMPOSED[name] = function
    return function


@composed
def transpose(
    xp: Namespace,
    a: Array,
    axes: Sequence[int] | None = None,
) -> Array:
    if axes is None:
        return xp.permute_dims(a, tuple(range(a.ndim))[::-1])
    # Not every library takes negative axes here.
    return xp.permute_dims(a, tuple(i + a.ndim if i < 0 else i for i in axes))


@composed
def swapaxes(
    xp: Namespace,
    a: Array,
    axis1: int,
    axis2: int,
) -> Array:
    axes = list(range(a.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return xp.permute_dims(a, tuple(axes))


@composed
def reshape(
    xp: Namespace,
    a: Array,
    shape: Lengths,
    order: str = "C",
    *,
    copy: bool | None = None,
) -> Array:
    if order != "C":
        raise ArgumentError(
            f"np.reshape of a traced array: order is {order!r}, wanted 'C': transpose the array "
            "first"
        )
    return xp.reshape(a, _lengths(shape), copy=copy)


@composed
def ravel(xp: Namespace, a: Traced) -> Array:
    out = xp.reshape(a, (-1,))
    # NumPy returns a view only if the array is contiguous.
    return views.twin(out) if views.in_one_piece(a) is False else out


@composed
def copy(xp: Namespace, a: Array) -> Array:
    return xp.asarray(a, copy=True)


@composed
def squeeze(
    xp: Namespace,
    a: Array,
    axis: Axes = None,
) -> Array:
    if axis is None:
        axis = tuple(i for i, n in enumerate(a.shape) if n == 1)
    return xp.squeeze(a, axis=axis)


@composed
def expand_dims(
    xp: Namespace,
    a: Array,
    axis: Lengths,
) -> Array:
    axes = _lengths(axis)
    for i in sorted(i % (a.ndim + len(axes)) for i in axes):
        a = xp.expand_dims(a, axis=i)
    return a


@composed
def atleast_1d(xp: Namespace, a: Array) -> Array:
    return a if a.ndim else xp.reshape(a, (1,))


@composed
def atleast_2d(xp: Namespace, a: Array) -> Array:
    return a if a.ndim > 1 else xp.reshape(a, (1, -1))


@composed
def concatenate(
    xp: Namespace,
    arrays: Arrays,
    axis: int | None = 0,
) -> Array:
    return xp.concat(arrays_of(xp, arrays), axis=axis)


@composed
def stack(
    xp: Namespace,
    arrays: Arrays,
    axis: int = 0,
) -> Array:
    return xp.stack(arrays_of(xp, arrays), axis=axis)


@composed
def vstack(xp: Namespace, tup: Arrays) -> Array:
    return xp.concat([atleast_2d(xp, x) for x in arrays_of(xp, tup)], axis=0)


@composed
def hstack(xp: Namespace, tup: Arrays) -> Array:
    arrays = [atleast_1d(xp, x) for x in arrays_of(xp, tup)]
    return xp.concat(arrays, axis=0 if arrays[0].ndim == 1 else 1)


@composed
def column_stack(xp: Namespace, tup: Arrays) -> Array:
    columns = [xp.reshape(x, (-1, 1)) if x.ndim < 2 else x for x in arrays_of(xp, tup)]
    return xp.concat(columns, axis=1)


@composed
def array_split(
    xp: Namespace,
    ary: Array,
    indices_or_sections: Lengths,
    axis: int = 0,
) -> list[Array]:
    length = ary.shape[axis]
    if isinstance(indices_or_sections, int):
        each, longer = divmod(length, indices_or_sections)
        ends = [i * each + min(i, longer) for i in range(indices_or_sections + 1)]
    else:
        ends = [0, *indices_or_sections, length]
    before = (slice(None),) * (axis % ary.ndim)
    return [ary[(*before, slice(start, stop), ...)] for start, stop in pairwise(ends)]


@composed
def split(
    xp: Namespace,
    ary: Array,
    indices_or_sections: Lengths,
    axis: int = 0,
) -> list[Array]:
    if isinstance(indices_or_sections, int) and ary.shape[axis] % indices_or_sections:
        raise ArgumentError(
            f"np.split: axis {axis} has length {ary.shape[axis]}, not {indices_or_sections} equal "
            "parts"
        )
    return array_split(xp, ary, indices_or_sections, axis)


@composed
def tile(
    xp: Namespace,
    a: Array,
    reps: Lengths,
) -> Array:
    return views.twin(xp.tile(a, _lengths(reps)))


@composed
def repeat(
    xp: Namespace,
    a: Array,
    repeats: Array | int,
    axis: int | None = None,
) -> Array:
    return xp.repeat(a, repeats, axis=axis)


@composed
def take(
    xp: Namespace,
    a: Array,
    indices: Any,
    axis: int | None = None,
) -> Array:
    indices = xp.asarray(indices, device=device(a))
    a, axis = _flattened(xp, a, axis)
    axis %= a.ndim
    taken = xp.take(
        a,
        xp.reshape(indices, (-1,)),
        axis=axis,
    )
    return xp.reshape(taken, (*a.shape[:axis], *indices.shape, *a.shape[axis + 1 :]))


@composed
def pad(
    xp: Namespace,
    array: Array,
    pad_width: Any,
    mode: str = "constant",
    constant_values: float = 0,
) -> Array:
    if mode != "constant" or not isinstance(constant_values, int | float):
        raise ArgumentError(
            f"np.pad of a traced array: mode is {mode!r}: wanted 'constant', with one value"
        )
    widths = [pad_width] if isinstance(pad_width, int) else list(pad_width)
    pairs = [(w, w) if isinstance(w, int) else tuple(w) for w in widths]
    if len(pairs) == 2 and all(isinstance(w, int) for w in widths):
        pairs = [(widths[0], widths[1])]
    pairs = [(pair * 2)[:2] for pair in (pairs * array.ndim if len(pairs) == 1 else pairs)]
    for axis, ends in enumerate(pairs):
        parts = [array]
        for width in ends:
            shape = (*array.shape[:axis], width, *array.shape[axis + 1 :])
            parts.append(xp.full(shape, constant_values, dtype=array.dtype, device=array.device))
        array = xp.concat([parts[1], array, parts[2]], axis=axis)
    return array


@composed
def where(
    xp: Namespace,
    condition: Array,
    *choices: Any,
) -> Any:
    if not choices:
        return xp.nonzero(condition)
    if not xp.isdtype(condition.dtype, "bool"):
        condition = condition != 0
    return xp.where(condition, *choices)


@composed
def clip(
    xp: Namespace,
    a: Array,
    a_min: Array | float | None = None,
    a_max: Array | float | None = None,
    *,
    min: Array | float | None = None,
    max: Array | float | None = None,
) -> Array:
    return xp.clip(a, min if a_min is None else a_min, max if a_max is None else a_max)


@composed
def round_(
    xp: Namespace,
    a: Array,
    decimals: int = 0,
) -> Array:
    return xp.round(a) if not decimals else xp.round(a * 10.0**decimals) / 10.0**decimals


@composed
def argsort(
    xp: Namespace,
    a: Array,
    axis: int | None = -1,
) -> Array:
    a, axis = _flattened(xp, a, axis)
    return xp.argsort(a, axis=axis)


@composed
def sort(
    xp: Namespace,
    a: Array,
    axis: int | None = -1,
) -> Array:
    a, axis = _flattened(xp, a, axis)
    return xp.sort(a, axis=axis)


@composed
def diagonal(
    xp: Namespace,
    a: Array,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
) -> Array:
    return xp.linalg.diagonal(xp.moveaxis(a, (axis1, axis2), (-2, -1)), offset=offset)


@composed
def trace(
    xp: Namespace,
    a: Array,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
) -> Array:
    return xp.linalg.trace(xp.moveaxis(a, (axis1, axis2), (-2, -1)), offset=offset)


@composed
def dot(
    xp: Namespace,
    a: Array,
    b: Array,
) -> Array:
    a, b = listed(xp, a, b)
    if not axes_of(a) or not axes_of(b):
        return a * b
    if b.ndim <= 2:
        return xp.matmul(a, b)
    return xp.tensordot(
        a,
        b,
        axes=((a.ndim - 1,), (b.ndim - 2,)),
    )


@composed
def inner(
    xp: Namespace,
    a: Array,
    b: Array,
) -> Array:
    a, b = listed(xp, a, b)
    if not axes_of(a) or not axes_of(b):
        return a * b
    return xp.tensordot(
        a,
        b,
        axes=((a.ndim - 1,), (b.ndim - 1,)),
    )


@composed
def tensordot(
    xp: Namespace,
    a: Array,
    b: Array,
    axes: Any = 2,
) -> Array:
    if isinstance(axes, tuple | list):
        axes = tuple((i,) if isinstance(i, int) else tuple(i) for i in axes)
    return xp.tensordot(a, b, axes=axes)


@composed
def outer(
    xp: Namespace,
    a: Array,
    b: Array,
) -> Array:
    a, b = listed(xp, a, b)
    return xp.reshape(a, (-1, 1)) * xp.reshape(b, (1, -1))


@composed
def vdot(
    xp: Namespace,
    a: Array,
    b: Array,
) -> Array:
    a, b = listed(xp, a, b)
    return xp.vecdot(xp.reshape(a, (-1,)), xp.reshape(b, (-1,)))


@composed
def average(
    xp: Namespace,
    a: Array,
    axis: Axes = None,
    weights: Any = None,
) -> Array:
    if weights is None:
        return xp.mean(a, axis=axis)
    weights = xp.asarray(weights, dtype=a.dtype, device=device(a))
    if weights.ndim != a.ndim and isinstance(axis, int):
        aligned = tuple(-1 if i == axis % a.ndim else 1 for i in range(a.ndim))
        weights = xp.reshape(weights, aligned)
    return xp.sum(a * weights, axis=axis) / xp.sum(xp.broadcast_to(weights, a.shape), axis=axis)


@composed
def cumsum(
    xp: Namespace,
    a: Array,
    axis: int | None = None,
    dtype: DType | None = None,
) -> Array:
    a, axis = _flattened(xp, a, axis)
    return xp.cumulative_sum(a, axis=axis, dtype=dtype)


@composed
def cumprod(
    xp: Namespace,
    a: Array,
    axis: int | None = None,
    dtype: DType | None = None,
) -> Array:
    a, axis = _flattened(xp, a, axis)
    return xp.cumulative_prod(a, axis=axis, dtype=dtype)


@composed
def ptp(
    xp: Namespace,
    a: Array,
    axis: Axes = None,
    *,
    keepdims: bool = False,
) -> Array:
    return xp.max(a, axis=axis, keepdims=keepdims) - xp.min(a, axis=axis, keepdims=keepdims)


@composed
def unique(xp: Namespace, ar: Array) -> Array:
    # The standard allows any order.
    return xp.sort(xp.unique_values(ar))


@composed
def diag(
    xp: Namespace,
    v: Array,
    k: int = 0,
) -> Array:
    if v.ndim == 2:
        return xp.linalg.diagonal(v, offset=k)
    n = v.shape[0] + abs(k)
    rows = xp.eye(
        n,
        v.shape[0],
        k=min(k, 0),
        dtype=v.dtype,
        device=v.device,
    )
    columns = xp.eye(
        v.shape[0],
        n,
        k=max(k, 0),
        dtype=v.dtype,
        device=v.device,
    )
    return xp.matmul(rows * v, columns)


@composed
def linalg_norm(
    xp: Namespace,
    x: Array,
    ord: float | str | None = None,
    axis: Axes = None,
    keepdims: bool = False,
) -> Array:
    if ord is None and (axis is None or isinstance(axis, int) or x.ndim <= 2):
        return xp.linalg.vector_norm(x, axis=axis, keepdims=keepdims)
    axes = axis if axis is not None else tuple(range(x.ndim))
    if isinstance(axes, int) or len(axes) == 1:
        return xp.linalg.vector_norm(x, axis=axes, keepdims=keepdims, ord=ord)
    if len(axes) != 2:
        raise ArgumentError(f"np.linalg.norm of axes {axes}: wanted one axis, or two for a matrix")
    x = xp.moveaxis(x, axes, (-2, -1))
    norm = xp.linalg.matrix_norm(x, ord="fro" if ord is None else ord, keepdims=keepdims)
    return xp.moveaxis(norm, (-2, -1), axes) if keepdims else norm


@composed
def linalg_svd(
    xp: Namespace,
    a: Array,
    full_matrices: bool = True,
    compute_uv: bool = True,
) -> Any:
    return xp.linalg.svd(a, full_matrices=full_matrices) if compute_uv else xp.linalg.svdvals(a)


@composed
def linalg_multi_dot(xp: Namespace, arrays: Arrays) -> Array:
    first, *rest = arrays_of(xp, arrays)
    for x in rest:
        first = dot(xp, first, x)
    return first


@composed
def fft_fft2(
    xp: Namespace,
    a: Array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str | None = None,
) -> Array:
    return xp.fft.fftn(
        complex_of(xp, a),
        s=s,
        axes=axes,
        norm=norm or "backward",
    )


@composed
def fft_ifft2(
    xp: Namespace,
    a: Array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str | None = None,
) -> Array:
    return xp.fft.ifftn(
        complex_of(xp, a),
        s=s,
        axes=axes,
        norm=norm or "backward",
    )


@composed
def divmod_(
    xp: Namespace,
    x1: Any,
    x2: Any,
) -> tuple[Array, Array]:
    return xp.floor_divide(x1, x2), xp.remainder(x1, x2)


@composed
def exp2(xp: Namespace, x: Array) -> Array:
    return xp.pow(2, x)


@composed
def deg2rad(xp: Namespace, x: Array) -> Array:
    return x * (math.pi / 180)


@composed
def rad2deg(xp: Namespace, x: Array) -> Array:
    return x * (180 / math.pi)


COMPOSED |= {"radians": deg2rad, "degrees": rad2deg}


def _like(name: str) -> _Function:
    def like(
        xp: Namespace,
        a: Array,
        *value: Any,
        dtype: DType | None = None,
        shape: Lengths | None = None,
    ) -> Array:
        make: Callable[..., Array]
        if shape is None:
            make = getattr(xp, name)
            return make(a, *value, dtype=dtype)
        make = getattr(xp, name.removesuffix("_like"))
        kind = a.dtype if dtype is None else dtype
        return make(_lengths(shape), *value, dtype=kind, device=a.device)

    return like


COMPOSED |= {name: _like(name) for name in ("empty_like", "full_like", "ones_like", "zeros_like")}


@composed
def iscomplexobj(xp: Namespace, x: Array) -> bool:
    return is_complex(x)


@composed
def isrealobj(xp: Namespace, x: Array) -> bool:
    return not is_complex(x)


@composed
def ndim(xp: Namespace, a: Array) -> int:
    return len(a.shape)


@composed
def shape(xp: Namespace, a: Array) -> tuple[int, ...]:
    return tuple(a.shape)


@composed
def size(
    xp: Namespace,
    a: Array,
    axis: int | None = None,
) -> int:
    return math.prod(a.shape) if axis is None else int(a.shape[axis])


def _lengths(value: Lengths) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value,)


def _flattened(
    xp: Namespace,
    a: Array,
    axis: int | None,
) -> tuple[Array, int]:
    """Return the array and the axis. Without an axis, return the flattened array and its axis."""
    return (xp.reshape(a, (-1,)), 0) if axis is None else (a, axis)


def arrays_of(xp: Namespace, parts: Arrays) -> list[Array]:
    """Return the parts of a sequence as arrays, on the device of the first array among them."""
    place = _device_of(parts)
    return [x if is_array(x) else xp.asarray(x, device=place) for x in parts]


def _device_of(parts: Iterable[Any]) -> Device | None:
    return next((device(x) for x in parts if is_array(x)), None)


def axes_of(x: Any) -> int:
    """Return the number of axes. A scalar has none."""
    return len(getattr(x, "shape", ()))


def complex_of(xp: Namespace, x: Array) -> Array:
    """Return the array with a complex dtype."""
    if is_complex(x):
        return x
    return xp.astype(x, xp.complex64 if x.dtype == xp.float32 else xp.complex128)


def listed(xp: Namespace, *parts: Any) -> list[Any]:
    """Return lists as arrays, on the device of the first array. Other values stay as they are."""
    place = _device_of(parts)
    return [xp.asarray(x, device=place) if isinstance(x, list) else x for x in parts]
