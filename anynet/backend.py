"""Backends: what a library adds to the standard, and how one is found by name, by environment or by
array.

The standard has functions; it has no word for "the second GPU", for waiting until a device is done,
or for a quicker version of one of our own operations. A backend is these few things for one
library. Each is a plug-in in the entry-point group ``anynet.backends``, under the name of the
library it serves.
"""

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

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
)
from anynet.errors import BackendError, DTypeError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from anynet.compiler.target import CompilerTarget

GROUP = "anynet.backends"
VARIABLE = "ANYNET_BACKEND"
DEFAULT = "numpy"

# Dtypes of the standard that a library can lack: on some devices, or until it is told to have them.
_WIDE = {"int64", "uint64", "float64", "complex128"}


class Backend:
    """One array library on one device; as it stands it serves any library, and a plug-in overrides
    what differs.

    A plug-in is a subclass whose constructor takes the device's name, ``""`` for the library's own
    choice, and raises `BackendError` where the library cannot work. The constructor leaves the
    library's settings as they are.
    """

    #: Whether arrays only note what is to be done, and nothing is computed until numbers are read.
    lazy: ClassVar[bool] = False
    #: Whether arrays of other libraries that meet its own are constants of what it writes.
    embeds: ClassVar[bool] = False
    #: The name of a primitive, or of a function of the standard, to a quicker version of it for
    #: this library; one that returns NotImplemented declines. See `anynet.kernel.Kernels`.
    kernels: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    #: The class of what the backend offers the compiler, see `anynet.compiler.target`; None for the
    #: one that serves every library.
    target: "ClassVar[type[CompilerTarget] | None]" = None
    #: What to do where the library lacks a dtype of 64 bits.
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
    def version(self) -> str:
        """The library's own version."""
        # Not every namespace has its package's.
        return str(getattr(sys.modules.get(self.name), "__version__", "unknown"))

    @classmethod
    def configure(cls, device: str) -> None:
        """Change the library's settings for the whole process, before a device is opened; see
        `anynet.configure`.
        """

    def float64(self) -> AbstractContextManager[None]:
        """Return a context in which the library has float64, where it can have it, for this thread
        only.
        """
        return nullcontext()

    def asarray(self, obj: Any, dtype: DType = None) -> Array:
        """Bring numbers, nested lists, anything with a buffer, or any library's array to this
        library and device.

        Python floats become float32; arrays and buffers keep their dtype unless another is asked
        for.
        """
        if is_array(obj):
            x = self.from_array(obj)
        else:
            x = self.from_host(obj)
            if dtype is None and not is_buffer(obj) and self.xp.isdtype(x.dtype, "real floating"):
                dtype = self.xp.float32
        return x if dtype is None else self.xp.astype(x, dtype, copy=False)

    def from_host(self, obj: Any) -> Array:
        """Make an array of numbers, nested lists or an object with a buffer."""
        return self.xp.asarray(obj, device=self.device)

    def from_array(self, x: Array) -> Array:
        """Bring another library's array here, by DLPack; one that is here already is returned as it
        is.
        """
        if library_name(array_namespace(x)) != self.name:
            return self.xp.from_dlpack(x, device=self.device)
        return x if self.device is None or device(x) == self.device else x.to_device(self.device)

    def to_host(self, x: Array) -> Any:
        """Return the values as an array with a buffer in main memory (a NumPy array); waits for the
        device.

        A dtype that NumPy does not have, such as bfloat16, comes as float32, which has all its
        values.
        """
        return get_backend(DEFAULT).asarray(x)

    def through_host(self, x: Array) -> Array:
        """Copy another library's array through main memory, in its own dtype where this library has
        it.
        """
        copied, name = (
            self.from_host(get_backend(x).to_host(x)),
            dtype_name(x.dtype),
        )
        own = getattr(self.xp, name, None)
        # Those of 64 bits are here as the library has them.
        return copied if own is None or name in _WIDE else self.xp.astype(copied, own, copy=False)

    def synchronize(self) -> None:
        """Wait until all work given to the device is done; nothing to wait for unless a library
        overrides it.
        """

    def strides(self, x: Array) -> Any:
        """Return how far apart in memory the elements along each axis are, None where no one can
        tell.
        """
        return getattr(x, "strides", None)

    def supports(self, dtype: DType) -> bool:
        """Tell whether this library has the dtype on this device."""
        return any(
            known == dtype
            for known in self.xp.__array_namespace_info__().dtypes(device=self.device).values()
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name} {self.version}, device={self.device_name})"


def get_backend(which: "str | Backend | Array | None" = None) -> Backend:
    """Return a backend by name, by array, or by the environment variable ANYNET_BACKEND (default
    ``numpy``).

    A name may carry a device after a colon: ``"cupy"``, ``"cupy:1"``,
    ``"array_api_strict:device1"``. An array gives the backend of its own library and device; a
    library without a plug-in is served by the standard alone.

    Raises:
        BackendError: the name is unknown, the library is not installed, or it has no such device;
            one line.

    """
    if isinstance(which, Backend):
        return which
    if which is not None and not isinstance(which, str):
        return _backend_of(which)
    name, device_name = _split(which)
    opened: Backend = _plugin(name)(device_name)
    return opened


def configure(which: str | None = None) -> Backend:
    """Change the settings of this process to those that suit a backend, and return it as
    `get_backend` does.

    `get_backend` changes no settings. Call this once, at the start of a program of your own. A
    library leaves it to the programs that import it. What changes depends on the backend:

    - JAX: 64-bit dtypes are switched on, by ``jax.config.update("jax_enable_x64", True)``.
    - PyTorch on a CPU, with the GNU C library: up to 1 GiB of freed memory stays with the process
      for later arrays. Training a convolutional network can take half as long. Environment
      variables of the C library (``MALLOC_…``, ``GLIBC_TUNABLES``) take precedence.
    - CuPy: the GPU in the name, as in ``"cupy:1"``, becomes the current device of this thread.

    Raises:
        BackendError: the name is unknown, the library is not installed, or it has no such device;
            one line.

    """
    name, device_name = _split(which)
    plugin = _plugin(name)
    plugin.configure(device_name)
    opened: Backend = plugin(device_name)
    return opened


def check_dtype(xp: Namespace, dtype: DType) -> None:
    """Check that a library has a dtype of 64 bits, for some compute in fewer bits where it lacks
    them.

    Raises:
        DTypeError: it lacks the dtype, on this device or by its settings.

    """
    name = dtype_name(dtype)
    if name not in _WIDE:
        return
    library: Any = getattr(xp, "plain_namespace", xp)
    if name not in library.__array_namespace_info__().dtypes():
        remedy = (
            _plugin(library_name(xp)) if library_name(xp) in _entry_points() else Backend
        ).dtype_remedy
        raise DTypeError(f"dtype is {name}, which {library_name(xp)} lacks here: {remedy}")


def backend_names() -> list[str]:
    """Return the names of all backends that are registered, whether they work here or not."""
    return sorted(_entry_points())


@dataclass(frozen=True)
class Report:
    """What a backend is and whether it works here; the reason says why it does not."""

    name: str
    version: str = "-"
    device: str = "-"
    works: bool = False
    reason: str = ""
    #: See `Backend.lazy`.
    lazy: bool = False


def probe(name: str) -> Report:
    """Open a backend and let it compute something tiny; any failure becomes the report's reason."""
    try:
        backend = get_backend(name)
        x = backend.asarray([[1.0, 2.0], [3.0, 4.0]])
        found = backend.to_host(backend.xp.matmul(x, x)).tolist()
    except Exception as error:
        reason = (
            str(error) if isinstance(error, BackendError) else f"{type(error).__name__}: {error}"
        )
        return Report(name, reason=reason.partition("\n")[0])
    works = found == [[7.0, 10.0], [15.0, 22.0]]
    reason = "" if works else f"a product came out as {found}"
    return Report(
        name,
        backend.version,
        backend.device_name,
        works,
        reason,
        backend.lazy,
    )


def kernels_for(xp: Namespace) -> Mapping[str, Callable[..., Any]]:
    """Return the kernels that the backend for this namespace's library holds, none where it has no
    backend.
    """
    name = library_name(xp)
    if name not in _entry_points():
        return {}
    try:
        kernels: Mapping[str, Callable[..., Any]] = _plugin(name).kernels
    except BackendError as error:
        # The library works, its plug-in does not: the references do the same, only slower.
        warnings.warn(str(error), RuntimeWarning, stacklevel=2)
        return {}
    return kernels


def _split(which: str | None) -> tuple[str, str]:
    """Return the name and the device's name, "" where there is none."""
    name, _, device_name = (which or os.environ.get(VARIABLE) or DEFAULT).partition(":")
    return name, device_name


def is_buffer(obj: Any) -> bool:
    """Tell whether the object has a buffer, which has a dtype, unlike Python's numbers and
    lists.
    """
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


def _backend_of(x: Array) -> Backend:
    xp = array_namespace(x)
    name = library_name(xp)
    if name not in _entry_points():
        return Backend(xp, device(x))
    backend = copy(_opened(name))
    backend.device = device(x)
    return backend


@cache
def _opened(name: str) -> Backend:
    opened: Backend = _plugin(name)("")
    return opened


@cache
def _entry_points() -> "dict[str, EntryPoint]":
    # A fifth of the time that `import anynet` would take.
    from importlib.metadata import entry_points

    # One distribution installed twice (a wheel and a checkout) lists its entries twice; the first
    # one wins.
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, entry)
    return found


@cache
def _plugin(name: str) -> Any:
    found = _entry_points()
    if not found:
        raise BackendError(
            f"no backend is registered, not even {name!r}, because anynet was not installed: "
            "run pip install -e . in its checkout"
        )
    if name not in found:
        raise BackendError(
            f"unknown backend {name!r}; there are {', '.join(sorted(found))} "
            f"(set {VARIABLE} or --backend to one of them, a device may follow a colon)"
        )
    try:
        return found[name].load()
    except Exception as error:
        raise BackendError(
            f"the plug-in of backend {name!r} ({found[name].value}) is broken: {error!r}"
        ) from error
