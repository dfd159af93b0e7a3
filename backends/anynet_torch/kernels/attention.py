"""Softmax over the allowed scores."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet_torch import devices

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def masked_softmax(scores: Tensor, allowed: Tensor) -> Any:
    """Refuse rows in which nothing is allowed, on a CPU."""
    if devices.device_type(scores) == "cpu" and not bool(allowed.any(-1).all()):
        raise ValueError("a row of the mask is empty")
    return torch.softmax(scores.masked_fill(~allowed, -torch.inf), -1)
