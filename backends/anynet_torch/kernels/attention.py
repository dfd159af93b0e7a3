"""Softmax over the allowed scores."""

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet_torch import devices

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def masked_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Raise on a CPU for rows without an allowed element."""
    if devices.device_type(scores) == "cpu" and not bool(allowed.any(-1).all()):
        raise ValueError("a row of the mask is empty")
    return torch.softmax(scores.masked_fill(~allowed, -torch.inf), -1)
