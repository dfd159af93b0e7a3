"""Transposed convolutions of sequences and images.

Sequences are (N, channels, length), images (N, channels, height, width). Kernel size, stride,
padding and dilation of images are a whole number, or a pair for height and width. The padding
"same" gives an output of the size of the input times the stride.
"""

from typing import Any

from anynet import initializers
from anynet.arguments import check_flag, sizes
from anynet.array import Array, array_namespace
from anynet.errors import ShapeError
from anynet.initializers import Initializer
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.layers.windows import (
    Convolution,
    in_a_row,
    numbers,
    padding_of,
    settings_of,
    weight_shape,
)
from anynet.primitives import conv2d_input_gradient
from anynet.primitives.convolution import Pair, Shape


class ConvTranspose1d(Module):
    """Return bias + the transpose of a convolution, for sequences.

    Input is (N, in_channels, length), output (N, out_channels, length') with length' = (length - 1)
    stride - 2 padding + dilation (kernel - 1) + 1 + output_padding.

    Args:
        in_channels: of the input, 1 or more.
        out_channels: of the output, 1 or more.
        kernel_size: of the weight, a whole number of 1 or more.
        stride: the step between windows of the output, 1 or more.
        padding: elements removed on each side of the output, 0 or more, or "same".
        output_padding: elements added at the end, 0 or more.
        dilation: the step between the elements of a window, 1 or more.
        groups: a number that divides the channels. Each group of inputs has its own outputs.
        bias: whether there is a bias.
        initializer: of the weight. The bias begins with zeros.

    Attributes:
        weight: (in_channels, out_channels / groups, kernel size).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: a setting out of range.
        ShapeError: when called, an input of another shape.

    >>> layer = layers.ConvTranspose1d(8, 1, 2, stride=2).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((100, 8, 14), dtype="float32")).shape
    (100, 1, 28)

    Source: PyTorch's ConvTranspose1d.

    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | str = 0,
        output_padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: Initializer = initializers.he,
    ) -> None:
        in_channels, out_channels = sizes(in_channels=in_channels, out_channels=out_channels)
        check_flag("bias", bias)
        kernel = numbers("kernel_size", kernel_size, 1)
        shape = weight_shape(in_channels, out_channels, kernel, groups)
        self.weight = parameter(shape, initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride = numbers("stride", stride, 1)
        self.dilation = numbers("dilation", dilation, 1)
        self.groups = groups
        self.padding = padding_of(padding, 1)
        self.output_padding = numbers("output_padding", output_padding, 1, least=0)

    def forward(self, x: Array) -> Array:
        """Return the sequences whose convolution has the shape of x, as images of one row."""
        channels = self.weight.shape[0]
        if x.ndim != 3 or x.shape[1] != channels:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted sequences of {channels} channels, (N, "
                f"{channels}, length)"
            )
        settings, size = _settings(self, self.output_padding, x.shape[2:])
        xp = array_namespace(x, self.weight)
        row = xp.expand_dims(x, axis=2)
        weight = xp.expand_dims(self.weight, axis=2)
        y = conv2d_input_gradient(row, weight, (1, *size), **in_a_row(settings))
        y = xp.squeeze(y, axis=2)
        return y if self.bias is None else y + xp.reshape(self.bias, (-1, 1))


class ConvTranspose2d(Module):
    """Return bias + the transpose of a convolution, for images.

    Input is (N, in_channels, h, w), output (N, out_channels, h', w') with h' = (h - 1) stride -
    2 padding + dilation (kernel - 1) + 1 + output_padding.

    Args:
        in_channels: of the input, 1 or more.
        out_channels: of the output, 1 or more.
        kernel_size: of the weight, a whole number of 1 or more, or a pair for height and width.
        stride: the step between windows of the output, 1 or more.
        padding: pixels removed on each side of the output, 0 or more, or "same".
        output_padding: rows and columns added at the end, 0 or more.
        dilation: the step between the elements of a window, 1 or more.
        groups: a number that divides the channels. Each group of inputs has its own outputs.
        bias: whether there is a bias.
        initializer: of the weight. The bias begins with zeros.

    Attributes:
        weight: (in_channels, out_channels / groups, kernel height, kernel width).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: a setting out of range.
        ShapeError: when called, an input of another shape.

    >>> layer = layers.ConvTranspose2d(8, 1, 2, stride=2).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((100, 8, 14, 14), dtype="float32")).shape
    (100, 1, 28, 28)

    Source: Zeiler, Krishnan, Taylor and Fergus, Deconvolutional networks, CVPR 2010.

    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        output_padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: Initializer = initializers.he,
    ) -> None:
        in_channels, out_channels = sizes(in_channels=in_channels, out_channels=out_channels)
        check_flag("bias", bias)
        kernel = numbers("kernel_size", kernel_size, 2)
        shape = weight_shape(in_channels, out_channels, kernel, groups)
        self.weight = parameter(shape, initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride = numbers("stride", stride, 2)
        self.dilation = numbers("dilation", dilation, 2)
        self.groups = groups
        self.padding = padding_of(padding, 2)
        self.output_padding = numbers("output_padding", output_padding, 2, least=0)

    def forward(self, x: Array) -> Array:
        """Return the images whose convolution has the shape of x."""
        channels = self.weight.shape[0]
        if x.ndim != 4 or x.shape[1] != channels:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted images of {channels} channels, (N, "
                f"{channels}, h, w)"
            )
        settings, size = _settings(self, self.output_padding, x.shape[2:])
        y = conv2d_input_gradient(x, self.weight, size, **settings)
        if self.bias is None:
            return y
        return y + array_namespace(self.bias).reshape(self.bias, (-1, 1, 1))


def _settings(
    layer: Convolution,
    output_padding: Shape,
    size: Shape,
) -> tuple[dict[str, Any], Shape]:
    """Return the settings of the primitive, and the size of the output for an input of a size."""
    whole = tuple(n * step for n, step in zip(size, layer.stride, strict=True))
    settings = settings_of(layer, whole)
    if isinstance(layer.padding, str):
        return settings, whole
    # No window reaches the elements that the output padding adds at the end.
    extra = zip(layer.padding, output_padding, strict=True)
    settings["padding"] = tuple((n, n - more) for n, more in extra)
    kernel = layer.weight.shape[2:]
    lengths = [
        (size[i] - 1) * layer.stride[i]
        + layer.dilation[i] * (kernel[i] - 1)
        + 1
        - sum(settings["padding"][i])
        for i in range(len(size))
    ]
    return settings, tuple(lengths)
