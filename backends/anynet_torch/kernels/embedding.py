"""Rows of a table by index."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Kernels
from anynet_torch import devices
from anynet_torch.dtypes import is_integer

kernels = Kernels()


@kernels.register()
def embedding(weight: Tensor, indices: Tensor) -> Any:
    """Let PyTorch refuse an index outside on a CPU; return NaN on a GPU, which would not survive
    the look-up.
    """
    if not is_integer(indices) or not len(weight):
        return NotImplemented
    if devices.device_type(weight) == "cpu":
        return torch.embedding(weight, indices.long())
    # Before they are compared: a narrow dtype may not have the number of rows.
    places = indices.long()
    inside = (places >= 0) & (places < len(weight))
    rows = weight[torch.where(inside, places, 0)]
    return torch.where(inside.unsqueeze(-1), rows, torch.nan)
