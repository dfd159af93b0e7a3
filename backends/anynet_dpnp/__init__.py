"""The dpnp backend: NumPy's functions on SYCL devices, such as Intel's GPUs and CPUs."""

import sys
from typing import Any

from anynet_numpy import portable

from anynet.backend import Backend, get_backend
from anynet.errors import BackendError
from anynet_dpnp.kernels import KERNELS


class DpnpBackend(Backend):
    """dpnp on ``cpu``, ``gpu``, ``gpu:1``, ``level_zero:gpu:0``. Default: SYCL's choice.

    dpnp's operators raise for a traced array on their right. Write ``xp.multiply(x, y)`` in place
    of ``x * y``.
    """

    device: Any
    xp: Any
    kernels = KERNELS

    def __init__(self, device: str = "") -> None:
        try:
            import dpctl
            import dpnp
        except ImportError as error:
            raise BackendError(
                f"dpnp cannot be imported ({error}); install it: pip install dpnp"
            ) from error
        there = ", ".join(d.filter_string for d in dpctl.get_devices())
        if not there:
            raise BackendError(
                "dpnp finds no SYCL device: install your GPU's driver, or for the CPU pip install "
                f"intel-opencl-rt and set OCL_ICD_FILENAMES={sys.prefix}/lib/libintelocl.so"
            )
        try:
            place = dpnp.empty(0, device=device or None).device
        except (dpctl.SyclDeviceCreationError, ValueError) as error:
            raise BackendError(f"dpnp has no device {device!r}; it has {there}") from error
        super().__init__(dpnp, place)

    @property
    def device_name(self) -> str:
        """SYCL's name, such as ``opencl:cpu:0``."""
        return str(self.device.sycl_device.filter_string)

    def from_host(self, obj: Any) -> Any:
        """Copy to the device, by way of NumPy, which reads every buffer."""
        return self.xp.asarray(portable(obj), device=self.device)

    def from_array(self, x: Any) -> Any:
        """Move a dpnp array. Copy any other library's array through main memory."""
        if isinstance(x, self.xp.ndarray):
            return x if x.device == self.device else x.to_device(self.device)
        return self.from_host(get_backend("numpy").asarray(x))

    def to_host(self, x: Any) -> Any:
        """Copy to main memory."""
        return self.xp.asnumpy(x)

    def synchronize(self) -> None:
        """Wait for the device's queue."""
        self.device.wait()
