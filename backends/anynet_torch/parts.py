"""What kernels come down to: PyTorch's own calls, which take memory for their results.

A compiled step makes these in a kernel's place; ``do(function, *args)`` stands for each.
"""

from collections.abc import Callable
from typing import Any

import torch

from anynet.compiler.recorder import value_of
from anynet.primitives.update import by_parameter
from anynet_torch import devices, images
from anynet_torch.images import (
    Do,
    in_pairs,
    larger,
    largest_in_pairs,
    second,
    spread,
    spread_in_pairs,
)
from anynet_torch.kernels import KERNELS, is_narrow


def affine(do: Do, x: Any, weight: Any, bias: Any) -> Any:
    """Multiply and add in one call, in two on a GPU, or the narrow way round where that is
    quicker.
    """
    if x.dtype is not weight.dtype or is_narrow(x, weight):
        return NotImplemented
    if devices.device_type(value_of(x)) == "cuda":
        return do(torch.add, do(torch.matmul, x, weight), bias)
    return do(torch.addmm, bias, x, weight)


def matmul(do: Do, x1: Any, x2: Any) -> Any:
    """Multiply."""
    return (
        NotImplemented
        if x1.dtype is not x2.dtype or is_narrow(x1, x2)
        else do(torch.matmul, x1, x2)
    )


def relu(do: Do, x: Any) -> Any:
    """Clamp from below."""
    return do(torch.clamp_min, x, 0)


def sgd_update(do: Do, learning_rate: float, *arrays: Any) -> Any:
    """Multiply and subtract in one call for each parameter."""
    return tuple([do(descend, p, g, learning_rate) for p, g in by_parameter(2, arrays)])


def descend(p: Any, g: Any, rate: float, out: Any = None) -> Any:
    """Return p - rate · g."""
    if isinstance(rate, torch.Tensor):
        return torch.addcmul(p, g, rate, value=-1, out=out)
    return torch.sub(p, g, alpha=rate, out=out)


def max_pool2d(do: Do, x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Look for the largest in pairs."""
    return (
        largest_in_pairs(do, x)
        if in_pairs(value_of(x), kernel, stride, padding)
        else NotImplemented
    )


def max_pool2d_gradient(
    do: Do,
    g: Any,
    x: Any,
    largest: Any,
    *,
    kernel: Any,
    stride: Any,
    padding: Any,
) -> Any:
    """Spread in pairs."""
    return (
        spread_in_pairs(do, g, x)
        if in_pairs(value_of(x), kernel, stride, padding)
        else NotImplemented
    )


def _same(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda do, x1, x2: do(function, x1, x2)


_OF_TWO = {
    "add": torch.add,
    "divide": torch.div,
    "multiply": torch.mul,
    "subtract": torch.sub,
}

PARTS: dict[Callable[..., Any], Callable[..., Any]] = {
    (KERNELS | images.KERNELS)[function.__name__]: function
    for function in (
        affine,
        matmul,
        max_pool2d,
        relu,
        sgd_update,
        max_pool2d_gradient,
    )
} | {KERNELS[name]: _same(function) for name, function in _OF_TWO.items()}

_ALWAYS_NEW = """
    affine avg_pool2d batch_norm batch_norm_gradient conv2d conv2d_input_gradient
    conv2d_weight_gradient gelu index_add
    log_softmax masked_softmax matmul max_pool2d max_pool2d_gradient scatter_add sigmoid softmax
    softmax_cross_entropy standardize
    threefry
""".split()

#: See `anynet.backend.Backend`.
IN_PLACE = frozenset([*_OF_TWO.values(), torch.clamp_min, KERNELS["relu_gradient"], descend])
INTO = IN_PLACE | {torch.addmm, torch.matmul, larger, second, spread}
FRESH = INTO | {(KERNELS | images.KERNELS)[name] for name in _ALWAYS_NEW}
