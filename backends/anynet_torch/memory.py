"""Memory that is reused, because the machine hands out new memory page by page.

Taking new memory for an array costs more than computing the array.
"""

import ctypes
import os
import sys
from functools import cache

# From malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

#: Bytes that may be free before any go back to the machine.
_FREE = 1 << 30

#: Bytes of an array whose memory goes back at once. The C library itself raises its threshold to
#: this value over time. With a larger value, a loop that keeps small results could take new memory
#: without end, because aligned arrays may not fit in the memory of earlier ones.
_LARGE = 1 << 25


@cache
def keep_freed() -> None:
    """Let the process keep freed memory for later arrays, as PyTorch does on a GPU.

    This changes the whole process. It applies to the GNU C library, unless environment variables
    (GLIBC_TUNABLES, MALLOC_TRIM_THRESHOLD_ and the like) configure it.
    """
    if sys.platform != "linux":
        return
    if any(name.startswith(("GLIBC_TUNABLES", "MALLOC_")) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _FREE)
        mallopt(_MMAP_THRESHOLD, _LARGE)
