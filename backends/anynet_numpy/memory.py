"""Memory that is reused, because the machine hands out new memory page by page.

Taking new memory for an array costs more than computing the array.
"""

import math
import sys
import threading
from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np
from numpy import ndarray

Shape = tuple[int, ...]
#: Some bytes, and the offset at which a cache line begins.
Memory = tuple[ndarray, int]

#: Elements of a block. One step of a kernel leaves them in the cache for the next step.
BLOCK = 65536

#: Bytes of the smallest array that takes reused memory, and of all memory that is kept.
LEAST, _MOST = 1 << 16, 1 << 27

_local = threading.local()


#: Bytes of a cache line. If arrays begin in the middle of one, two cores that share them take a
#: third more time.
_LINE = 64


class _Kept:
    """The memory that a thread has made for arrays, in use or free."""

    def __init__(self) -> None:
        self.memory: dict[tuple[Shape, int], list[Memory]] = {}
        self.bytes = 0
        self.scratch: dict[str, np.ndarray] = {}

    def find(self, shape: Shape, dtype: np.dtype) -> ndarray:
        """Return an array whose memory no other array uses."""
        key = shape, dtype.num
        kept = self.memory.get(key)
        if kept is None:
            kept = self.memory[key] = []
        for i in range(len(kept)):
            # Every array in this memory, and every view of one, holds a reference to it.
            if getrefcount(kept[i][0]) == _UNUSED:
                return np.ndarray(shape, dtype, *kept[i])
        new = _lines(math.prod(shape) * dtype.itemsize)
        if self.bytes + new[0].nbytes > _MOST:
            # Memory in use lives on without being kept.
            self.memory.clear()
            self.bytes = 0
        else:
            kept.append(new)
            self.bytes += new[0].nbytes
        return np.ndarray(shape, dtype, *new)


def _lines(size: int) -> Memory:
    """Return memory, and an offset at which a cache line and this many bytes begin."""
    memory = np.empty(size + _LINE, "uint8")
    return memory, -memory.ctypes.data % _LINE


def aligned(shape: Shape, dtype: np.dtype) -> ndarray:
    """Return an uninitialized array in new memory."""
    return np.ndarray(shape, dtype, *_lines(math.prod(shape) * dtype.itemsize))


def _references(kept: list[Any]) -> int:
    """Count references as `_Kept.find` does."""
    return getrefcount(kept[0][0])


_UNUSED = _references([(object(), 0)])
# Without a global lock, another thread may be about to use memory that has no references.
_COUNTABLE = (
    getattr(sys, "_is_gil_enabled", lambda: True)() and sys.implementation.name == "cpython"
)


def _kept() -> _Kept:
    try:
        return _local.kept  # type: ignore[no-any-return]
    except AttributeError:
        _local.kept = _Kept()
        return _local.kept  # type: ignore[no-any-return]


def fresh(shape: Shape, dtype: np.dtype) -> ndarray:
    """Return an uninitialized array whose memory no other array shares."""
    if math.prod(shape) * dtype.itemsize < LEAST or not _COUNTABLE:
        return np.empty(shape, dtype)
    return _kept().find(shape, dtype)


def scratch(
    purpose: str,
    shape: Shape,
    dtype: np.dtype,
) -> ndarray:
    """Return an uninitialized array of this thread, in the same memory for the same purpose.

    A kernel uses it while it runs and never returns it.
    """
    kept = _kept().scratch
    key = purpose + dtype.char
    size = math.prod(shape)
    memory = kept.get(key)
    if memory is None or memory.size < size:
        memory = kept[key] = aligned((size,), dtype)
    return memory[:size].reshape(shape)


def blocks(*arrays: Any, size: int = BLOCK) -> Sequence[Sequence[Any]]:
    """Return arrays of one shape in parts that fit in a cache together.

    The parts are views of contiguous arrays. Other arrays come as one part.
    """
    elements = arrays[0].size
    if elements <= size or not all(x.flags.c_contiguous for x in arrays):
        return (arrays,)
    flat = [x.reshape(-1) for x in arrays]
    return [[x[start : start + size] for x in flat] for start in range(0, elements, size)]
