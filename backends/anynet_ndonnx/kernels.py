"""Kernels for ndonnx: operations that ONNX has under a name of its own come out as that one operator."""

from collections.abc import Callable, Mapping
from typing import Any


def _operator(name: str, *arrays: Any, **settings: Any) -> Any:
    import ndonnx
    import spox.opset.ai.onnx.v21 as operators

    return ndonnx.asarray(getattr(operators, name)(*(x.unwrap_spox() for x in arrays), **settings))


def _in_single(name: str, x: Any, **settings: Any) -> Any:
    """Take the operator for float32 only: ONNX has it for float64 too, programs that run ONNX files mostly not."""
    import ndonnx

    return _operator(name, x, **settings) if x.dtype == ndonnx.float32 else NotImplemented


def affine(x: Any, weight: Any, bias: Any) -> Any:
    """Gemm, for matrices."""
    if x.ndim != 2:
        return NotImplemented
    return _operator("gemm", x, weight) if bias is None else _operator("gemm", x, weight, bias)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Elu."""
    return _in_single("elu", x, alpha=alpha)


def erf(x: Any) -> Any:
    """Erf."""
    return _in_single("erf", x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Gelu."""
    return _in_single("gelu", x, approximate="tanh" if approximate else "none")


def hard_sigmoid(x: Any) -> Any:
    """HardSigmoid, whose own slope is another one."""
    return _in_single("hard_sigmoid", x, alpha=1 / 6, beta=0.5)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """LeakyRelu."""
    return _in_single("leaky_relu", x, alpha=negative_slope)


def mish(x: Any) -> Any:
    """Mish."""
    return _in_single("mish", x)


def relu(x: Any) -> Any:
    """Relu."""
    return _operator("relu", x)


def selu(x: Any) -> Any:
    """Selu."""
    return _in_single("selu", x)


def sigmoid(x: Any) -> Any:
    """Sigmoid."""
    return _operator("sigmoid", x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Softmax."""
    return _operator("softmax", x, axis=axis)


def softplus(x: Any) -> Any:
    """Softplus."""
    return _in_single("softplus", x)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """LogSoftmax."""
    return _operator("log_softmax", x, axis=axis)


KERNELS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        affine,
        elu,
        erf,
        gelu,
        hard_sigmoid,
        leaky_relu,
        log_softmax,
        mish,
        relu,
        selu,
        sigmoid,
        softmax,
        softplus,
    )
}
