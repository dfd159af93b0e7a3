"""Memory that is used again: new memory is handed out by the machine page by page, and costs more
than sums do.
"""

import math
import sys
import threading
from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np

#: Elements of a block: what one step of a kernel leaves in the cache, the next one finds there.
BLOCK = 65536

#: Bytes of an array for which looking for used memory pays, and of all that is kept for that.
LEAST, _MOST = 1 << 16, 1 << 27

_local = threading.local()


#: Bytes of a line of the cache. Arrays that begin in the middle of one cost a third more, once two
#: cores share them.
_LINE = 64


class _Kept:
    """The memory that a thread has made for arrays; some of it is in use, some not any more."""

    def __init__(self) -> None:
        self.memory: dict[Any, list[Any]] = {}
        self.bytes = 0
        self.scratch: dict[str, Any] = {}

    def find(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array whose memory no other array uses."""
        key = shape, dtype.num
        kept = self.memory.get(key)
        if kept is None:
            kept = self.memory[key] = []
        for i in range(len(kept)):
            # An array made of it, a view of that, or whatever else leads there, holds the memory.
            if getrefcount(kept[i][0]) == _UNUSED:
                return np.ndarray(shape, dtype, *kept[i])
        new = _lines(math.prod(shape) * dtype.itemsize)
        if self.bytes + new[0].nbytes > _MOST:
            # Begin anew; what is in use lives on without being kept.
            self.memory.clear()
            self.bytes = 0
        else:
            kept.append(new)
            self.bytes += new[0].nbytes
        return np.ndarray(shape, dtype, *new)


def _lines(size: int) -> tuple[Any, int]:
    """Return memory, and where in it a line begins that has so many bytes behind it."""
    memory = np.empty(size + _LINE, "uint8")
    return memory, -memory.ctypes.data % _LINE


def aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array with any numbers in it, in memory that was not used before."""
    return np.ndarray(shape, dtype, *_lines(math.prod(shape) * dtype.itemsize))


def _references(kept: list[Any]) -> int:
    """Count as `find` does."""
    return getrefcount(kept[0][0])


_UNUSED = _references([(object(), 0)])
# Without a global lock, another thread may be about to use what nobody holds.
_COUNTABLE = (
    getattr(sys, "_is_gil_enabled", lambda: True)() and sys.implementation.name == "cpython"
)


def _kept() -> _Kept:
    try:
        return _local.kept  # type: ignore[no-any-return]
    except AttributeError:
        _local.kept = _Kept()
        return _local.kept  # type: ignore[no-any-return]


def fresh(shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array with any numbers in it, whose memory nothing else can see."""
    if math.prod(shape) * dtype.itemsize < LEAST or not _COUNTABLE:
        return np.empty(shape, dtype)
    return _kept().find(shape, dtype)


def scratch(purpose: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array with any numbers in it, of a thread's own: the same memory for the same
    purpose each time.

    It is for what a kernel needs while it runs, never for what it returns.
    """
    kept = _kept().scratch
    key = purpose + dtype.char
    size = math.prod(shape)
    memory = kept.get(key)
    if memory is None or memory.size < size:
        memory = kept[key] = aligned((size,), dtype)
    return memory[:size].reshape(shape)


def blocks(*arrays: Any, size: int = BLOCK) -> Sequence[Sequence[Any]]:
    """Return arrays of one shape in parts that a cache can hold together; the last ones may be
    written into.
    """
    elements = arrays[0].size
    if elements <= size or not all(x.flags.c_contiguous for x in arrays):
        return (arrays,)
    flat = [x.reshape(-1) for x in arrays]
    return [[x[start : start + size] for x in flat] for start in range(0, elements, size)]
