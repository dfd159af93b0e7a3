"""Threefry: one launch instead of 180."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_cupy.elementwise import declared, elementwise

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


@kernels.register()
def threefry(
    key: ndarray,
    x0: ndarray,
    x1: ndarray,
) -> Any:
    """Use one launch instead of 180."""
    if not declared("threefry", key, x0, x1):
        return NotImplemented
    return elementwise("threefry")(key[0:1], key[1:2], x0, x1)
