"""Activations of several pieces: an operator each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import in_single

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def elu(x: Array, alpha: float = 1.0) -> Any:
    """Write Elu."""
    return in_single("elu", x, alpha=alpha)


@kernels.register()
def hard_sigmoid(x: Array) -> Any:
    """Write HardSigmoid with PyTorch's slope of 1/6, since its default is 0.2."""
    return in_single("hard_sigmoid", x, alpha=1 / 6, beta=0.5)


@kernels.register()
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Any:
    """Write LeakyRelu."""
    return in_single("leaky_relu", x, alpha=negative_slope)


@kernels.register()
def selu(x: Array) -> Any:
    """Write Selu."""
    return in_single("selu", x)
