"""The JAX backend: arrays that never change, on a CPU, GPU or TPU, and steps that can be compiled
by jax.jit.
"""

import pickle
import zlib
from contextlib import AbstractContextManager
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

from anynet_numpy import portable

from anynet.array import is_array, is_narrow, own_device
from anynet.backend import Backend, check_dtype, get_backend, has_dtype
from anynet.errors import BackendError, DataError, DTypeError
from anynet_jax.kernels import KERNELS
from anynet_jax.target import JaxTarget

T = TypeVar("T")

#: Bytes that processes exchange are a multiple of this.
_BLOCK = 256

_SWITCH = 'jax.config.update("jax_enable_x64", True)'


class JaxBackend(Backend):
    """JAX on ``cpu``, ``gpu``, ``tpu`` or one of several, as ``gpu:1``. Default: JAX's choice.

    ``*`` means all devices, those of other processes too, as ``*`` or ``gpu:*``. Each has the whole
    of an array that is made, and `split` splits rows over them.

    JAX has 64-bit dtypes only when its setting ``jax_enable_x64`` is on, which `anynet.configure`
    does. Otherwise 64-bit integers become 32-bit ones, where these have all values, and arrays of
    float64 raise `DTypeError`.
    """

    kernels = KERNELS
    target = JaxTarget
    dtype_remedy = f"take a 32-bit one, such as xp.float32, or call {_SWITCH} first"

    def __init__(self, device: str = "") -> None:
        self._jax: Any = _import()
        jax = self._jax
        platform, _, number = (":*" if device == "*" else device).partition(":")
        # Those of other processes cannot be computed on from here.
        there = jax.local_devices()
        try:
            there = jax.local_devices(backend=platform or None)
            every = number == "*"
            place = self._mesh(platform) if every else there[int(number or 0)]
        except (RuntimeError, IndexError, ValueError) as error:
            names = ", ".join(f"{d.platform}:{d.id}" for d in there)
            raise BackendError(
                f"jax has no device {device!r}; it has {names}, and '*' for all of them"
            ) from error
        super().__init__(jax.numpy, place)

    @property
    def device_name(self) -> str:
        """The platform and index of the device, or of all devices of a mesh."""
        return ", ".join(f"{d.platform}:{d.id}" for d in sorted(self._devices, key=lambda d: d.id))

    @property
    def process(self) -> tuple[int, int]:
        """The index of this process, and the number of processes, for a mesh over all of them."""
        jax: Any = self._jax
        place: Any = self.device
        if isinstance(place, jax.Device) or place.is_fully_addressable:
            return 0, 1
        return jax.process_index(), jax.process_count()

    def gather(self, value: T) -> list[T]:
        """Return the value of each process."""
        if self.process[1] == 1:
            return [value]
        host: Any = get_backend("numpy").xp
        own = pickle.dumps(value)
        # Each shape is compiled once. Most values are short.
        length = host.asarray(len(own), dtype="int32")
        longest = int(self._gathered(length).max())
        padded = own.ljust(_BLOCK * -(-longest // _BLOCK), b"\0")
        rows = self._gathered(host.frombuffer(padded, dtype="uint8"))
        return [pickle.loads(row.tobytes()) for row in rows]

    def _gathered(self, x: Any) -> Any:
        """Return the arrays of all processes as rows of one."""
        from jax.experimental.multihost_utils import process_allgather

        return process_allgather(x)

    def _mesh(self, platform: str) -> Any:
        """Return the sharding of arrays that each device of all processes has as a whole."""
        sharding = self._jax.sharding
        devices = self._jax.devices(platform or None)
        if len(devices) == 1:
            return devices[0]
        return sharding.NamedSharding(sharding.Mesh(devices, ("rows",)), sharding.PartitionSpec())

    @property
    def _devices(self) -> Any:
        """The devices of a mesh, or the one."""
        return getattr(self.device, "device_set", {self.device})

    @staticmethod
    def device_of(x: Any) -> Any:
        """Return the device, or the whole mesh of an array that is sharded over one.

        Creation functions put an array on each device of a mesh, as a whole.
        """
        place = own_device(x)
        if hasattr(place, "mesh") and hasattr(place, "spec"):
            return _on_every_device(place)
        return place

    @classmethod
    def configure(cls, device: str) -> None:
        """Switch 64-bit dtypes on."""
        jax: Any = _import()
        jax.config.update("jax_enable_x64", True)

    def float64(self) -> AbstractContextManager[None]:
        """Switch 64-bit dtypes on, for this thread."""
        context: AbstractContextManager[None] = _enable_x64(True)
        return context

    def asarray(self, obj: Any, dtype: Any = None) -> Any:
        """Return an array. Dtypes that JAX lacks are converted on the host."""
        if dtype is not None:
            check_dtype(self.xp, dtype)
            if not isinstance(obj, self._jax.Array):
                x: Any = (
                    self._moved(obj, get_backend(obj).to_host)
                    if is_array(obj)
                    else get_backend("numpy").from_host(obj)
                )
                obj = x if self.supports(x.dtype) else x.astype(dtype)
        return super().asarray(obj, dtype)

    def from_host(self, obj: Any) -> Any:
        """Copy to the device, by way of NumPy, which reads every buffer."""
        x = portable(obj)
        if has_dtype(obj):
            # JAX may use the same memory, which another program may change later.
            x = x.copy()
        # Python's floats have no dtype to keep.
        wide = x.dtype.name in ("int64", "uint64") or (
            x.dtype.name in ("float64", "complex128") and has_dtype(obj)
        )
        if wide and not self.supports(x.dtype):
            x = _narrowed(x)
        return self._placed(x)

    def _placed(self, x: Any) -> Any:
        """Return an array of NumPy on the device, or as a whole on each device of a mesh.

        Raises:
            DataError: another process has other values.

        """
        if self.process[1] == 1:
            return self._jax.device_put(x, self.device)
        marks = self.gather((x.shape, str(x.dtype), zlib.crc32(x.tobytes())))
        if len(set(marks)) > 1:
            shown = [f"{shape} of {dtype}, checksum {mark:08x}" for shape, dtype, mark in marks]
            raise DataError(
                f"the processes of {self.device_name} brought different arrays ({'; '.join(shown)})"
                ": wanted the same whole array in each process, with the same seeds"
            )
        return self._jax.make_array_from_callback(x.shape, self.device, lambda part: x[part])

    def from_array(self, x: Any) -> Any:
        """Move a JAX array. Copy any other library's array through main memory."""
        if isinstance(x, self._jax.Array):
            there = isinstance(x, self._jax.core.Tracer) or x.sharding.device_set == self._devices
            if there:
                return x
            if self.process[1] > 1 and not is_narrow(x):
                return self._placed(get_backend("numpy").from_host(x))
            return self._jax.device_put(x, self.device)
        return self.through_host(x)

    def to_host(self, x: Any) -> Any:
        """Copy to main memory."""
        if not (x.is_fully_addressable or x.is_fully_replicated):
            # Other processes have some of the rows.
            x = self._jax.device_put(x, self.device)
        # NumPy has float16, and no other narrow dtype.
        known = x.dtype == "float16" or not is_narrow(x)
        return get_backend("numpy").from_host(x if known else x.astype("float32"))

    def split(self, x: Any, axis: int = 0) -> Any:
        """Return an array whose rows are split over the first axis of the mesh."""
        if isinstance(self.device, self._jax.Device) or not x.ndim:
            return x
        rows = _rows_split(self.device, axis)
        return (
            self._jax.device_put(x, rows) if x.shape[axis] % rows.mesh.devices.shape[0] == 0 else x
        )

    def synchronize(self) -> None:
        """Wait for all arrays that are in use."""
        self._jax.block_until_ready(self._jax.live_arrays())


@cache
def _on_every_device(sharding: Any) -> Any:
    """Return the sharding over the same mesh that splits no axis."""
    return type(sharding)(sharding.mesh, type(sharding.spec)())


@cache
def _rows_split(sharding: Any, axis: int) -> Any:
    """Return the sharding over the same mesh that splits one axis."""
    mesh = sharding.mesh
    return type(sharding)(mesh, type(sharding.spec)(*(None,) * axis, mesh.axis_names[0]))


def _import() -> ModuleType:
    try:
        import jax
    except ImportError as error:
        raise BackendError(
            f'jax cannot be imported ({error}); install it: pip install jax, or "jax[cuda12]" for '
            "an NVIDIA GPU"
        ) from error
    return jax  # type: ignore[no-any-return]


def _enable_x64(on: bool) -> Any:
    """Return the context in which a thread has 64-bit dtypes or not, which has moved in JAX 0.8."""
    try:
        from jax import enable_x64
    except ImportError:
        from jax.experimental import enable_x64
    return enable_x64(on)


def _narrowed(x: Any) -> Any:
    """Return 64-bit integers as 32-bit integers.

    Raises:
        DTypeError: a value does not fit, or the dtype is another one.

    """
    short = {"float64": "float32", "complex128": "complex64"}.get(x.dtype.name)
    if short is not None:
        raise DTypeError(
            f"an array of {x.dtype} was given, which jax has only after {_SWITCH}: make that call "
            f"first, or take {short}, asarray(x, dtype=xp.{short})"
        )
    new = x.astype(f"{x.dtype.kind}4")
    if (new != x).any():
        raise DTypeError(
            f"an array of {x.dtype} was given, with values that {new.dtype} does not have; jax has "
            f"{x.dtype} only after {_SWITCH}: make that call first"
        )
    return new
