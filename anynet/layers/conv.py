"""Convolutions of images (N, channels, height, width) and of sequences (N, channels, length).

Kernel size, stride, padding and dilation of images are a whole number, or a pair for height and
width. Padding is zeros on both sides. The padding "same" keeps the size, which the stride then
divides, and in a transposed convolution multiplies.
"""

from collections.abc import Sequence
from typing import Any

from anynet import initializers
from anynet.arguments import check_flag, sizes, whole_number
from anynet.array import Array, array_namespace
from anynet.errors import ArgumentError, ShapeError
from anynet.initializers import Initializer
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import conv2d, conv2d_input_gradient
from anynet.primitives.convolution import Padding, Pair, Shape, check_images


class Conv2d(Module):
    """Return bias + the convolution of images with the weight.

    Input is (N, in_channels, h, w), output (N, out_channels, h', w') with h' = (h + 2 padding -
    dilation (kernel - 1) - 1) // stride + 1.

    Args:
        in_channels: of the input, 1 or more.
        out_channels: of the output, 1 or more.
        kernel_size: of the weight, a whole number of 1 or more, or a pair for height and width.
        stride: the step between windows, 1 or more.
        padding: zeros on each side, 0 or more, or "same".
        dilation: the step between the elements of a window, 1 or more.
        groups: a number that divides the channels. Each group of inputs has its own outputs.
        bias: whether there is a bias.
        initializer: of the weight. The bias begins with zeros.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel height, kernel width).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: a setting out of range.
        ShapeError: when called, an input of another shape.

    >>> layer = layers.Conv2d(1, 8, 3, padding=1).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((100, 1, 28, 28), dtype="float32")).shape
    (100, 8, 28, 28)

    Source: Deep Learning from Scratch, chapter 7.

    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: Initializer = initializers.he,
    ) -> None:
        in_channels, out_channels = sizes(in_channels=in_channels, out_channels=out_channels)
        check_flag("bias", bias)
        kernel = pair("kernel_size", kernel_size)
        shape = _weight_shape(out_channels, in_channels, kernel, groups)
        self.weight = parameter(shape, initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride = pair("stride", stride)
        self.dilation = pair("dilation", dilation)
        self.groups = groups
        self.padding = _padding(padding)

    def forward(self, x: Array) -> Array:
        """Return the convolution of images."""
        check_images(x)
        settings = _settings(self, x.shape[2:])
        return conv2d(x, self.weight, self.bias, **settings)


class Conv1d(Module):
    """Return bias + the convolution of sequences with the weight.

    Input is (N, in_channels, length), output (N, out_channels, length').

    Args:
        in_channels: of the input, 1 or more.
        out_channels: of the output, 1 or more.
        kernel_size: of the weight, a whole number of 1 or more.
        stride: the step between windows, 1 or more.
        padding: zeros on each side, 0 or more, or "same".
        dilation: the step between the elements of a window, 1 or more.
        groups: a number that divides the channels. Each group of inputs has its own outputs.
        bias: whether there is a bias.
        initializer: of the weight. The bias begins with zeros.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel size).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: a setting out of range.
        ShapeError: when called, an input of another shape.

    >>> layer = layers.Conv1d(4, 8, 5).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((100, 4, 32), dtype="float32")).shape
    (100, 8, 28)

    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | str = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: Initializer = initializers.he,
    ) -> None:
        in_channels, out_channels = sizes(in_channels=in_channels, out_channels=out_channels)
        check_flag("bias", bias)
        kernel = pair("kernel_size", kernel_size)[:1]
        shape = _weight_shape(out_channels, in_channels, kernel, groups)
        self.weight = parameter(shape, initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride = pair("stride", (1, stride))
        self.dilation = pair("dilation", (1, dilation))
        self.groups = groups
        self.padding = _padding(padding, height=0)

    def forward(self, x: Array) -> Array:
        """Return the convolution of sequences, as images of one row."""
        if x.ndim != 3:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted sequences, (N, channels, length)"
            )
        xp = array_namespace(x, self.weight)
        row = xp.expand_dims(x, axis=2)
        weight = xp.expand_dims(self.weight, axis=2)
        settings = _settings(self, row.shape[2:], weight.shape[2:])
        return xp.squeeze(conv2d(row, weight, self.bias, **settings), axis=2)


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
        kernel = pair("kernel_size", kernel_size)
        shape = _weight_shape(in_channels, out_channels, kernel, groups)
        self.weight = parameter(shape, initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride = pair("stride", stride)
        self.dilation = pair("dilation", dilation)
        self.groups = groups
        self.padding = _padding(padding)
        self.output_padding = pair("output_padding", output_padding, least=0)

    def forward(self, x: Array) -> Array:
        """Return the images whose convolution has the shape of x."""
        channels = self.weight.shape[0]
        if x.ndim != 4 or x.shape[1] != channels:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted images of {channels} channels, (N, "
                f"{channels}, h, w)"
            )
        kernel = self.weight.shape[2:]
        height, width = (x.shape[2 + i] * self.stride[i] for i in (0, 1))
        settings = _settings(self, (height, width), kernel)
        if not isinstance(self.padding, str):
            # No window reaches the rows and columns that the output padding adds at the end.
            extra = self.output_padding
            padding = [(self.padding[i], self.padding[i] - extra[i]) for i in (0, 1)]
            settings["padding"] = tuple(padding)
            height, width = (
                (x.shape[2 + i] - 1) * self.stride[i]
                + self.dilation[i] * (kernel[i] - 1)
                + 1
                - sum(padding[i])
                for i in (0, 1)
            )
        y = conv2d_input_gradient(x, self.weight, (height, width), **settings)
        if self.bias is None:
            return y
        return y + array_namespace(self.bias).reshape(self.bias, (-1, 1, 1))


_Convolution = Conv1d | Conv2d | ConvTranspose2d


def pair(
    name: str,
    value: int | Pair,
    least: int = 1,
) -> Pair:
    """Return a setting as a pair of whole numbers, for height and width.

    Raises:
        ArgumentError: not whole numbers, or smaller than the least.

    """
    is_pair = isinstance(value, Sequence) and not isinstance(value, str)
    try:
        height, width = value if is_pair else (value, value)  # type: ignore[misc]
        return whole_number(name, height, least), whole_number(name, width, least)
    except ValueError:
        # Also an ArgumentError.
        raise ArgumentError(
            f"{name} is {value!r}: wanted a whole number of {least} or more, or two for height and "
            "width"
        ) from None


def _padding(value: int | Pair | str, height: int | None = None) -> Pair | str:
    """Return the padding as a pair, or "same". A number for a sequence has another height."""
    if value == "same":
        return value
    if isinstance(value, str):
        raise ArgumentError(
            f"padding is {value!r}: wanted a whole number of 0 or more, two, or 'same'"
        )
    if height is not None and isinstance(value, int):
        value = (height, value)
    return pair("padding", value, least=0)


def _weight_shape(
    rows: int,
    columns: int,
    kernel: Shape,
    groups: int,
) -> Shape:
    """Return (rows, columns / groups, *kernel)."""
    groups = whole_number("groups", groups, 0)
    if not groups or rows % groups or columns % groups:
        raise ArgumentError(
            f"{rows} and {columns} channels in {groups} groups: wanted numbers that the groups "
            "divide"
        )
    return (rows, columns // groups, *kernel)


def _settings(
    layer: _Convolution,
    size: Shape,
    kernel: Shape | None = None,
) -> dict[str, Any]:
    """Return the settings of the primitive for images of a size."""
    return {
        "stride": layer.stride,
        "padding": _around(layer, size, kernel or layer.weight.shape[2:]),
        "dilation": layer.dilation,
        "groups": layer.groups,
    }


def _around(
    layer: _Convolution,
    size: Shape,
    kernel: Shape,
) -> Padding:
    """Return the padding before and after the rows, and before and after the columns."""
    if not isinstance(layer.padding, str):
        height, width = layer.padding
        return (height, height), (width, width)
    sides = []
    for n, step, dilation, k in zip(size, layer.stride, layer.dilation, kernel, strict=True):
        # The last of ⌈n / step⌉ windows ends where the padded image does.
        windows = -(-n // step)
        padding = max(0, (windows - 1) * step + dilation * (k - 1) + 1 - n)
        sides.append((padding // 2, padding - padding // 2))
    return sides[0], sides[1]
