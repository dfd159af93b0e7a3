"""Images and windows whose elements 32 bits can count."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from anynet.primitives.convolution import Padding, Pair
from anynet_cupy.elementwise import declared
from anynet_cupy.product import COUNTED

if TYPE_CHECKING:
    from cupy import ndarray


def suits(name: str, *arrays: ndarray) -> bool:
    """Return whether a loop is declared for the dtype of these arrays, and 32 bits can count their
    elements.
    """
    if not declared(name, *arrays) or arrays[0].size == 0:
        return False
    return bool(max(x.size for x in arrays) < COUNTED)


def numbers_of_windows(
    size: Pair,
    out: Pair,
    padding: Padding,
) -> tuple[int, ...]:
    """Return the integer arguments of loops over windows."""
    return (*size, *out, padding[0][0], padding[1][0])


def counted(*lengths: int) -> bool:
    """Return whether 32 bits can count the elements of an array with these lengths."""
    return math.prod(lengths) < COUNTED
