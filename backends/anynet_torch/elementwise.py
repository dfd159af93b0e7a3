"""Loops as PyTorch compiles them for a GPU, when they are first used."""

from functools import cache
from typing import Any

import torch
from anynet_cuda.sources import SOURCES

_SOURCES = SOURCES | {
    # Of the logarithms of a softmax, the labels and the numbers of the classes.
    "cross_entropy": (
        "T logarithm, T label, T number, T classes, T share",
        "T difference, T surprise",
        """
        bool wanted = label == number, none = label < 0 || label >= classes;
        T nan = T(0) / T(0);
        difference = none ? nan : exp(logarithm) - T(wanted);
        surprise = none ? nan : wanted ? -logarithm * share : T(0)
        """,
    ),
}


def elementwise(name: str, *arrays: Any, **numbers: float) -> Any:
    """Call the loop of a name: arrays in its order, and then the numbers by their names."""
    return _compiled(name, tuple(numbers))(*arrays, **numbers)


@cache
def _compiled(name: str, numbers: tuple[str, ...]) -> Any:
    inputs, outputs, operation = _SOURCES[name]
    made = [f"T& {declared.split()[1]}" for declared in outputs.split(", ")]
    declared = ", ".join([f"T {declared.split()[1]}" for declared in inputs.split(", ")] + made)
    code = f"template <typename T> void anynet_{name}({declared}) {{ {operation}; }}"
    return torch.cuda.jiterator._create_multi_output_jit_fn(code, len(made), **dict.fromkeys(numbers, 0.0))
