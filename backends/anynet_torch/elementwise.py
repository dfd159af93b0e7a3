"""Loops that PyTorch compiles for a GPU when they are first used."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from anynet_cuda.sources import TORCH_SOURCES, template
from torch import Tensor


def elementwise(
    name: str,
    *arrays: Tensor,
    **scalars: float,
) -> Any:
    """Call a loop with its arrays in order, and its scalars by name."""
    return _compiled(name, tuple(scalars))(*arrays, **scalars)


@cache
def _compiled(name: str, scalars: tuple[str, ...]) -> Callable[..., Any]:
    outputs = len(TORCH_SOURCES[name].outputs.split(", "))
    compile_loop: Any = torch.cuda.jiterator._create_multi_output_jit_fn
    loop: Callable[..., Any] = compile_loop(
        template(name),
        outputs,
        **dict.fromkeys(scalars, 0.0),
    )
    return loop
