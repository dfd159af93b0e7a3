"""What anynet asks of an array: its namespace, its device, its size. The only importer of
array_api_compat.
"""

from collections.abc import Iterable
from functools import cache
from numbers import Number, Real
from types import GenericAlias
from typing import Any, TypeAlias

import array_api_compat as compat

from anynet.errors import (
    ArgumentTypeError,
    DataError,
    DTypeError,
    MixedArraysError,
)

# The standard has no type of its own to annotate with, so these names are for the reader.
Array: TypeAlias = Any
Namespace: TypeAlias = Any
Device: TypeAlias = Any
DType: TypeAlias = Any

# By type: asked for every leaf of every tree in every step.
_ARRAY_TYPES: dict[type, bool] = {}
#: Types of arrays that can ask their own library to record derivatives.
RECORDING_TYPES: set[type] = set()
# By the dtype's type too: dtypes of two libraries may be equal in hash, and array_api_strict warns
# when compared.
_FLOATING: dict[tuple[type, DType], bool] = {}
_COMPLEX: dict[tuple[type, DType], bool] = {}
_NARROW: dict[tuple[type, DType], bool] = {}


# Types of devices that are one device each.
_SINGLE: set[type] = set()


def device(x: Array) -> Device:
    """Return the device of an array; of one that is sharded over a mesh of devices, the whole mesh.

    What is created on a mesh is there as a whole on each of its devices.
    """
    place = compat.device(x)
    if type(place) in _SINGLE:
        return place
    if hasattr(place, "mesh") and hasattr(place, "spec"):
        return _on_every_device(place)
    _SINGLE.add(type(place))
    return place


@cache
def _on_every_device(sharding: Any) -> Any:
    """Return the sharding over the same mesh that splits no axis."""
    return type(sharding)(sharding.mesh, type(sharding.spec)())


def is_array(x: Any) -> bool:
    """Tell whether x is an array of some library that follows the standard, or a traced one."""
    kind = type(x)
    if kind not in _ARRAY_TYPES:
        _ARRAY_TYPES[kind] = _looks_like_array(x)
        if _ARRAY_TYPES[kind] and hasattr(x, "requires_grad") and hasattr(x, "detach"):
            RECORDING_TYPES.add(kind)
    return _ARRAY_TYPES[kind]


def _looks_like_array(x: Any) -> bool:
    # NumPy's dtypes are classes that look like their instances, and so are ``NDArray[float32]`` and
    # ``list[Layer]``.
    if isinstance(x, type | GenericAlias):
        return False
    try:
        return bool(compat.is_array_api_obj(x))
    except Exception:
        # The object makes up its attributes, and has none of this name.
        return False


def unrecorded(x: Array) -> Array:
    """Return the array without the derivative that its own library would record for it, as
    PyTorch's parameters ask.

    anynet computes the derivatives. What a library records beside them would keep the memory of
    every step.
    """
    return x.detach() if type(x) in RECORDING_TYPES and x.requires_grad else x


def dtype_name(dtype: DType) -> str:
    """Return a dtype's name in the standard, or the library's own name for one that the standard
    lacks.
    """
    name = dtype.__name__ if isinstance(dtype, type) else getattr(dtype, "name", None)
    return name if isinstance(name, str) else str(dtype).rpartition(".")[2]


def is_floating(x: Array) -> bool:
    """Tell whether the array holds real floating-point numbers."""
    dtype = x.dtype
    key = (type(dtype), dtype)
    if key not in _FLOATING:
        _FLOATING[key] = array_namespace(x).isdtype(dtype, "real floating")
    return _FLOATING[key]


def check_floating(what: str, *arrays: Array) -> None:
    """Check that the arrays hold real floating-point numbers.

    Raises:
        DTypeError: one of them does not.

    """
    for x in arrays:
        try:
            floating = is_floating(x)
        except AttributeError:
            raise no_array(f"{what}: ", type(x).__name__) from None
        if not floating:
            raise DTypeError(wrong_dtype(what, x))


def number(name: str, value: Any) -> Any:
    """Return a real number, or that in an array of no axes, as Python's own: as an array it would
    be a parameter.

    Raises:
        ArgumentTypeError: it is something else.

    """
    if is_array(value) and not value.shape:
        value = value.item() if hasattr(value, "item") else float(value)
    if not isinstance(value, Real):
        raise ArgumentTypeError(
            f"{name} is {value!r:.80}, of type {type(value).__name__}: wanted a number"
        )
    return value


def no_array(what: str, given: str) -> ArgumentTypeError:
    """Return the error for a value of this type where an array is wanted."""
    return ArgumentTypeError(
        f"{what}{given} was given: wanted an array, as get_backend().asarray([1.0, 2.0])"
    )


def wrong_dtype(what: str, x: Array) -> str:
    """Return the message for an array that is not floating."""
    return f"{what}: an array of {x.dtype} was given: wanted a floating dtype, such as xp.astype(x, xp.float32)"


def is_narrow(x: Array) -> bool:
    """Tell whether the array holds real floating-point numbers of fewer than 32 bits (float16,
    bfloat16).
    """
    dtype = x.dtype
    key = (type(dtype), dtype)
    if key not in _NARROW:
        _NARROW[key] = is_floating(x) and array_namespace(x).finfo(dtype).bits < 32
    return _NARROW[key]


def widened(x: Array) -> Array:
    """Return an array of fewer than 32 bits as float32, in which counts do not overflow; any other
    as it is.
    """
    if not is_narrow(x):
        return x
    xp = array_namespace(x)
    return xp.astype(x, xp.float32)


def as_indices(what: str, x: Array) -> Array:
    """Return integers of any dtype in the library's own dtype for indices.

    Raises:
        DataError: the array does not hold integers.

    """
    xp = array_namespace(x)
    if not xp.isdtype(x.dtype, "integral"):
        raise DataError(
            f"{what} of {x.dtype} were given: wanted integers, such as xp.astype(x, xp.int64)"
        )
    library: Any = getattr(xp, "plain_namespace", xp)
    return xp.astype(
        x,
        library.__array_namespace_info__().default_dtypes(device=device(x))["indexing"],
        copy=False,
    )


def is_complex(x: Array) -> bool:
    """Tell whether the array holds complex floating-point numbers."""
    dtype = x.dtype
    key = (type(dtype), dtype)
    if key not in _COMPLEX:
        _COMPLEX[key] = bool(array_namespace(x).isdtype(dtype, "complex floating"))
    return _COMPLEX[key]


def conj(x: Array) -> Array:
    """Return the complex conjugate; a real array is its own."""
    return array_namespace(x).conj(x) if is_complex(x) else x


def array_namespace(*arrays: Any) -> Namespace:
    """Return the namespace of the standard's functions for these arrays; scalars and None do not
    count.

    Traced arrays may stand beside plain ones of the library they trace: their namespace takes both.

    Raises:
        MixedArraysError: the arrays come from two libraries.
        ArgumentTypeError: none of them is an array, or one is something else.

    """
    try:
        return compat.array_namespace(*arrays)
    except TypeError:
        found = {
            id(xp): xp for xp in (compat.array_namespace(x) for x in arrays if is_array(x))
        }.values()
        lifted = [xp for xp in found if hasattr(xp, "plain_namespace")]
        if lifted and len({getattr(xp, "plain_namespace", xp).__name__ for xp in found}) == 1:
            return lifted[0]
        if len(found) > 1:
            raise MixedArraysError(mixed_message(arrays)) from None
        others = [x for x in arrays if not (is_array(x) or isinstance(x, Number | None))] or list(
            arrays
        )
        raise no_array("", type(others[0]).__name__ if others else "nothing") from None


def library_name(xp: Namespace) -> str:
    """Return the import name of the library behind a namespace, such as ``"numpy"``; backends go by
    it.
    """
    library: Any = getattr(xp, "plain_namespace", xp)
    name: str = library.__name__
    return name.removeprefix("array_api_compat.").partition(".")[0]


def size(x: Array) -> int:
    """Return the number of elements of ``x``."""
    return compat.size(x) or 0


def unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index of the element that has a number when the array is read row by row."""
    index: list[int] = []
    for length in reversed(shape):
        flat, i = divmod(flat, length)
        index.insert(0, i)
    return tuple(index)


def is_mixed(arrays: Iterable[Any]) -> bool:
    """Tell whether the arrays among these values come from more than one library or device."""
    return len({_ground(x) for x in arrays if is_array(x)}) > 1


def mixed_message(arrays: Iterable[Any]) -> str:
    """Name the library and device of every array, and the way to bring them together."""
    grounds = dict.fromkeys(_ground(x) for x in arrays if is_array(x))
    return (
        f"arrays of {' and '.join(grounds)} met in one call; bring them to one library and device "
        "first: get_backend(x).asarray(y) moves y to where x is"
    )


def _ground(x: Array) -> str:
    return f"{library_name(compat.array_namespace(x))} on {device(x)}"
