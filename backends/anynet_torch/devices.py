"""Devices of tensors, because kernels differ between a CPU and a GPU."""

from torch import Tensor


def device_type(x: Tensor) -> str:
    """Return ``cpu``, ``cuda`` or ``mps``."""
    name: str = x.device.type
    return name
