"""Affine maps: a matrix product, with the bias added in place."""

from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_numpy.kernels.standard import lower_matmul, matmul

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def affine(
    x: ndarray,
    weight: ndarray,
    bias: ndarray | None,
) -> Any:
    """Add the bias in place."""
    y = matmul(x, weight)
    if bias is None:
        return y
    in_place = bias.dtype == y.dtype and y.ndim
    return np.add(y, bias, out=y if in_place else None)


@kernels.lowering(affine)
def lower_affine(
    emit: Emit,
    x: ndarray,
    weight: ndarray,
    bias: ndarray | None,
) -> Any:
    """Multiply and add."""
    y = lower_matmul(emit, x, weight)
    return y if bias is None else emit(np.add, y, bias)
