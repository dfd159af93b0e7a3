"""ReLU: one launch instead of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_cupy.elementwise import declared, elementwise

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()


@kernels.register()
def relu(x: ndarray) -> Any:
    """Use one launch instead of two."""
    return elementwise("relu")(x) if declared("relu", x) else NotImplemented


@kernels.register()
def relu_gradient(g: ndarray, y: ndarray) -> Any:
    """Use one launch instead of three."""
    if not declared("relu_gradient", g, y):
        return NotImplemented
    return elementwise("relu_gradient")(g, y)
