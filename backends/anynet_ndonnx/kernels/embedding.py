"""Rows of a table by index: Gather."""

from typing import Any

from anynet.array import as_indices
from anynet.kernel import Kernels
from anynet_ndonnx.operators import operator

kernels = Kernels()


@kernels.register()
def embedding(weight: Any, indices: Any) -> Any:
    """Gather, for which ONNX wants indices of 32 or 64 bits."""
    return operator("gather", weight, as_indices("indices", indices), axis=0)
