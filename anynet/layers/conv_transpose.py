"""Transposed convolutions of sequences and images.

Sequences are (N, channels, length), images (N, channels, height, width). Kernel size, stride,
padding and dilation of images are a whole number, or a pair for height and width. The padding
"same" gives an output of the size of the input times the stride.
"""

from typing import Any

from anynet import initializers
from anynet.array import Array, array_namespace
from anynet.errors import ShapeError
from anynet.initializers import Initializer
from anynet.layers.windows import (
    Convolution,
    in_a_row,
    numbers,
    settings_of,
)
from anynet.primitives import conv2d_input_gradient
from anynet.primitives.convolution import Shape


class _ConvTranspose(Convolution):
    """The base of transposed convolutions."""

    IS_TRANSPOSED = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Shape,
        *,
        stride: int | Shape = 1,
        padding: int | Shape | str = 0,
        output_padding: int | Shape = 0,
        dilation: int | Shape = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: Initializer = initializers.he,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            initializer=initializer,
        )
        self.output_padding = numbers("output_padding", output_padding, self.AXES, least=0)


class ConvTranspose1d(_ConvTranspose):
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

    AXES = 1

    def forward(self, x: Array) -> Array:
        """Return the sequences whose convolution has the shape of x, as images of one row."""
        channels = self.weight.shape[0]
        if x.ndim != 3 or x.shape[1] != channels:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted sequences of {channels} channels, (N, "
                f"{channels}, length)"
            )
        settings, size = _settings(self, x.shape[2:])
        xp = array_namespace(x, self.weight)
        row = xp.expand_dims(x, axis=2)
        weight = xp.expand_dims(self.weight, axis=2)
        y = conv2d_input_gradient(row, weight, (1, *size), **in_a_row(settings))
        y = xp.squeeze(y, axis=2)
        return y if self.bias is None else y + xp.reshape(self.bias, (-1, 1))


class ConvTranspose2d(_ConvTranspose):
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

    AXES = 2

    def forward(self, x: Array) -> Array:
        """Return the images whose convolution has the shape of x."""
        channels = self.weight.shape[0]
        if x.ndim != 4 or x.shape[1] != channels:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted images of {channels} channels, (N, "
                f"{channels}, h, w)"
            )
        settings, size = _settings(self, x.shape[2:])
        y = conv2d_input_gradient(x, self.weight, size, **settings)
        if self.bias is None:
            return y
        return y + array_namespace(self.bias).reshape(self.bias, (-1, 1, 1))


def _settings(
    layer: _ConvTranspose,
    size: Shape,
) -> tuple[dict[str, Any], Shape]:
    """Return the settings of the primitive, and the size of the output for an input of a size."""
    whole = tuple(n * step for n, step in zip(size, layer.stride, strict=True))
    settings = settings_of(layer, whole)
    if isinstance(layer.padding, str):
        return settings, whole
    # No window reaches the elements that the output padding adds at the end.
    extra = zip(layer.padding, layer.output_padding, strict=True)
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
