"""Threefry on unsigned words, whose right shifts bring in zeros."""

from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.threefry import PARITY, ROTATIONS
from anynet_numpy.memory import blocks, fresh, scratch

kernels = Kernels()

#: By how many bits each round shifts to the left, and to the right for the bits that fall off.
_ROTATIONS = [[(np.uint32(n), np.uint32(32 - n)) for n in group] for group in ROTATIONS]


@kernels.register(Aliasing.FRESH)
def threefry(
    key: ndarray,
    x0: ndarray,
    x1: ndarray,
) -> Any:
    """Compute in place, in blocks that fit a cache."""
    words = np.uint32
    if not key.dtype == x0.dtype == x1.dtype == np.int32:
        return NotImplemented
    k0, k1 = key.view(words)[0:1], key.view(words)[1:2]
    schedule = k0, k1, k0 ^ k1 ^ words(PARITY)
    out = fresh((2, x0.size), x0.dtype)
    for word0, word1, out0, out1 in blocks(x0, x1, *out):
        a, b = out0.view(words), out1.view(words)
        shifted = scratch("shifted", a.shape, a.dtype)
        np.add(word0.view(words), k0, out=a)
        np.add(word1.view(words), k1, out=b)
        for group in range(5):
            for left, right in _ROTATIONS[group % 2]:
                a += b
                np.left_shift(b, left, out=shifted)
                b >>= right
                b |= shifted
                b ^= a
            a += schedule[(group + 1) % 3]
            b += schedule[(group + 2) % 3] + words(group + 1)
    return out[0], out[1]
