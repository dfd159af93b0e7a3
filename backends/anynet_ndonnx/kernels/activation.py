"""Activations: an operator each."""

from typing import Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import operator

kernels = Kernels()


@kernels.register()
def relu(x: Any) -> Any:
    """Relu."""
    return operator("relu", x)


@kernels.register()
def sigmoid(x: Any) -> Any:
    """Sigmoid."""
    return operator("sigmoid", x)


@kernels.register()
def softmax(x: Any, axis: int = -1) -> Any:
    """Softmax."""
    return operator("softmax", x, axis=axis)


@kernels.register()
def log_softmax(x: Any, axis: int = -1) -> Any:
    """LogSoftmax."""
    return operator("log_softmax", x, axis=axis)
