"""The NumPy backend: the library that is always there."""

from typing import Any

import array_api_compat.numpy
import numpy as np

from anynet.array import widened
from anynet.backend import Backend
from anynet.errors import BackendError
from anynet_numpy import images, kernels, older, parts
from anynet_numpy.memory import aligned


class NumpyBackend(Backend):
    """NumPy on the CPU."""

    kernels = kernels.KERNELS | images.KERNELS | older.KERNELS
    parts, fresh, into, in_place = parts.PARTS, parts.FRESH, parts.INTO, parts.IN_PLACE

    def __init__(self, device: str = "") -> None:
        if device not in ("", "cpu"):
            raise BackendError(f"numpy has no device {device!r}; it has 'cpu': leave the device out")
        super().__init__(array_api_compat.numpy, "cpu")

    def from_array(self, x: Any) -> Any:
        """Take over any library's array, copied from its device where that is not the CPU.

        A dtype that NumPy does not have, such as bfloat16, comes as float32, which has all its values.
        """
        if isinstance(x, np.ndarray | np.generic):
            return x
        known = hasattr(np, str(x.dtype).rpartition(".")[2])
        return older.from_dlpack(x if known else widened(x))

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Ask NumPy."""
        return bool(np.shares_memory(x, y))

    def empty(self, shape: tuple[int, ...], dtype: Any, strides: Any) -> Any:
        """Put the axes in the order of the strides: sums of rows are rounded otherwise than sums of columns."""
        order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
        return aligned(tuple(shape[axis] for axis in order), dtype).transpose(np.argsort(order))
