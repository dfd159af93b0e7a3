"""Images and windows whose elements 32 bits can count."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from anynet.primitives.convolution import Padding, Pair
from anynet_cupy.elementwise import declared
from anynet_cupy.product import COUNTED

if TYPE_CHECKING:
    from cupy import ndarray


def suits(name: str, *arrays: ndarray) -> bool:
    """Tell whether the loop of a name is declared for the dtype of these arrays, and 32 bits count
    their elements.
    """
    return declared(name, *arrays) and arrays[0].size > 0 and max(x.size for x in arrays) < COUNTED


def numbers_of_windows(size: Pair, out: Any, padding: Padding) -> tuple[int, ...]:
    """Return the whole numbers that the loops over windows ask for."""
    return (*size, *out, padding[0][0], padding[1][0])


def counted(*lengths: int) -> bool:
    """Tell whether 32 bits count what is of these lengths."""
    return math.prod(lengths) < COUNTED
