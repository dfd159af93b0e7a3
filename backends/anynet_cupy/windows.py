"""Images and windows whose elements 32 bits can count."""

import math
from typing import Any

from anynet_cupy.elementwise import declared
from anynet_cupy.product import COUNTED


def suits(name: str, *arrays: Any) -> bool:
    """Tell whether the loop of a name is declared for the dtype of these arrays, and 32 bits count
    their elements.
    """
    return declared(name, *arrays) and arrays[0].size > 0 and max(x.size for x in arrays) < COUNTED


def numbers_of_windows(size: Any, out: Any, padding: Any) -> tuple[int, ...]:
    """Return the whole numbers that the loops over windows ask for."""
    return (*size, *out, padding[0][0], padding[1][0])


def counted(*lengths: int) -> bool:
    """Tell whether 32 bits count what is of these lengths."""
    return math.prod(lengths) < COUNTED
