"""Dtypes of tensors."""

from functools import reduce
from typing import Any

import torch
from torch import Tensor

WIDE = {torch.float32, torch.float64}
FLOATING = WIDE | {torch.float16, torch.bfloat16}


def of_one_dtype(*arrays: Tensor | None) -> list[Any]:
    """Return arrays in the dtype to which the standard promotes them.

    PyTorch's own rule applies to dtypes of 16 bits.
    """
    dtype = reduce(torch.promote_types, (x.dtype for x in arrays if x is not None))
    return [x if x is None else x.to(dtype) for x in arrays]


def is_integer(x: Tensor) -> bool:
    """Return whether a tensor has an integer dtype."""
    return not (x.dtype.is_floating_point or x.dtype.is_complex or x.dtype is torch.bool)
