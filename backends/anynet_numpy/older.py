"""What NumPy 2.0 lacks and later versions have."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

_CPU = np.empty(0).__dlpack_device__()


class _OnHost:
    """An array that exports its values to main memory, whichever device it is on."""

    def __init__(self, x: np.ndarray) -> None:
        self._x = x

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CPU

    def __dlpack__(self, **settings: Any) -> Any:
        if self._x.__dlpack_device__() != _CPU:
            settings["dl_device"] = _CPU
        return self._x.__dlpack__(**settings)


def _from_dlpack(x: np.ndarray) -> Any:
    # NumPy 2.0 takes no device, and its result is read-only.
    try:
        return np.from_dlpack(_OnHost(x)).copy()
    except BufferError:
        # Its DLPack has no word for read-only memory, and so does not export it.
        return np.array(x)


def _take(x: np.ndarray, indices: np.ndarray, /, *, axis: int | None = None) -> Any:
    # NumPy 2.0 does not convert unsigned 64-bit indices.
    return np.take(x, indices.astype(np.int64, copy=False), axis=axis)


from_dlpack: Callable[[Any], Any] = partial(np.from_dlpack, device="cpu")
KERNELS: dict[str, Callable[..., Any]] = {}
try:
    from_dlpack(np.empty(0))
except TypeError:
    from_dlpack = _from_dlpack
    # There x**2 and np.power(x, 2) differ in the last bit, and a replay has to be the step.
    KERNELS = {"pow": operator.pow, "take": _take}
