"""Functions that NumPy 2.0 lacks and later versions have."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

_CPU = np.empty(0).__dlpack_device__()


class _OnHost:
    """An array of any device that exports its values to main memory."""

    def __init__(self, x: Any) -> None:
        self._x = x

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CPU

    def __dlpack__(self, **settings: Any) -> Any:
        if self._x.__dlpack_device__() != _CPU:
            settings["dl_device"] = _CPU
        return self._x.__dlpack__(**settings)


def _from_dlpack(x: Any) -> ndarray:
    # NumPy 2.0 takes no device, and its result is read-only.
    try:
        return np.from_dlpack(_OnHost(x)).copy()
    except BufferError:
        # Its DLPack cannot say that memory is read-only, and so does not export such memory.
        return np.array(x)


def _take(
    x: ndarray,
    indices: ndarray,
    /,
    *,
    axis: int | None = None,
) -> ndarray:
    # NumPy 2.0 does not convert unsigned 64-bit indices.
    return np.take(x, indices.astype(np.int64, copy=False), axis=axis)


from_dlpack: Callable[[Any], np.ndarray] = partial(np.from_dlpack, device="cpu")
KERNELS: dict[str, Callable[..., Any]] = {}
try:
    from_dlpack(np.empty(0))
except TypeError:
    from_dlpack = _from_dlpack
    # There, x**2 and np.power(x, 2) differ in the last bit, and a replay must equal the step.
    KERNELS = {"pow": operator.pow, "take": _take}
