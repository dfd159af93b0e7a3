"""Smooth activations, each in one call."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from anynet.kernel import Aliasing, Kernels

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def gelu(x: Tensor, approximate: bool = False) -> Any:
    """Compute it in one call."""
    return torch.nn.functional.gelu(x, approximate="tanh" if approximate else "none")


@kernels.register()
def softplus(x: Tensor) -> Any:
    """Compute it in one call; PyTorch takes x itself above its threshold, and from 40 on that is
    exact.
    """
    return torch.nn.functional.softplus(x, threshold=40)


kernels["mish"] = functional.mish
