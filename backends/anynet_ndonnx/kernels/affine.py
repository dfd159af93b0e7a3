"""Affine maps: Gemm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import operator

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def affine(
    x: Array,
    weight: Array,
    bias: Array | None,
) -> Any:
    """Write Gemm for matrices, MatMul and Add for more axes.

    The product of ndonnx would write a check for rows into the file.
    """
    if x.dtype != weight.dtype:
        return NotImplemented
    if x.ndim != 2 or (bias is not None and bias.dtype != x.dtype):
        y = operator("matmul", x, weight)
        return y if bias is None else y + bias
    return operator("gemm", x, weight) if bias is None else operator("gemm", x, weight, bias)
