"""Memory that kernels use again: what is fresh has to be handed out by the machine, page by page."""

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

#: Elements of a block: what one step of a kernel leaves in the cache, the next one finds there.
BLOCK = 32768

_local = threading.local()


def scratch(purpose: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array with any numbers in it, of a thread's own: the same memory for the same purpose each time.

    It is for what a kernel needs while it runs, never for what it returns.
    """
    kept: dict[Any, Any] = vars(_local)
    key = f"{purpose} {dtype.char}"
    size = math.prod(shape)
    memory = kept.get(key)
    if memory is None or memory.size < size:
        memory = kept[key] = np.empty(size, dtype)
    return memory[:size].reshape(shape)


def blocks(*arrays: Any, size: int = BLOCK) -> Iterator[Any]:
    """Return arrays of one shape in parts that a cache can hold together; the last ones may be written into."""
    first = arrays[0]
    if first.size <= size or not all(x.flags.c_contiguous for x in arrays):
        yield arrays
        return
    flat = [x.reshape(-1) for x in arrays]
    for start in range(0, first.size, size):
        yield [x[start : start + size] for x in flat]
