"""Memory that is used again: new memory is handed out by the machine page by page, and costs more
than sums do.
"""

import ctypes
import os
import sys
from functools import cache

# From malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

#: Bytes that may be free before any go back to the machine.
_FREE = 1 << 30

#: Bytes of an array whose memory goes back at once: as many as the C library itself comes to in
#: time. Were there more, a loop that keeps small results could take new memory without end, for
#: aligned arrays may not fit where others were.
_LARGE = 1 << 25


@cache
def keep_freed() -> None:
    """Let the process keep memory that is freed, as PyTorch does on a GPU: a step frees what the
    next one asks for.

    It holds for all that the C library hands out, and is done where that is the GNU one and nothing
    in the environment (GLIBC_TUNABLES, MALLOC_TRIM_THRESHOLD_ and the like) says otherwise.
    """
    told = any(name.startswith(("GLIBC_TUNABLES", "MALLOC_")) for name in os.environ)
    mallopt = (
        getattr(ctypes.CDLL(None), "mallopt", None)
        if sys.platform == "linux" and not told
        else None
    )
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _FREE)
        mallopt(_MMAP_THRESHOLD, _LARGE)
