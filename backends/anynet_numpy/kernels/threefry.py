"""Threefry on unsigned words, whose right shifts bring in zeros."""

from typing import Any

import numpy as np

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.threefry import PARITY, ROTATIONS
from anynet_numpy.memory import blocks, fresh, scratch

kernels = Kernels()

#: Bits to the left, and those to the right that come round.
_ROTATIONS = [[(np.uint32(n), np.uint32(32 - n)) for n in turns] for turns in ROTATIONS]


@kernels.register(Aliasing.FRESH)
def threefry(key: np.ndarray, x0: np.ndarray, x1: np.ndarray) -> Any:
    """Work on words without a sign, whose right shifts bring zeros in, in blocks that fit a
    cache.
    """
    words = np.uint32
    if not key.dtype == x0.dtype == x1.dtype == np.int32:
        return NotImplemented
    k0, k1 = key.view(words)[0:1], key.view(words)[1:2]
    schedule = k0, k1, k0 ^ k1 ^ words(PARITY)
    made = fresh((2, x0.size), x0.dtype)
    for given0, given1, out0, out1 in blocks(x0, x1, *made):
        a, b = out0.view(words), out1.view(words)
        turned = scratch("turned", a.shape, a.dtype)
        np.add(given0.view(words), k0, out=a)
        np.add(given1.view(words), k1, out=b)
        for group in range(5):
            for left, right in _ROTATIONS[group % 2]:
                a += b
                np.left_shift(b, left, out=turned)
                b >>= right
                b |= turned
                b ^= a
            a += schedule[(group + 1) % 3]
            b += schedule[(group + 2) % 3] + words(group + 1)
    return made[0], made[1]
