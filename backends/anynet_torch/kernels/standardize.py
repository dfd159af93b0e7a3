"""Standardization by PyTorch's own functions."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet_torch import devices

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def standardize(
    x: Tensor,
    axis: tuple[int, ...],
    epsilon: float,
) -> Any:
    """Compute all results in one call over the last axes, and the moments in one over others."""
    if not x.numel() or rounds_statistics(x):
        return NotImplemented
    if axis and axis == tuple(range(x.ndim - len(axis), x.ndim)):
        y, mean, inverse = torch.native_layer_norm(
            x,
            x.shape[-len(axis) :],
            None,
            None,
            epsilon,
        )
        return y, mean, torch.clamp(inverse**-2 - epsilon, 0)
    variance, mean = torch.var_mean(x, axis, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + epsilon), mean, variance


def rounds_statistics(x: Tensor) -> bool:
    """Return whether PyTorch rounds the moments to 16 bits, as it does on a CPU."""
    return bool(x.dtype.itemsize < 4 and devices.device_type(x) == "cpu")
