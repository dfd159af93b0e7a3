"""Kernels for ndonnx: operations that ONNX has under a name of its own come out as that one operator."""

from collections.abc import Callable, Mapping
from typing import Any


def _operator(name: str, *arrays: Any, **settings: Any) -> Any:
    import ndonnx
    import spox.opset.ai.onnx.v21 as operators

    return ndonnx.asarray(getattr(operators, name)(*(x.unwrap_spox() for x in arrays), **settings))


def affine(x: Any, weight: Any, bias: Any) -> Any:
    """Gemm, for matrices."""
    if x.ndim != 2:
        return NotImplemented
    return _operator("gemm", x, weight) if bias is None else _operator("gemm", x, weight, bias)


def relu(x: Any) -> Any:
    """Relu."""
    return _operator("relu", x)


def sigmoid(x: Any) -> Any:
    """Sigmoid."""
    return _operator("sigmoid", x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Softmax."""
    return _operator("softmax", x, axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """LogSoftmax."""
    return _operator("log_softmax", x, axis=axis)


KERNELS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function for function in (affine, log_softmax, relu, sigmoid, softmax)
}
