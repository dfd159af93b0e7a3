"""Rows of a table by index: Gather."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.array import as_indices
from anynet.kernel import Kernels
from anynet_ndonnx.operators import operator

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def embedding(weight: Array, indices: Array) -> Any:
    """Write Gather, with indices of 32 or 64 bits as ONNX requires."""
    return operator("gather", weight, as_indices("indices", indices), axis=0)
