"""Activations: an operator each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import operator

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def relu(x: Array) -> Any:
    """Write Relu."""
    return operator("relu", x)


@kernels.register()
def sigmoid(x: Array) -> Any:
    """Write Sigmoid."""
    return operator("sigmoid", x)


@kernels.register()
def softmax(x: Array, axis: int = -1) -> Any:
    """Write Softmax."""
    return operator("softmax", x, axis=axis)


@kernels.register()
def log_softmax(x: Array, axis: int = -1) -> Any:
    """Write LogSoftmax."""
    return operator("log_softmax", x, axis=axis)
