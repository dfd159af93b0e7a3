"""Activations, each in one call."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_torch import devices
from anynet_torch.dtypes import WIDE

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def softmax(x: Tensor, axis: int = -1) -> Any:
    """Compute it in one call."""
    return torch.softmax(x, axis)


@kernels.register(Aliasing.FRESH)
def log_softmax(x: Tensor, axis: int = -1) -> Any:
    """Compute it in one call; on a CPU, PyTorch adds up 16-bit exponentials in 16 bits."""
    if x.dtype in WIDE or devices.device_type(x) != "cpu":
        return torch.log_softmax(x, axis)
    return torch.log_softmax(x, axis, dtype=torch.float32).to(x.dtype)


@kernels.lowering(torch.relu)
def lower_relu(emit: Emit, x: Tensor) -> Any:
    """Clamp from below."""
    return emit(torch.clamp_min, x, 0)


@kernels.register(Aliasing.IN_PLACE)
def relu_gradient(g: Tensor, y: Tensor, out: Tensor | None = None) -> Any:
    """Compare and choose in one call."""
    if g.dtype is not y.dtype:
        return NotImplemented
    if out is None:
        return torch.ops.aten.threshold_backward(g, y, 0)
    return torch.ops.aten.threshold_backward.grad_input(g, y, 0, grad_input=out)


kernels["relu"] = torch.relu
kernels["sigmoid"] = torch.sigmoid
kernels.declare(Aliasing.FRESH, torch.sigmoid)
kernels.declare(Aliasing.IN_PLACE, torch.clamp_min)
