"""Arrays of any library: their types, namespace, device and dtype.

Only this module imports array_api_compat.
"""

import builtins
from collections.abc import Callable, Iterable
from numbers import Real
from types import GenericAlias, ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

import array_api_compat as compat

from anynet.errors import (
    ArgumentTypeError,
    DataError,
    DTypeError,
    MixedArraysError,
)
from anynet.plugins import plugin_of

Shape: TypeAlias = tuple[int, ...]
Axes: TypeAlias = int | tuple[int, ...] | None


class DType(Protocol):
    """A dtype of some library. The standard only compares dtypes."""


class Device(Protocol):
    """A device of some library. The standard only compares devices."""

    def __hash__(self) -> int: ...


class Array(Protocol):
    """An array of any library that follows the standard, or a traced array.

    These are the attributes and operators of the standard's arrays. Everything else is a function
    of the namespace.
    """

    def __array_namespace__(self, *, api_version: Any = None) -> Any: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""

    @property
    def dtype(self) -> DType:
        """The type of the elements."""

    @property
    def device(self) -> Device:
        """Where the elements are."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def size(self) -> int:
        """The number of elements."""

    @property
    def T(self) -> "Array":
        """The transpose of a matrix."""

    @property
    def mT(self) -> "Array":
        """The transpose of the last two axes."""

    def to_device(self, device: Any, /, *, stream: Any = None) -> "Array":
        """Return a copy on another device."""

    def __getitem__(self, key: Any, /) -> "Array": ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __bool__(self) -> bool: ...
    def __complex__(self) -> complex: ...
    def __float__(self) -> float: ...
    def __index__(self) -> int: ...
    def __int__(self) -> int: ...

    def __abs__(self) -> "Array": ...
    def __invert__(self) -> "Array": ...
    def __neg__(self) -> "Array": ...
    def __pos__(self) -> "Array": ...

    def __add__(self, other: Any, /) -> "Array": ...
    def __and__(self, other: Any, /) -> "Array": ...
    def __floordiv__(self, other: Any, /) -> "Array": ...
    def __lshift__(self, other: Any, /) -> "Array": ...
    def __matmul__(self, other: Any, /) -> "Array": ...
    def __mod__(self, other: Any, /) -> "Array": ...
    def __mul__(self, other: Any, /) -> "Array": ...
    def __or__(self, other: Any, /) -> "Array": ...
    def __pow__(self, other: Any, /) -> "Array": ...
    def __rshift__(self, other: Any, /) -> "Array": ...
    def __sub__(self, other: Any, /) -> "Array": ...
    def __truediv__(self, other: Any, /) -> "Array": ...
    def __xor__(self, other: Any, /) -> "Array": ...
    def __radd__(self, other: Any, /) -> "Array": ...
    def __rmul__(self, other: Any, /) -> "Array": ...
    def __rpow__(self, other: Any, /) -> "Array": ...
    def __rsub__(self, other: Any, /) -> "Array": ...
    def __rtruediv__(self, other: Any, /) -> "Array": ...

    def __eq__(self, other: object, /) -> "Array": ...  # type: ignore[override]
    def __ge__(self, other: Any, /) -> "Array": ...
    def __gt__(self, other: Any, /) -> "Array": ...
    def __le__(self, other: Any, /) -> "Array": ...
    def __lt__(self, other: Any, /) -> "Array": ...
    def __ne__(self, other: object, /) -> "Array": ...  # type: ignore[override]


class Extension:
    """An extension of the standard in a namespace: its functions.

    A type checker reads these declarations. A function that is not declared returns an array.
    """

    if TYPE_CHECKING:
        eig: Callable[..., tuple[Array, Array]]
        eigh: Callable[..., tuple[Array, Array]]
        qr: Callable[..., tuple[Array, Array]]
        slogdet: Callable[..., tuple[Array, Array]]
        svd: Callable[..., tuple[Array, Array, Array]]

        def __getattr__(self, name: str) -> Callable[..., Array]: ...


class Namespace:
    """The namespace of a library: its functions, dtypes and constants.

    A type checker reads these declarations. A function that is not declared returns an array.
    """

    if TYPE_CHECKING:
        __name__: str
        __array_namespace_info__: Callable[[], Any]
        bool: DType
        int8: DType
        int16: DType
        int32: DType
        int64: DType
        uint8: DType
        uint16: DType
        uint32: DType
        uint64: DType
        float32: DType
        float64: DType
        complex64: DType
        complex128: DType
        e: float
        inf: float
        nan: float
        newaxis: None
        pi: float
        fft: Extension
        linalg: Extension

        broadcast_arrays: Callable[..., list[Array]]
        broadcast_shapes: Callable[..., tuple[int, ...]]
        can_cast: Callable[..., builtins.bool]
        finfo: Callable[..., Any]
        iinfo: Callable[..., Any]
        isdtype: Callable[..., builtins.bool]
        meshgrid: Callable[..., list[Array]]
        nonzero: Callable[..., tuple[Array, ...]]
        result_type: Callable[..., DType]
        unique_all: Callable[..., tuple[Array, Array, Array, Array]]
        unique_counts: Callable[..., tuple[Array, Array]]
        unique_inverse: Callable[..., tuple[Array, Array]]
        unstack: Callable[..., tuple[Array, ...]]

        def __getattr__(self, name: str) -> Callable[..., Array]: ...


# Whether a type is a type of arrays. Each step reads it for every leaf of every tree.
_ARRAY_TYPES: dict[type, bool] = {}
#: Types of arrays that can record derivatives in their own library.
RECORDING_TYPES: set[type] = set()
# The key has the type of the dtype too. Dtypes of two libraries may have the same hash, and
# array_api_strict warns when they are compared.
_FLOATING: dict[tuple[type, DType], bool] = {}
_COMPLEX: dict[tuple[type, DType], bool] = {}
_NARROW: dict[tuple[type, DType], bool] = {}


#: The namespace of a type of arrays that belongs to a library, None for a type of scalars.
_NAMESPACES: dict[type, Namespace | None] = {}
#: Types of arrays that hold arrays of any library, such as traced arrays.
_WRAPPERS: set[type] = set()
#: The function that returns the device of an array, by the array's type.
_DEVICES: dict[type, Callable[[Array], Device]] = {}


#: Return the device by the attribute of the array, or as array_api_compat finds it.
own_device: Callable[[Array], Device] = compat.device


def device(x: Array) -> Device:
    """Return the device of an array, as `Backend.device_of` of its library does."""
    function = _DEVICES.get(type(x))
    if function is None:
        _namespace(x)
        # A scalar or another object, for which the library has an error.
        function = _DEVICES.get(type(x), own_device)
    return function(x)


def is_array(x: object) -> TypeGuard[Array]:
    """Return whether x is an array of a library that follows the standard, or a traced array."""
    kind = type(x)
    if kind not in _ARRAY_TYPES:
        _ARRAY_TYPES[kind] = _looks_like_array(x)
        if _ARRAY_TYPES[kind] and hasattr(x, "requires_grad") and hasattr(x, "detach"):
            RECORDING_TYPES.add(kind)
    return _ARRAY_TYPES[kind]


def _looks_like_array(x: object) -> bool:
    # NumPy's dtypes are classes with the attributes of their instances, and so are generic types
    # such as ``NDArray[float32]`` and ``list[Layer]``.
    if isinstance(x, type | GenericAlias):
        return False
    try:
        return bool(compat.is_array_api_obj(x))
    except Exception:
        # The __getattr__ of the object raises.
        return False


def unrecorded(x: Any) -> Array:
    """Return the array detached from the derivatives that its own library records.

    PyTorch records them for parameters. They would keep the memory of every step.
    """
    recorded = type(x) in RECORDING_TYPES and x.requires_grad
    plain: Array = x.detach() if recorded else x
    return plain


def dtype_name(dtype: DType) -> str:
    """Return a dtype's name in the standard, or in the library if the standard lacks it."""
    name = dtype.__name__ if isinstance(dtype, type) else getattr(dtype, "name", None)
    return name if isinstance(name, str) else str(dtype).rpartition(".")[2]


def is_floating(x: Array) -> bool:
    """Return whether the dtype of the array is real floating."""
    dtype = x.dtype
    key = (type(dtype), dtype)
    if key not in _FLOATING:
        _FLOATING[key] = array_namespace(x).isdtype(dtype, "real floating")
    return _FLOATING[key]


def check_floating(what: str, *arrays: Array) -> None:
    """Check that the dtypes of the arrays are real floating.

    Raises:
        DTypeError: a dtype is not.
        ArgumentTypeError: a value is not an array.

    """
    for x in arrays:
        try:
            floating = is_floating(x)
        except AttributeError:
            raise no_array(f"{what}: ", type(x).__name__) from None
        if not floating:
            raise DTypeError(wrong_dtype(what, x))


def number(name: str, value: Any) -> Any:
    """Return a real scalar as it is, and an array of no axes as a Python scalar.

    An array among the settings of a layer would be a parameter.

    Raises:
        ArgumentTypeError: the value is something else.

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
    return (
        f"{what}: an array of {x.dtype} was given: wanted a floating dtype, such as "
        "xp.astype(x, xp.float32)"
    )


def is_narrow(x: Array) -> bool:
    """Return whether the dtype of the array is float16, bfloat16 or narrower."""
    dtype = x.dtype
    key = (type(dtype), dtype)
    if key not in _NARROW:
        _NARROW[key] = is_floating(x) and array_namespace(x).finfo(dtype).bits < 32
    return _NARROW[key]


def widened(x: Array) -> Array:
    """Return an array of a dtype narrower than float32 as float32, and any other as it is."""
    if not is_narrow(x):
        return x
    xp = array_namespace(x)
    return xp.astype(x, xp.float32)


def as_indices(what: str, x: Array) -> Array:
    """Return integers of any dtype in the library's dtype for indices.

    Raises:
        DataError: the dtype is not an integer dtype.

    """
    xp = array_namespace(x)
    if not xp.isdtype(x.dtype, "integral"):
        raise DataError(
            f"{what} of {x.dtype} were given: wanted integers, such as xp.astype(x, xp.int64)"
        )
    library: Any = getattr(xp, "plain_namespace", xp)
    defaults = library.__array_namespace_info__().default_dtypes(device=device(x))
    return xp.astype(x, defaults["indexing"], copy=False)


def is_complex(x: Array) -> bool:
    """Return whether the dtype of the array is complex floating."""
    dtype = x.dtype
    key = (type(dtype), dtype)
    if key not in _COMPLEX:
        _COMPLEX[key] = bool(array_namespace(x).isdtype(dtype, "complex floating"))
    return _COMPLEX[key]


def conj(x: Array) -> Array:
    """Return the complex conjugate. A real array is returned as it is."""
    return array_namespace(x).conj(x) if is_complex(x) else x


def array_namespace(*arrays: Any) -> Namespace:
    """Return the namespace of the standard's functions for these arrays.

    Scalars and None are ignored. For traced and plain arrays of one library it is the namespace of
    the traced arrays, which takes both.

    Raises:
        MixedArraysError: the arrays are of two libraries.
        ArgumentTypeError: none of them is an array, or one is something else.

    >>> import numpy as np
    >>> from anynet.array import array_namespace
    >>> array_namespace(np.ones(2), 1.0).__name__
    'array_api_compat.numpy'

    """
    common: Namespace | None = None
    for x in arrays:
        kind = type(x)
        xp = _NAMESPACES[kind] if kind in _NAMESPACES else _namespace(x)
        if xp is common or xp is None:
            continue
        if common is not None:
            return _traced_namespace(arrays)
        common = xp
    if common is None:
        raise no_array("", type(arrays[0]).__name__ if arrays else "nothing")
    return common


def _namespace(x: Any) -> Namespace | None:
    """Return the namespace of an array, None for a scalar, and store it for its type if all arrays
    of the type have it.

    Raises:
        ArgumentTypeError: x is something else.

    """
    kind = type(x)
    if kind in _WRAPPERS:
        own: Namespace = x.__array_namespace__()
        return own
    try:
        xp: Namespace = compat.array_namespace(x)
    except TypeError:
        if not isinstance(x, int | float | complex | None):
            raise no_array("", kind.__name__) from None
        _NAMESPACES[kind] = None
        return None
    library = library_name(xp)
    if not isinstance(xp, ModuleType):
        _WRAPPERS.add(kind)
    elif kind.__module__.startswith(library):
        plugin = plugin_of(library)
        if plugin is not None:
            xp = plugin.namespace or xp
            _DEVICES[kind] = plugin.device_of
        _NAMESPACES[kind] = xp
    _DEVICES.setdefault(kind, own_device)
    return xp


def _traced_namespace(arrays: Iterable[Any]) -> Namespace:
    """Return the namespace of the traced arrays among arrays of one library."""
    namespaces = [array_namespace(x) for x in arrays if is_array(x)]
    traced = [xp for xp in namespaces if hasattr(xp, "plain_namespace")]
    names = {getattr(xp, "plain_namespace", xp).__name__ for xp in namespaces}
    if not traced or len(names) > 1:
        raise MixedArraysError(mixed_message(arrays))
    return traced[0]


def library_name(xp: Namespace) -> str:
    """Return the import name of the library of a namespace, such as ``"numpy"``.

    Backends have this name.
    """
    library: Any = getattr(xp, "plain_namespace", xp)
    name: str = library.__name__
    return name.removeprefix("array_api_compat.").partition(".")[0]


def size(x: Array) -> int:
    """Return the number of elements of ``x``."""
    return compat.size(x) or 0


def unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index of an element from its index in the flattened array."""
    index: list[int] = []
    for length in reversed(shape):
        flat, i = divmod(flat, length)
        index.insert(0, i)
    return tuple(index)


def is_mixed(arrays: Iterable[Any]) -> bool:
    """Return whether the arrays among these values come from more than one library or device."""
    return len({_library_and_device(x) for x in arrays if is_array(x)}) > 1


def mixed_message(arrays: Iterable[Any]) -> str:
    """Return the message for arrays of more than one library or device."""
    places = dict.fromkeys(_library_and_device(x) for x in arrays if is_array(x))
    return (
        f"arrays of {' and '.join(places)} met in one call; bring them to one library and device "
        "first: get_backend(x).asarray(y) moves y to the device of x"
    )


def _library_and_device(x: Array) -> str:
    return f"{library_name(array_namespace(x))} on {device(x)}"
