"""Smooth activations: an operator each."""

from typing import Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import in_single

kernels = Kernels()


@kernels.register()
def gelu(x: Any, approximate: bool = False) -> Any:
    """Gelu."""
    return in_single("gelu", x, approximate="tanh" if approximate else "none")


@kernels.register()
def mish(x: Any) -> Any:
    """Mish."""
    return in_single("mish", x)


@kernels.register()
def softplus(x: Any) -> Any:
    """Softplus."""
    return in_single("softplus", x)
