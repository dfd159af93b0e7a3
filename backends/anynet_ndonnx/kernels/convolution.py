"""Convolutions: Conv and ConvTranspose, and products of matrices for float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet.primitives.convolution import Padding, Pair
from anynet_ndonnx.operators import is_single, of_one_dtype, operator
from anynet_ndonnx.windows import check_windows, padded, pads

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Write Conv."""
    if x.shape[1] != weight.shape[1] * groups:
        raise ValueError("the channels do not fit")
    check_windows(x, weight.shape[2:], padding, dilation)
    x, weight, bias = of_one_dtype(x, weight, bias)
    if not is_single(x):
        return _conv2d_by_product(padded(x, padding), weight, bias, stride, dilation, groups)
    arrays = (x, weight) if bias is None else (x, weight, bias)
    return operator(
        "conv",
        *arrays,
        strides=stride,
        pads=pads(padding),
        dilations=dilation,
        group=groups,
    )


@kernels.register()
def conv2d_input_gradient(
    g: Array,
    weight: Array,
    size: Pair,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Write ConvTranspose, with the output padding that completes the size."""
    reach = [
        (g.shape[2 + i] - 1) * stride[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1
        for i in (0, 1)
    ]
    before, after = zip(*padding, strict=True)
    g, weight = of_one_dtype(g, weight)
    if not is_single(g):
        return _conv2d_transposed_by_product(g, weight, size, stride, padding, dilation, groups)
    extra = [size[i] - (reach[i] - before[i] - max(0, after[i])) for i in (0, 1)]
    cut = (*before, *(max(0, n) for n in after))
    settings = {
        "strides": stride,
        "dilations": dilation,
        "group": groups,
        "output_padding": extra,
    }
    return operator("conv_transpose", g, weight, pads=cut, **settings)


def _conv2d_by_product(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    dilation: Pair,
    groups: int,
) -> Any:
    """Convolve padded images of float64 as the reference does, since runtimes lack Conv for it."""
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
    y = _reshaped(operator("matmul", rows, columns), (out_channels, *shape))
    return y if bias is None else y + ndonnx.reshape(bias, (-1, 1, 1))


def _conv2d_transposed_by_product(
    g: Array,
    weight: Array,
    size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    """Convolve g, with zeros between its elements, with the flipped weights."""
    import ndonnx

    out_channels, channels, *kernel = weight.shape
    swapped = ndonnx.reshape(weight, (groups, out_channels // groups, channels, *kernel))
    swapped = ndonnx.reshape(
        ndonnx.permute_dims(swapped, (0, 2, 1, 3, 4)),
        (groups * channels, out_channels // groups, *kernel),
    )
    height, width = g.shape[2:]
    spread = _reshaped(g, (out_channels, height, 1, width, 1))
    spread = padded(spread, ((0, 0), (0, stride[0] - 1), (0, 0), (0, stride[1] - 1)))
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
        padded(spread, around),
        ndonnx.flip(swapped, axis=(2, 3)),
        None,
        (1, 1),
        dilation,
        groups,
    )


def _reshaped(x: Array, shape: tuple[int, ...]) -> Any:
    """Change all axes but the first, whose length is open in the file and is written as 0."""
    import ndonnx

    return operator(
        "reshape",
        x,
        ndonnx.asarray([0, *shape], dtype=ndonnx.int64),
    )
