"""Activations, each in one call."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_torch import devices
from anynet_torch.dtypes import WIDE

kernels = Kernels()
kernels["relu"] = torch.relu
kernels["sigmoid"] = torch.sigmoid
kernels.declare(Aliasing.FRESH, torch.relu, torch.sigmoid)
kernels.declare(Aliasing.IN_PLACE, torch.clamp_min)


@kernels.lowering(torch.relu)
def lower_relu(emit: Emit, x: Tensor) -> Any:
    """Clamp from below."""
    return emit(torch.clamp_min, x, 0)


@kernels.register(Aliasing.IN_PLACE)
def relu_gradient(
    g: Tensor,
    y: Tensor,
    out: Tensor | None = None,
) -> Any:
    """Compare and select in one call."""
    if g.dtype is not y.dtype:
        return NotImplemented
    if out is None:
        return torch.ops.aten.threshold_backward(g, y, 0)
    return torch.ops.aten.threshold_backward.grad_input(g, y, 0, grad_input=out)


@kernels.register(Aliasing.FRESH)
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Call PyTorch's function."""
    return torch.softmax(x, axis)


@kernels.register(Aliasing.FRESH)
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Compute 16-bit dtypes in float32 on a CPU, where PyTorch would sum in 16 bits."""
    if x.dtype in WIDE or devices.device_type(x) != "cpu":
        return torch.log_softmax(x, axis)
    return torch.log_softmax(x, axis, dtype=torch.float32).to(x.dtype)
