"""Kernels for ndonnx: operations that ONNX has under a name of its own come out as that one
operator.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anynet.array import as_indices


def _operator(name: str, *arrays: Any, **settings: Any) -> Any:
    import ndonnx
    import spox.opset.ai.onnx.v21 as operators

    return ndonnx.asarray(getattr(operators, name)(*(x.unwrap_spox() for x in arrays), **settings))


def _of_one_dtype(*arrays: Any) -> list[Any]:
    """Return arrays in the dtype that they have together, since an operator of ONNX takes one."""
    import ndonnx

    dtype = ndonnx.result_type(*[x for x in arrays if x is not None])
    return [x if x is None or x.dtype == dtype else ndonnx.astype(x, dtype) for x in arrays]


def _is_single(x: Any) -> bool:
    """Tell whether an array is of a dtype for which programs that run ONNX files have all
    operators.
    """
    import ndonnx

    return x.dtype in (ndonnx.float32, ndonnx.float16)


def _in_single(name: str, x: Any, **settings: Any) -> Any:
    """Take the operator for float32 only: ONNX has it for float64 too, programs that run ONNX files
    mostly not.
    """
    import ndonnx

    return _operator(name, x, **settings) if x.dtype == ndonnx.float32 else NotImplemented


def affine(x: Any, weight: Any, bias: Any) -> Any:
    """Gemm for matrices, MatMul and Add for more axes: ndonnx's own product asks the file whether
    there is any row.
    """
    if x.dtype != weight.dtype:
        return NotImplemented
    if x.ndim != 2 or (bias is not None and bias.dtype != x.dtype):
        y = _operator("matmul", x, weight)
        return y if bias is None else y + bias
    return _operator("gemm", x, weight) if bias is None else _operator("gemm", x, weight, bias)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Elu."""
    return _in_single("elu", x, alpha=alpha)


def erf(x: Any) -> Any:
    """Erf."""
    return _in_single("erf", x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Gelu."""
    return _in_single("gelu", x, approximate="tanh" if approximate else "none")


def hard_sigmoid(x: Any) -> Any:
    """HardSigmoid, whose own slope is another one."""
    return _in_single("hard_sigmoid", x, alpha=1 / 6, beta=0.5)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """LeakyRelu."""
    return _in_single("leaky_relu", x, alpha=negative_slope)


def mish(x: Any) -> Any:
    """Mish."""
    return _in_single("mish", x)


def relu(x: Any) -> Any:
    """Relu."""
    return _operator("relu", x)


def selu(x: Any) -> Any:
    """Selu."""
    return _in_single("selu", x)


def sigmoid(x: Any) -> Any:
    """Sigmoid."""
    return _operator("sigmoid", x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Softmax."""
    return _operator("softmax", x, axis=axis)


def softplus(x: Any) -> Any:
    """Softplus."""
    return _in_single("softplus", x)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """LogSoftmax."""
    return _operator("log_softmax", x, axis=axis)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Conv."""
    if x.shape[1] != weight.shape[1] * groups:
        raise ValueError("the channels do not fit")
    _check_windows(x, weight.shape[2:], padding, dilation)
    x, weight, bias = _of_one_dtype(x, weight, bias)
    if not _is_single(x):
        return _conv2d_by_product(_padded(x, padding), weight, bias, stride, dilation, groups)
    arrays = (x, weight) if bias is None else (x, weight, bias)
    return _operator(
        "conv",
        *arrays,
        strides=stride,
        pads=_pads(padding),
        dilations=dilation,
        group=groups,
    )


def conv2d_input_gradient(
    g: Any,
    weight: Any,
    size: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """ConvTranspose, whose output padding is what the size lacks."""
    reach = [
        (g.shape[2 + i] - 1) * stride[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1
        for i in (0, 1)
    ]
    before, after = zip(*padding, strict=True)
    g, weight = _of_one_dtype(g, weight)
    if not _is_single(g):
        return _conv2d_transposed_by_product(g, weight, size, stride, padding, dilation, groups)
    extra = [size[i] - (reach[i] - before[i] - max(0, after[i])) for i in (0, 1)]
    pads = (*before, *(max(0, n) for n in after))
    settings = {
        "strides": stride,
        "dilations": dilation,
        "group": groups,
        "output_padding": extra,
    }
    return _operator("conv_transpose", g, weight, pads=pads, **settings)


def _conv2d_by_product(
    x: Any, weight: Any, bias: Any, stride: Any, dilation: Any, groups: int
) -> Any:
    """Convolve padded images of float64 as the reference does: programs that run ONNX files have
    Conv for less.
    """
    import ndonnx

    out_channels, channels, height, width = weight.shape
    down, across = (
        slice(
            None,
            (x.shape[2 + i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i] * stride[i]
            + 1,
            stride[i],
        )
        for i in (0, 1)
    )
    seen = ndonnx.stack(
        [
            x[:, :, dilation[0] * i :, dilation[1] * j :][:, :, down, across]
            for i in range(height)
            for j in range(width)
        ],
        axis=2,
    )
    shape = seen.shape[3:]
    columns = _reshaped(seen, (groups, channels * height * width, shape[0] * shape[1]))
    rows = ndonnx.reshape(weight, (groups, out_channels // groups, -1))
    y = _reshaped(_operator("matmul", rows, columns), (out_channels, *shape))
    return y if bias is None else y + ndonnx.reshape(bias, (-1, 1, 1))


def _conv2d_transposed_by_product(
    g: Any,
    weight: Any,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Convolve g, with zeros between its elements, with the weights turned round."""
    import ndonnx

    out_channels, channels, *kernel = weight.shape
    swapped = ndonnx.reshape(weight, (groups, out_channels // groups, channels, *kernel))
    swapped = ndonnx.reshape(
        ndonnx.permute_dims(swapped, (0, 2, 1, 3, 4)),
        (groups * channels, out_channels // groups, *kernel),
    )
    height, width = g.shape[2:]
    spread = _reshaped(g, (out_channels, height, 1, width, 1))
    spread = _padded(spread, ((0, 0), (0, stride[0] - 1), (0, 0), (0, stride[1] - 1)))
    spread = _reshaped(spread, (out_channels, height * stride[0], width * stride[1]))
    reach = [dilation[i] * (kernel[i] - 1) for i in (0, 1)]
    around = [
        (
            reach[i] - padding[i][0],
            size[i] + padding[i][0] - spread.shape[2 + i],
        )
        for i in (0, 1)
    ]
    return _conv2d_by_product(
        _padded(spread, around),
        ndonnx.flip(swapped, axis=(2, 3)),
        None,
        (1, 1),
        dilation,
        groups,
    )


def _padded(x: Any, padding: Any) -> Any:
    """Add zeros around the last axes; a negative padding takes elements off."""
    import ndonnx

    before, after = zip(*((0, 0),) * (x.ndim - len(padding)), *padding, strict=True)
    return _operator("pad", x, ndonnx.asarray([*before, *after], dtype=ndonnx.int64))


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    """Change all axes but the first, whose length the file leaves open: 0 stands for it."""
    import ndonnx

    return _operator("reshape", x, ndonnx.asarray([0, *shape], dtype=ndonnx.int64))


def max_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """MaxPool."""
    _check_windows(x, kernel, padding)
    import ndonnx
    import spox.opset.ai.onnx.v21 as operators

    found = operators.max_pool(
        x.unwrap_spox(),
        kernel_shape=kernel,
        strides=stride,
        pads=_pads(padding),
    )[0]
    return ndonnx.asarray(found)


def avg_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """AveragePool."""
    if not _is_single(x):
        return NotImplemented
    _check_windows(x, kernel, padding)
    settings = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": _pads(padding),
        "count_include_pad": 1,
    }
    return _operator("average_pool", x, **settings)


def scale_shift(x: Any, mean: Any, variance: Any, weight: Any, bias: Any, epsilon: float) -> Any:
    """BatchNormalization, with the one output that it has in inference; spox's function always
    gives it three.
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
    kind = helper.np_dtype_to_tensor_dtype(x.dtype.unwrap_numpy())
    info = {
        name: helper.make_tensor_value_info(name, kind, a.shape)
        for name, a in {**arrays, "y": x}.items()
    }
    node = helper.make_node("BatchNormalization", [*arrays], ["y"], epsilon=epsilon)
    graph = helper.make_graph([node], "scale_shift", [info[name] for name in arrays], [info["y"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    return ndonnx.asarray(spox.inline(model)(*(a.unwrap_spox() for a in arrays.values()))["y"])


def standardize(x: Any, axis: tuple[int, ...], epsilon: float) -> Any:
    """LayerNormalization, for the last axis; the moments are written to the file only where they
    are used.
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


def embedding(weight: Any, indices: Any) -> Any:
    """Gather, for which ONNX wants indices of 32 or 64 bits."""
    return _operator("gather", weight, as_indices("indices", indices), axis=0)


def _check_windows(x: Any, kernel: Any, padding: Any, dilation: Any = (1, 1)) -> None:
    """Refuse windows that the image has no room for: ONNX would find that out when the file is
    run.
    """
    if any(x.shape[2 + i] + sum(padding[i]) <= dilation[i] * (kernel[i] - 1) for i in (0, 1)):
        raise ValueError("the kernel is larger than the image")


def _pads(padding: Any) -> tuple[int, ...]:
    (top, bottom), (left, right) = padding
    return top, left, bottom, right


KERNELS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        affine,
        avg_pool2d,
        conv2d,
        conv2d_input_gradient,
        elu,
        embedding,
        erf,
        gelu,
        hard_sigmoid,
        leaky_relu,
        log_softmax,
        max_pool2d,
        mish,
        relu,
        scale_shift,
        selu,
        sigmoid,
        softmax,
        softplus,
        standardize,
    )
}
