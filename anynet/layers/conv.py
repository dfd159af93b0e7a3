"""Convolutions of sequences, images and volumes.

Sequences are (N, channels, length), images (N, channels, height, width), volumes (N, channels,
depth, height, width). Kernel size, stride, padding and dilation are a whole number, or one for each
of these axes. Padding is zeros on both sides. The padding "same" keeps the size, which the stride
then divides.
"""

from anynet.array import Array, array_namespace
from anynet.errors import ShapeError
from anynet.layers.windows import Convolution, in_a_row, settings_of, sides, two
from anynet.primitives import conv2d
from anynet.primitives.convolution import Pair, check_images, check_windows


class Conv2d(Convolution):
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

    AXES = 2

    def forward(self, x: Array) -> Array:
        """Return the convolution of images."""
        check_images(x)
        settings = settings_of(self, x.shape[2:])
        return conv2d(x, self.weight, self.bias, **settings)


class Conv1d(Convolution):
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

    AXES = 1

    def forward(self, x: Array) -> Array:
        """Return the convolution of sequences, as images of one row."""
        if x.ndim != 3:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted sequences, (N, channels, length)"
            )
        xp = array_namespace(x, self.weight)
        row = xp.expand_dims(x, axis=2)
        weight = xp.expand_dims(self.weight, axis=2)
        settings = in_a_row(settings_of(self, x.shape[2:]))
        return xp.squeeze(conv2d(row, weight, self.bias, **settings), axis=2)


class Conv3d(Convolution):
    """Return bias + the convolution of volumes with the weight.

    Input is (N, in_channels, d, h, w), output (N, out_channels, d', h', w') with d' = (d +
    2 padding - dilation (kernel - 1) - 1) // stride + 1. It is a convolution of images whose
    channels are those of all slices that a window reaches.

    Args:
        in_channels: of the input, 1 or more.
        out_channels: of the output, 1 or more.
        kernel_size: of the weight, a whole number of 1 or more, or three for depth, height and
            width.
        stride: the step between windows, 1 or more.
        padding: zeros on each side, 0 or more, or "same".
        dilation: the step between the elements of a window, 1 or more.
        groups: a number that divides the channels. Each group of inputs has its own outputs.
        bias: whether there is a bias.
        initializer: of the weight. The bias begins with zeros.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel depth, kernel height, kernel width).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: a setting out of range.
        ShapeError: when called, an input of another shape.

    >>> layer = layers.Conv3d(1, 8, 3, padding=1).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((2, 1, 10, 16, 16), dtype="float32")).shape
    (2, 8, 10, 16, 16)

    Source: Ji, Xu, Yang and Yu, 3D convolutional neural networks for human action recognition, PAMI
    2013; PyTorch's Conv3d.

    """

    AXES = 3

    def forward(self, x: Array) -> Array:
        """Return the convolution of volumes."""
        out_channels, in_channels, *kernel = self.weight.shape
        wanted = in_channels * self.groups
        if x.ndim != 5 or x.shape[1] != wanted:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted volumes of {wanted} channels, (N, "
                f"{wanted}, depth, height, width)"
            )
        padding = sides(self, x.shape[2:])
        check_windows(
            x.shape[2:],
            tuple(kernel),
            padding,
            self.dilation,
        )
        images, depth = self._images(x, padding[0])
        xp = array_namespace(images, self.weight)
        out = conv2d(
            images,
            xp.reshape(self.weight, (out_channels, -1, *kernel[1:])),
            self.bias,
            stride=two(self.stride[1:]),
            padding=two(padding[1:]),
            dilation=two(self.dilation[1:]),
            groups=self.groups,
        )
        volumes = xp.reshape(out, (-1, depth, *out.shape[1:]))
        return xp.permute_dims(volumes, (0, 2, 1, 3, 4))

    def _images(self, x: Array, front: Pair) -> tuple[Array, int]:
        """Return an image for each window along the depth, (N · depth', …, h, w), and depth'.

        Its channels are those of all slices that the window reaches.
        """
        xp = array_namespace(x)
        _, channels, depth, height, width = x.shape
        if max(front):
            # A batch of any length, as in an ONNX file, has no shape for zeros().
            zeros = xp.zeros_like(x[:, :, :1, :, :])
            x = xp.concat([zeros] * front[0] + [x] + [zeros] * front[1], axis=2)
        length, step, dilation = self.weight.shape[2], self.stride[0], self.dilation[0]
        count = (depth + sum(front) - dilation * (length - 1) - 1) // step + 1
        reach = (count - 1) * step + 1
        starts = range(0, length * dilation, dilation)
        slices = [x[:, :, i : i + reach : step, :, :] for i in starts]
        seen = xp.permute_dims(xp.stack(slices, axis=2), (0, 3, 1, 2, 4, 5))
        return xp.reshape(seen, (-1, channels * length, height, width)), count
