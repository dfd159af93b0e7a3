"""Tensors of ones, each made once."""

from functools import cache
from typing import Any

import torch


@cache
def ones(count: int, dtype: Any, device: Any) -> Any:
    """Return a vector of ones."""
    return torch.ones(count, dtype=dtype, device=device)
