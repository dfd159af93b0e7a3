"""The CuPy backend: NumPy's functions on a CUDA GPU."""

from types import ModuleType
from typing import Any

from anynet_numpy import portable

from anynet.backend import Backend, get_backend
from anynet.errors import BackendError
from anynet_cupy.kernels import KERNELS
from anynet_cupy.target import CupyTarget

# CUDA 13 has no code for GPUs before Turing.
_INSTALL = (
    'pip install "cupy-cuda13x[ctk]", or "cupy-cuda12x[ctk]" where nvidia-smi shows CUDA 12 '
    "or the GPU is a P100 or V100"
)
# Two of CuPy's packages in one environment overwrite each other's files.
_REPLACE = f"{_INSTALL}; uninstall the present CuPy first if it is the other one"

# CUDA's status codes that say why there is no device: cudaErrorInsufficientDriver and
# cudaErrorNoDevice.
_STATUS = {
    35: (
        "the NVIDIA driver is missing or older than CuPy's CUDA: update it, or install a CuPy that "
        "fits it: "
    ),
    100: "CUDA finds no GPU: choose a machine or notebook runtime with one, or ",
}


# DLPack's number for memory of a GPU of CUDA's.
_CUDA = 2


class CupyBackend(Backend):
    """CuPy on the current GPU, see `cupy.cuda.Device`, or on the GPU with a given index.

    CuPy's functions work on the current device, and none takes another one. Opening another GPU
    raises an error. `anynet.configure` makes a GPU current.
    """

    device: Any
    kernels = KERNELS
    target = CupyTarget

    def __init__(self, device: str = "") -> None:
        cupy = _import()
        place, current = _device(cupy, device), cupy.cuda.Device()
        if place.id != current.id:
            raise BackendError(
                f"cupy's current device is {current.id}, and its functions work there, not on "
                f'{place.id}: call anynet.configure("cupy:{place.id}") or '
                f"cupy.cuda.Device({place.id}).use() first, or open and use the backend in a "
                f"block, with cupy.cuda.Device({place.id}):"
            )
        _try_out(cupy)
        import array_api_compat.cupy

        self._cupy: Any = cupy
        super().__init__(array_api_compat.cupy, place)

    @classmethod
    def configure(cls, device: str) -> None:
        """Make the GPU the current device of this thread."""
        if device:
            _device(_import(), device).use()

    def _here(self) -> Any:
        """Return a context in which the GPU is the current device."""
        # Always a new object. Two threads that enter the same one may end on each other's device.
        return self._cupy.cuda.Device(self.device.id)

    @property
    def device_name(self) -> str:
        """The number of the GPU and its model."""
        properties = self._cupy.cuda.runtime.getDeviceProperties(self.device.id)
        return f"{self.device.id} ({properties['name'].decode()})"

    def from_host(self, obj: Any) -> Any:
        """Return an array, by way of NumPy, which reads every buffer."""
        with self._here():
            return self._cupy.asarray(portable(obj))

    def from_array(self, x: Any) -> Any:
        """Return an array on this GPU by DLPack. Copy one from another GPU or main memory."""
        cupy = self._cupy
        with self._here():
            if isinstance(x, cupy.ndarray):
                return x if x.device == self.device else x.copy()
            kind, number = x.__dlpack_device__() if hasattr(x, "__dlpack_device__") else (0, 0)
            if kind != _CUDA:
                return self.from_host(get_backend(x).to_host(x))
            if number == self.device.id:
                return cupy.from_dlpack(x)
        with cupy.cuda.Device(number):
            there = cupy.from_dlpack(x)
        return self.from_array(there)

    def to_host(self, x: Any) -> Any:
        """Copy to main memory."""
        return self._cupy.asnumpy(x)

    def synchronize(self) -> None:
        """Wait for the current stream."""
        with self._here():
            self._cupy.cuda.get_current_stream().synchronize()


def _import() -> ModuleType:
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise BackendError(
                f"cupy cannot be imported, {error.name} is missing: {_INSTALL}"
            ) from error
        raise BackendError(f"cupy is not installed: {_INSTALL}") from error
    except ImportError as error:
        raise BackendError(
            f"cupy cannot be imported ({_line(error)}); CUDA's libraries are missing: {_REPLACE}"
        ) from error
    return cupy  # type: ignore[no-any-return]


def _device(cupy: Any, device: str) -> Any:
    """Return the GPU of this number, the current one for ""."""
    count = _device_count(cupy)
    if device and not (device.isdecimal() and int(device) < count):
        raise BackendError(
            f"cupy has no device {device!r}; it has {', '.join(map(str, range(count)))}"
        )
    return cupy.cuda.Device(int(device)) if device else cupy.cuda.Device()


def _device_count(cupy: ModuleType) -> int:
    try:
        count: int = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        advice = _STATUS.get(error.status, "")
        raise BackendError(f"cupy cannot use a GPU ({_line(error)}): {advice}{_REPLACE}") from error
    return count


def _try_out(cupy: ModuleType) -> None:
    """Compute with a compiled kernel and with cuBLAS, so that missing libraries raise here and not
    in a layer.
    """
    try:
        x = cupy.ones((2, 2), dtype="float32") + 1
        float((x @ x)[0, 0])
    except Exception as error:
        raise BackendError(
            f"cupy does not work ({type(error).__name__}: {_line(error)}): {_REPLACE}"
        ) from error


def _line(error: Exception) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()),
        type(error).__name__,
    )
