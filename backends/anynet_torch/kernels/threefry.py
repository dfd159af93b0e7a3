"""Threefry on signed words, since PyTorch cannot shift unsigned ones."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.threefry import PARITY, ROTATIONS
from anynet_torch import devices
from anynet_torch.elementwise import elementwise

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def threefry(
    key: Tensor,
    x0: Tensor,
    x1: Tensor,
) -> Any:
    """Compute in place on a CPU, and in one loop on a GPU."""
    k0, k1 = key[0:1], key[1:2]
    if devices.device_type(key) == "cuda":
        return elementwise("threefry", k0, k1, x0, x1)
    schedule = k0, k1, k0 ^ k1 ^ PARITY
    x0, x1 = x0 + k0, x1 + k1
    shifted = torch.empty_like(x1)
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 += x1
            torch.bitwise_left_shift(x1, rotation, out=shifted)
            x1 >>= 32 - rotation
            # A shift to the right repeats the sign.
            x1 &= (1 << rotation) - 1
            x1 |= shifted
            x1 ^= x0
        x0 += schedule[(group + 1) % 3]
        x1 += schedule[(group + 2) % 3] + (group + 1)
    return x0, x1
