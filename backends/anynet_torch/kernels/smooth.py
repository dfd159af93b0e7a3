"""Smooth activations: PyTorch's own."""

from torch import Tensor
from torch.nn import functional

from anynet.kernel import Aliasing, Kernels

kernels = Kernels()
kernels["mish"] = functional.mish
kernels.declare(Aliasing.FRESH, functional.mish)


@kernels.register(Aliasing.FRESH)
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """Name the approximation as PyTorch does."""
    return functional.gelu(x, approximate="tanh" if approximate else "none")


@kernels.register(Aliasing.FRESH)
def softplus(x: Tensor) -> Tensor:
    """Return x above PyTorch's threshold, which is exact from 40 on."""
    return functional.softplus(x, threshold=40)
