"""Batch normalization by PyTorch's own functions."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet_torch.kernels.standardize import rounds_statistics

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def batch_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: float,
) -> Any:
    """Compute the variance from the inverse standard deviation that PyTorch returns."""
    if not x.dtype is weight.dtype is bias.dtype or rounds_statistics(x):
        return NotImplemented
    y, mean, inverse = torch.native_batch_norm(
        x,
        weight,
        bias,
        None,
        None,
        True,
        0.0,
        epsilon,
    )
    return y, mean, torch.clamp(inverse**-2 - epsilon, 0)


@kernels.register(Aliasing.FRESH)
def batch_norm_gradient(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
) -> Any:
    """Give PyTorch the inverse standard deviation."""
    if not g.dtype is x.dtype is weight.dtype or rounds_statistics(x):
        return NotImplemented
    statistics = torch.float32 if x.dtype.itemsize < 4 else x.dtype
    if not mean.dtype is variance.dtype is statistics:
        return NotImplemented
    inverse = torch.rsqrt(variance + epsilon)
    settings = None, None, mean, inverse, True, epsilon, (True, True, True)
    return torch.ops.aten.native_batch_norm_backward(g, x, weight, *settings)
