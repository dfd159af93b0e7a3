"""Pooling: MaxPool and AveragePool."""

from typing import Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import is_single, operator
from anynet_ndonnx.windows import check_windows, pads

kernels = Kernels()


@kernels.register()
def max_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """MaxPool."""
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
def avg_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """AveragePool."""
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
