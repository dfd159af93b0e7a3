"""Tensors of ones, each made once."""

from functools import cache

import torch
from torch import Tensor


@cache
def ones(
    count: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Return a vector of ones."""
    return torch.ones(count, dtype=dtype, device=device)
