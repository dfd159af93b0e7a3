"""Batch normalization in inference: BatchNormalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def scale_shift(
    x: Array,
    mean: Array,
    variance: Array,
    weight: Array,
    bias: Array,
    epsilon: float,
) -> Any:
    """Write BatchNormalization with its one output in inference.

    The function of spox would give it three outputs.
    """
    import ndonnx
    import spox
    from onnx import helper

    arrays = {
        "x": x,
        "weight": weight,
        "bias": bias,
        "mean": mean,
        "variance": variance,
    }
    if any(a.dtype != x.dtype for a in arrays.values()):
        return NotImplemented
    dtype = helper.np_dtype_to_tensor_dtype(x.dtype.unwrap_numpy())
    info = {
        name: helper.make_tensor_value_info(name, dtype, a.shape)
        for name, a in {**arrays, "y": x}.items()
    }
    node = helper.make_node("BatchNormalization", [*arrays], ["y"], epsilon=epsilon)
    graph = helper.make_graph(
        [node],
        "scale_shift",
        [info[name] for name in arrays],
        [info["y"]],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    return ndonnx.asarray(spox.inline(model)(*(a.unwrap_spox() for a in arrays.values()))["y"])
