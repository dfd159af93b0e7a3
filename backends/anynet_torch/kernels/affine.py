"""Affine maps: a matrix product and a sum in one call."""

from typing import Any

import torch
from torch import Tensor

from anynet.compiler.recorder import value_of
from anynet.kernel import Aliasing, Emit, Kernels
from anynet_torch import devices
from anynet_torch.kernels.standard import is_narrow, matmul

kernels = Kernels()
kernels.declare(Aliasing.OUT, torch.addmm)


@kernels.register(Aliasing.FRESH)
def affine(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
) -> Any:
    """Multiply and add in one call."""
    if x.dtype is not weight.dtype:
        return matmul(x, weight) if bias is None else matmul(x, weight) + bias
    if x.ndim != 2 or bias is None or bias.dtype is not x.dtype:
        return NotImplemented
    if is_narrow(x, weight):
        return torch.addmm(bias.unsqueeze(1), weight.mT, x.mT).mT
    return torch.addmm(bias, x, weight)


@kernels.lowering(affine)
def lower_affine(
    emit: Emit,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
) -> Any:
    """Multiply and add in one call on a CPU, in two on a GPU."""
    if x.dtype is not weight.dtype or is_narrow(x, weight):
        return NotImplemented
    if devices.device_type(value_of(x)) == "cuda":
        return emit(torch.add, emit(torch.matmul, x, weight), bias)
    return emit(torch.addmm, bias, x, weight)
