"""Smooth activations: an operator each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import in_single

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def gelu(x: Array, approximate: bool = False) -> Any:
    """Write Gelu."""
    return in_single("gelu", x, approximate="tanh" if approximate else "none")


@kernels.register()
def mish(x: Array) -> Any:
    """Write Mish."""
    return in_single("mish", x)


@kernels.register()
def softplus(x: Array) -> Any:
    """Write Softplus."""
    return in_single("softplus", x)
