"""Standardization: LayerNormalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def standardize(
    x: Array,
    axis: tuple[int, ...],
    epsilon: float,
) -> Any:
    """Write LayerNormalization for the last axis.

    The moments are written to the file only if they are used.
    """
    import ndonnx
    import numpy as np
    import spox.opset.ai.onnx.v21 as operators

    if axis != (x.ndim - 1,) or x.dtype != ndonnx.float32 or not isinstance(x.shape[-1], int):
        return NotImplemented
    scale = ndonnx.asarray(np.ones(x.shape[-1], np.float32))
    y = operators.layer_normalization(
        x.unwrap_spox(), scale.unwrap_spox(), axis=-1, epsilon=epsilon
    )[0]
    moments = (f(x, axis=axis, keepdims=True) for f in (ndonnx.mean, ndonnx.var))
    return ndonnx.asarray(y), *moments
