"""Backends: a library's devices, transfers and kernels, for which the standard has no functions.

Each backend is a plug-in in the entry-point group ``anynet.backends``, under the import name of the
library that it serves. A library without a plug-in is served by the standard alone.
"""

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self, TypeVar

from anynet.array import (
    Array,
    Device,
    DType,
    Namespace,
    array_namespace,
    device,
    dtype_name,
    is_array,
    library_name,
    own_device,
    unrecorded,
)
from anynet.errors import (
    AnynetError,
    BackendError,
    DataError,
    DifferentiationError,
    DTypeError,
)
from anynet.namespace_adapter import NamespaceAdapter
from anynet.plugins import entry_points, plugin, plugin_of

__all__ = [
    "Backend",
    "NamespaceAdapter",
    "Report",
    "backend_names",
    "configure",
    "get_backend",
    "probe",
]

T = TypeVar("T")

VARIABLE = "ANYNET_BACKEND"
DEFAULT = "numpy"

# Dtypes of the standard that a library may lack, on some devices or by its settings.
_WIDE = {"int64", "uint64", "float64", "complex128"}


class Backend:
    """One array library on one device, which serves any library that follows the standard.

    A plug-in is a subclass that overrides the parts that differ. Its constructor takes the name of
    a device, or ``""`` for the library's default. It raises `BackendError` where the library cannot
    work, and it leaves the library's settings as they are. docs/guides/backends.md is a guide for
    authors.

    >>> backend = anynet.get_backend("numpy")
    >>> backend.xp.sum(backend.asarray([1, 2, 3]))
    np.int64(6)
    >>> backend.device_name
    'cpu'
    """

    #: The namespace that anynet uses for the library's arrays in place of their own, such as a
    #: `NamespaceAdapter` that adds missing parts of the standard. It has the library's
    #: ``__name__``.
    namespace: ClassVar[Namespace | None] = None
    #: Returns the device of one of the library's arrays, for arrays that have no ``.device``.
    device_of = staticmethod(own_device)
    #: Whether the library builds a graph that another program runs, and has no values.
    lazy: ClassVar[bool] = False
    #: Whether arrays of other libraries become constants in the library's graph.
    embeds: ClassVar[bool] = False
    #: Faster versions of functions for this library, by the name of a primitive or of a function of
    #: the standard. A kernel that returns NotImplemented declines its arguments. See
    #: `anynet.kernel.Kernels`.
    kernels: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    #: The class that says what the compiler may do with the library, see `anynet.compiler.target`.
    #: None stands for the one that serves every library.
    target: ClassVar[type[Any] | None] = None
    #: The remedy that an error names where the library lacks a dtype of 64 bits.
    dtype_remedy: ClassVar[str] = "take another dtype, such as xp.float32"

    def __init__(self, xp: Namespace, device: Device = None) -> None:
        self.xp = xp
        self.device = device

    @property
    def name(self) -> str:
        """The library's import name."""
        return library_name(self.xp)

    @property
    def device_name(self) -> str:
        """The device in words."""
        return str(self.device)

    @property
    def process(self) -> tuple[int, int]:
        """The index of this process among those that compute on the same arrays, and their
        number.
        """
        return 0, 1

    @property
    def is_first(self) -> bool:
        """Whether this process shows progress and writes files, which is one of several."""
        return self.process[0] == 0

    @property
    def version(self) -> str:
        """The library's own version."""
        # Some packages have it, and some namespaces.
        for module in (sys.modules.get(self.name), self.xp):
            version = getattr(module, "__version__", None)
            if version is not None:
                return str(version)
        return "unknown"

    @classmethod
    def configure(cls, device: str) -> None:
        """Change the library's settings for the whole process before a device is opened, see
        `anynet.configure`.
        """

    def float64(self) -> AbstractContextManager[None]:
        """Return a context in which this thread has float64, where the library can have it."""
        return nullcontext()

    def asarray(self, obj: Any, dtype: DType = None) -> Array:
        """Return a scalar, nested lists, a buffer or any library's array as an array on this
        device.

        Python floats become float32. Arrays, buffers and objects with ``__dlpack__`` keep their
        dtype unless ``dtype`` is given. The memory is shared or copied:
        docs/guides/interop.md has a table.

        Raises:
            DataError: the array has no values that can be copied, as a sparse one.
            DifferentiationError: another library records derivatives of the array.
            DTypeError: the dtype is not numeric, or the library lacks it.

        >>> anynet.get_backend("numpy").asarray([[1.0, 2.0]])
        array([[1., 2.]], dtype=float32)

        """
        if is_array(obj):
            x = self._moved(obj, self.from_array)
        else:
            x = self.from_host(obj)
            if dtype is None and not has_dtype(obj) and self.xp.isdtype(x.dtype, "real floating"):
                dtype = self.xp.float32
        return x if dtype is None else self.xp.astype(x, dtype, copy=False)

    def from_host(self, obj: Any) -> Array:
        """Return a scalar, nested lists or an object with a buffer or DLPack as an array."""
        if hasattr(obj, "__dlpack__") and hasattr(self.xp, "from_dlpack"):
            return self.xp.from_dlpack(obj, device=self.device)
        return self.xp.asarray(obj, device=self.device)

    def from_array(self, x: Array) -> Array:
        """Return any library's array on this device, itself where it is there already.

        Another library's array comes by DLPack where both libraries have it, and else through main
        memory.
        """
        if library_name(array_namespace(x)) == self.name:
            here = self.device is None or device(x) == self.device
            return x if here else x.to_device(self.device)
        if hasattr(x, "__dlpack__") and hasattr(self.xp, "from_dlpack"):
            return self.xp.from_dlpack(x, device=self.device)
        return self.through_host(x)

    def _moved(self, x: Array, move: Callable[[Array], Any]) -> Any:
        """Return ``move(x)`` for an array of any library, with errors that say what x is."""
        if unrecorded(x) is not x:
            self._check_own(x)
        try:
            return move(x)
        except (BufferError, NotImplementedError, TypeError, ValueError) as error:
            if isinstance(error, AnynetError):
                raise
            line = str(error).partition("\n")[0]
            raise DataError(
                f"an array of {library_name(array_namespace(x))} on {device(x)} cannot be brought "
                f"to {self.name} ({type(error).__name__}: {line}): wanted a dense array that has "
                "values"
            ) from error

    def _check_own(self, x: Array) -> None:
        """Check that an array whose derivatives are recorded is this library's."""
        library = library_name(array_namespace(x))
        if library != self.name:
            raise DifferentiationError(
                f"{library} records derivatives of the array that {self.name} was given, and they "
                "would be lost: pass x.detach()"
            )

    def to_host(self, x: Array) -> Any:
        """Return the values as a NumPy array in main memory, after waiting for the device.

        A dtype that NumPy lacks, such as bfloat16, becomes float32, which has all its values.
        """
        return get_backend(DEFAULT).asarray(x)

    def through_host(self, x: Array) -> Array:
        """Return a copy of another library's array, made through main memory, in its own dtype
        where this library has it.
        """
        copied = self.from_host(get_backend(x).to_host(x))
        name = dtype_name(x.dtype)
        own = getattr(self.xp, name, None)
        if own is None or name in _WIDE:
            # The library chooses its own dtype for one of 64 bits that it lacks.
            return copied
        return self.xp.astype(copied, own, copy=False)

    def split(self, x: Array, axis: int = 0) -> Array:
        """Return an array whose rows are split over the devices of this backend, the array itself
        where it has one device, or a number of rows that its devices do not divide.

        The library then computes each row where it is. An array of row indices splits the rows that
        are taken with it.

        Args:
            x: an array of this backend.
            axis: the axis of the rows.

        >>> anynet.get_backend("numpy").split(np.ones(2))
        array([1., 1.])

        """
        return x

    def gather(self, value: T) -> list[T]:
        """Return the value of each process that computes on the same arrays, in their order.

        Args:
            value: anything that can be pickled.

        >>> anynet.get_backend("numpy").gather("here")
        ['here']

        """
        return [value]

    def synchronize(self) -> None:
        """Wait until the device has finished its work. A library without queues returns at
        once.
        """

    def strides(self, x: Array) -> Any:
        """Return the distance in memory between elements along each axis, None if it is unknown."""
        return getattr(x, "strides", None)

    def supports(self, dtype: DType) -> bool:
        """Return whether this library has the dtype on this device."""
        dtypes = self.xp.__array_namespace_info__().dtypes(device=self.device)
        return any(known == dtype for known in dtypes.values())

    def __deepcopy__(self, memo: Any) -> Self:
        """Return the backend itself. A copy of settings that contain it needs no other."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name} {self.version}, device={self.device_name})"


def get_backend(which: "str | Backend | Array | None" = None) -> Backend:
    """Return a backend by name, by array, or by the environment variable ANYNET_BACKEND (default
    ``numpy``).

    A name may carry a device after a colon: ``"cupy"``, ``"cupy:1"``,
    ``"array_api_strict:device1"``. ``"jax:*"`` stands for all devices. The name is that of a
    plug-in or of any importable module that follows the standard. An array gives the backend of its
    library and device.

    Raises:
        BackendError: the name is unknown, the library is not installed or does not follow the
            standard, or it has no such device. The message is one line.

    >>> anynet.get_backend("numpy").name
    'numpy'
    >>> anynet.get_backend(np.zeros(2)).device_name
    'cpu'

    """
    if isinstance(which, Backend):
        return which
    if which is not None and not isinstance(which, str):
        return _backend_of(which)
    name, device_name = _split(which)
    if name not in entry_points():
        return _without_plugin(name, device_name)
    return _open(name, device_name)


def configure(which: str | None = None) -> Backend:
    """Change the settings of this process to those that suit a backend, and return the backend as
    `get_backend` does.

    `get_backend` changes no settings. Call this once, at the start of a program. A library leaves
    it to the programs that import it. The changes depend on the backend:

    - JAX: 64-bit dtypes are switched on, by ``jax.config.update("jax_enable_x64", True)``.
    - PyTorch on a CPU, with the GNU C library: up to 1 GiB of freed memory stays with the process
      for later arrays. Training a convolutional network can take half as long. Environment
      variables of the C library (``MALLOC_…``, ``GLIBC_TUNABLES``) take precedence.
    - CuPy: the GPU in the name, as in ``"cupy:1"``, becomes the current device of this thread.

    Raises:
        BackendError: as for `get_backend`.

    >>> anynet.configure("numpy").name
    'numpy'

    """
    name, device_name = _split(which)
    if name in entry_points():
        plugin(name).configure(device_name)
    return get_backend(f"{name}:{device_name}")


def check_dtype(xp: Namespace, dtype: DType) -> None:
    """Check that a library has a dtype of 64 bits, because some libraries silently compute in fewer
    bits.

    Raises:
        DTypeError: it lacks the dtype, on this device or by its settings.

    """
    name = dtype_name(dtype)
    if name not in _WIDE:
        return
    library: Any = getattr(xp, "plain_namespace", xp)
    if name not in library.__array_namespace_info__().dtypes():
        kind = plugin_of(library_name(xp)) or Backend
        raise DTypeError(
            f"dtype is {name}, which {library_name(xp)} lacks here: {kind.dtype_remedy}"
        )


def backend_names() -> list[str]:
    """Return the names of all registered backends, including those that do not work here.

    >>> "numpy" in anynet.backend.backend_names()
    True

    """
    return sorted(entry_points())


@dataclass(frozen=True)
class Report:
    """Whether a backend works here, with the reason where it does not.

    >>> anynet.backend.probe("no_such_library").works
    False

    """

    name: str
    version: str = "-"
    device: str = "-"
    works: bool = False
    reason: str = ""
    #: See `Backend.lazy`.
    lazy: bool = False


def probe(name: str) -> Report:
    """Return a report on a backend, for which it is opened and multiplies two small matrices.

    Any failure becomes the report's reason.

    >>> report = anynet.backend.probe("numpy")
    >>> report.device, report.works
    ('cpu', True)

    """
    try:
        backend = get_backend(name)
        x = backend.asarray([[1.0, 2.0], [3.0, 4.0]])
        product = backend.to_host(backend.xp.matmul(x, x)).tolist()
    except BackendError as error:
        return Report(name, reason=str(error))
    except Exception as error:
        return Report(name, reason=f"{type(error).__name__}: {error}".partition("\n")[0])
    works = product == [[7.0, 10.0], [15.0, 22.0]]
    reason = "" if works else f"a product came out as {product}"
    return Report(name, backend.version, backend.device_name, works, reason, backend.lazy)


def kernels_for(xp: Namespace) -> Mapping[str, Callable[..., Any]]:
    """Return the kernels of the backend for a namespace's library, none where it has no backend."""
    name = library_name(xp)
    if name not in entry_points():
        return {}
    try:
        kernels: Mapping[str, Callable[..., Any]] = plugin(name).kernels
    except BackendError as error:
        # The library works without its plug-in. The references compute the same, only slower.
        warnings.warn(str(error), RuntimeWarning, stacklevel=2)
        return {}
    return kernels


def has_dtype(obj: Any) -> bool:
    """Return whether the object has a buffer or DLPack's methods, and so a dtype, unlike Python
    scalars and lists.
    """
    if hasattr(obj, "__dlpack__"):
        return True
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


def _split(which: str | None) -> tuple[str, str]:
    """Return the name of a backend and of its device, "" for the default one."""
    name, _, device_name = (which or os.environ.get(VARIABLE) or DEFAULT).partition(":")
    return name, device_name


def _open(name: str, device_name: str) -> Backend:
    backend: Backend = plugin(name)(device_name)
    return backend


@cache
def _opened(name: str) -> Backend:
    return _open(name, "")


def _backend_of(x: Array) -> Backend:
    xp = array_namespace(x)
    name = library_name(xp)
    if name not in entry_points():
        return Backend(xp, device(x))
    backend = copy(_opened(name))
    backend.device = device(x)
    return backend


def _without_plugin(name: str, device_name: str) -> Backend:
    """Return the backend of an importable library for which no plug-in is registered.

    Raises:
        BackendError: there is no such module, or it does not follow the standard.

    """
    if not entry_points():
        raise BackendError(
            f"no backend is registered, not even {DEFAULT!r}, because anynet was not installed: "
            "run pip install -e . in its checkout"
        )
    x = _array_of(name, _import(name))
    xp = array_namespace(x)
    library = library_name(xp)
    if library in entry_points():
        # Such as jax for "jax.numpy".
        return _open(library, device_name)
    place = _named_device(name, xp, device_name) if device_name else _default_device(name, x)
    _check_calls(name, xp, place)
    return Backend(xp, place)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ImportError) and error.name != name.partition(".")[0]:
            reason = f"{name} cannot be imported ({_line(error)})"
        elif isinstance(error, ImportError | TypeError | ValueError):
            reason = f"unknown backend {name!r}; there are {', '.join(backend_names())}"
        else:
            reason = f"{name} cannot be imported ({type(error).__name__}: {_line(error)})"
        raise BackendError(
            f"{reason} (set {VARIABLE} or --backend to one of them, or to a module that follows "
            "the Array API standard; a device may follow a colon)"
        ) from error


def _array_of(name: str, module: Any) -> Array:
    """Return an array that a module makes, or its part ``array_api``."""
    namespace = getattr(module, "array_api", module)
    try:
        x = namespace.asarray([1.0])
    except Exception as error:
        raise _no_library(name, "asarray([1.0])", error) from error
    if not is_array(x):
        raise _no_library(name, f"__array_namespace__ of {type(x).__name__}")
    return x


def _default_device(name: str, x: Array) -> Device:
    try:
        return device(x)
    except AttributeError as error:
        raise _no_library(name, f"device of {type(x).__name__}", error) from error


def _named_device(
    name: str,
    xp: Namespace,
    device_name: str,
) -> Device:
    """Return the device of a library whose text is the name, or that ``Device(name)`` makes."""
    wanted: Any = device_name
    with suppress(AttributeError, TypeError, ValueError, RuntimeError):
        # Not every library has this class, and it does not take every name.
        wanted = xp.Device(device_name)
    devices: list[Device] = list(xp.__array_namespace_info__().devices())
    for place in devices:
        if place == wanted or str(place) == device_name:
            return place
    names = ", ".join(map(str, devices))
    raise BackendError(f"{name} has no device {device_name!r}; it has {names}")


#: Calls of the standard that libraries without full support tend to lack.
_CALLS: tuple[tuple[str, Callable[[Namespace, Array, Device], Any]], ...] = (
    ("zeros(…, device=…)", lambda xp, x, place: xp.zeros((1,), dtype=x.dtype, device=place)),
    ("asarray(…, copy=True)", lambda xp, x, place: xp.asarray(x, copy=True)),
    ("astype(…, copy=False)", lambda xp, x, place: xp.astype(x, xp.float32, copy=False)),
    ("argsort(…, stable=True)", lambda xp, x, place: xp.argsort(x, stable=True)),
    ("isdtype(…)", lambda xp, x, place: xp.isdtype(x.dtype, "real floating")),
    (
        "__array_namespace_info__().dtypes(…)",
        lambda xp, x, place: xp.__array_namespace_info__().dtypes(device=place),
    ),
)


def _check_calls(
    name: str,
    xp: Namespace,
    place: Device,
) -> None:
    try:
        x = xp.asarray([1.0], dtype=xp.float32, device=place)
    except Exception as error:
        raise _no_library(name, "asarray(…, dtype=…, device=…)", error) from error
    for call, function in _CALLS:
        try:
            function(xp, x, place)
        except Exception as error:
            raise _no_library(name, call, error) from error


def _no_library(
    name: str,
    missing: str,
    error: Exception | None = None,
) -> BackendError:
    reason = "" if error is None else f" ({type(error).__name__}: {_line(error)})"
    return BackendError(
        f"{name} does not follow the Array API standard: it lacks {missing}{reason}; a plug-in can "
        "add missing parts, see docs/guides/backends.md"
    )


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
