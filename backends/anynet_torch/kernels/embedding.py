"""Rows of a table by index."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet_torch import devices
from anynet_torch.dtypes import is_integer

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def embedding(weight: Tensor, indices: Tensor) -> Any:
    """Raise for an index out of range on a CPU, and return NaN for it on a GPU.

    Reading at such an index would end the process on a GPU.
    """
    if not is_integer(indices) or not len(weight):
        return NotImplemented
    # Converted before they are compared, because a narrow dtype may not hold the row count.
    rows = indices.long()
    if devices.device_type(weight) == "cpu":
        return torch.embedding(weight, rows)
    inside = (rows >= 0) & (rows < len(weight))
    out = weight[torch.where(inside, rows, 0)]
    return torch.where(inside.unsqueeze(-1), out, torch.nan)
