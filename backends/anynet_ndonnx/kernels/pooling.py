"""Pooling: MaxPool and AveragePool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet.primitives.convolution import Padding, Pair
from anynet_ndonnx.operators import is_single, operator
from anynet_ndonnx.windows import check_windows, pads

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def max_pool2d(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Write MaxPool."""
    check_windows(x, kernel, padding)
    import ndonnx
    import spox.opset.ai.onnx.v21 as operators

    found = operators.max_pool(
        x.unwrap_spox(),
        kernel_shape=kernel,
        strides=stride,
        pads=pads(padding),
    )[0]
    return ndonnx.asarray(found)


@kernels.register()
def avg_pool2d(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Any:
    """Write AveragePool."""
    if not is_single(x):
        return NotImplemented
    check_windows(x, kernel, padding)
    settings = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": pads(padding),
        "count_include_pad": 1,
    }
    return operator("average_pool", x, **settings)
