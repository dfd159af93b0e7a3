"""The array_api_strict backend: the standard and nothing more, to find code that depends on one
library.
"""

from typing import Any

from anynet_numpy import portable

from anynet.backend import Backend, get_backend
from anynet.errors import BackendError, DTypeError


class StrictBackend(Backend):
    """array_api_strict on one of its emulated devices: ``CPU_DEVICE``, ``device1`` or
    ``device2``.
    """

    def __init__(self, device: str = "") -> None:
        try:
            import array_api_strict
        except ImportError as error:
            raise BackendError(
                f"array_api_strict cannot be imported ({error}); install it: pip install "
                "array-api-strict"
            ) from error
        try:
            place = array_api_strict.Device(device or "CPU_DEVICE")
        except ValueError as error:
            raise BackendError(
                f"array_api_strict has no device {device!r}; it has CPU_DEVICE, device1 and device2"
            ) from error
        super().__init__(array_api_strict, place)

    @property
    def device_name(self) -> str:
        """The name without the library's around it."""
        return str(self.device).split("'")[1]

    def from_host(self, obj: Any) -> Any:
        """Read by way of NumPy, which keeps a buffer's dtype, unlike array_api_strict."""
        x = portable(obj)
        try:
            return self.xp.asarray(x, device=self.device)
        except TypeError as error:
            raise DTypeError(
                f"an array of {x.dtype} was given: {error}; convert it first, to float32"
            ) from error

    def from_array(self, x: Any) -> Any:
        """Copy another library's array through main memory: emulated devices have no DLPack."""
        if type(x).__module__.startswith("array_api_strict"):
            return x if x.device == self.device else x.to_device(self.device)
        return self.from_host(get_backend("numpy").asarray(x))

    def to_host(self, x: Any) -> Any:
        """Copy to main memory. Only the emulated CPU supports DLPack."""
        return super().to_host(x.to_device(self.xp.Device("CPU_DEVICE")))
