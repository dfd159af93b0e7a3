"""Where tensors are: kernels differ between a CPU and a GPU."""

from typing import Any


def device_type(x: Any) -> str:
    """Return ``cpu``, ``cuda`` or ``mps``."""
    place: str = x.device.type
    return place
