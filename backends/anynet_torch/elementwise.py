"""Loops as PyTorch compiles them for a GPU, when they are first used."""

from functools import cache
from typing import Any

import torch
from anynet_cuda.sources import TORCH_SOURCES, template
from torch import Tensor


def elementwise(name: str, *arrays: Tensor, **numbers: float) -> Any:
    """Call the loop of a name: arrays in its order, and then the numbers by their names."""
    return _compiled(name, tuple(numbers))(*arrays, **numbers)


@cache
def _compiled(name: str, numbers: tuple[str, ...]) -> Any:
    outputs = len(TORCH_SOURCES[name].outputs.split(", "))
    return torch.cuda.jiterator._create_multi_output_jit_fn(
        template(name), outputs, **dict.fromkeys(numbers, 0.0)
    )
