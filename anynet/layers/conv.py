"""Convolutions. Images are (N, channels, height, width), sequences (N, channels, length).

Kernel size, stride, padding and dilation of images are a number, or one each for height and width.
Padding is zeros on both sides, or "same": as many as keep the size, which the stride then divides
(in a transposed convolution multiplies).
"""

from collections.abc import Callable, Sequence
from typing import Any

from anynet import initializers
from anynet.arguments import check_flag, sizes, whole_number
from anynet.array import Array, array_namespace
from anynet.errors import ArgumentError, ShapeError
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import conv2d, conv2d_input_gradient
from anynet.primitives.convolution import Padding, Pair, Shape, check_images


class Conv2d(Module):
    """Return bias + the convolution of images (N, in_channels, h, w) with the weights: (N,
    out_channels, h', w').

    Weight is (out_channels, in_channels / groups, kernel height, kernel width), drawn by the
    initializer; bias is (out_channels,), zeros at first, or None. h' = (h + 2 padding - dilation
    (kernel - 1) - 1) // stride + 1. Source: Deep Learning from Scratch, chapter 7.
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
        initializer: Callable[..., Array] = initializers.he,
    ) -> None:
        in_channels, out_channels = sizes(in_channels=in_channels, out_channels=out_channels)
        check_flag("bias", bias)
        shape = _weight_shape(
            out_channels,
            in_channels,
            pair("kernel_size", kernel_size),
            groups,
        )
        self.weight = parameter(shape, initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride, self.dilation, self.groups = (
            pair("stride", stride),
            pair("dilation", dilation),
            groups,
        )
        self.padding = _padding(padding)

    def forward(self, x: Array) -> Array:
        """Convolve images."""
        check_images(x)
        return conv2d(x, self.weight, self.bias, **_settings(self, x.shape[2:]))


class Conv1d(Module):
    """Return bias + the convolution of sequences (N, in_channels, length) with the weights: (N,
    out_channels, length').

    Weight is (out_channels, in_channels / groups, kernel size); all else as for `Conv2d`, in one
    dimension.
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
        initializer: Callable[..., Array] = initializers.he,
    ) -> None:
        in_channels, out_channels = sizes(in_channels=in_channels, out_channels=out_channels)
        check_flag("bias", bias)
        shape = _weight_shape(
            out_channels,
            in_channels,
            pair("kernel_size", kernel_size)[:1],
            groups,
        )
        self.weight = parameter(shape, initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride, self.dilation, self.groups = (
            pair("stride", (1, stride)),
            pair("dilation", (1, dilation)),
            groups,
        )
        self.padding = _padding(padding, height=0)

    def forward(self, x: Array) -> Array:
        """Convolve images of one row."""
        if x.ndim != 3:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted sequences, (N, channels, length)"
            )
        xp = array_namespace(x, self.weight)
        row, weight = (
            xp.expand_dims(x, axis=2),
            xp.expand_dims(self.weight, axis=2),
        )
        return xp.squeeze(
            conv2d(
                row,
                weight,
                self.bias,
                **_settings(self, row.shape[2:], weight.shape[2:]),
            ),
            axis=2,
        )


class ConvTranspose2d(Module):
    """Return bias + the transpose of a convolution, of images (N, in_channels, h, w): (N,
    out_channels, h', w').

    Weight is (in_channels, out_channels / groups, kernel height, kernel width), drawn by the
    initializer; bias is (out_channels,), zeros at first, or None. h' = (h - 1) stride - 2 padding +
    dilation (kernel - 1) + 1 + output_padding. Source: Zeiler, Krishnan, Taylor and Fergus,
    Deconvolutional networks, CVPR 2010.
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
        initializer: Callable[..., Array] = initializers.he,
    ) -> None:
        in_channels, out_channels = sizes(in_channels=in_channels, out_channels=out_channels)
        check_flag("bias", bias)
        shape = _weight_shape(
            in_channels,
            out_channels,
            pair("kernel_size", kernel_size),
            groups,
        )
        self.weight = parameter(shape, initializer)
        self.bias = parameter((out_channels,), initializers.zeros) if bias else None
        self.stride, self.dilation, self.groups = (
            pair("stride", stride),
            pair("dilation", dilation),
            groups,
        )
        self.padding = _padding(padding)
        self.output_padding = pair("output_padding", output_padding, least=0)

    def forward(self, x: Array) -> Array:
        """Take the way back of a convolution whose result is x."""
        in_channels = self.weight.shape[0]
        if x.ndim != 4 or x.shape[1] != in_channels:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted images of {in_channels} channels, (N, "
                f"{in_channels}, h, w)"
            )
        kernel = self.weight.shape[2:]
        size = tuple(n * step for n, step in zip(x.shape[2:], self.stride, strict=True))
        settings = _settings(self, size, kernel)
        if not isinstance(self.padding, str):
            reach = [
                (n - 1) * step + d * (k - 1) + 1
                for n, step, d, k in zip(
                    x.shape[2:],
                    self.stride,
                    self.dilation,
                    kernel,
                    strict=True,
                )
            ]
            # Rows and columns at the end that no window of the convolution sees.
            padding = tuple(
                (p, p - extra) for p, extra in zip(self.padding, self.output_padding, strict=True)
            )
            settings["padding"] = padding
            size = tuple(n - sum(p) for n, p in zip(reach, padding, strict=True))
        y = conv2d_input_gradient(x, self.weight, size, **settings)
        return (
            y
            if self.bias is None
            else y + array_namespace(self.bias).reshape(self.bias, (-1, 1, 1))
        )


def pair(name: str, value: int | Pair, least: int = 1) -> Pair:
    """Return a setting as one number each for height and width.

    Raises:
        ArgumentError: not whole numbers, or smaller than they may be.

    """
    try:
        height, width = (
            value if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
        )
        return whole_number(name, height, least), whole_number(name, width, least)
    except ValueError:
        # Also an ArgumentError.
        raise ArgumentError(
            f"{name} is {value!r}: wanted a whole number of {least} or more, or two for height and "
            "width"
        ) from None


def _padding(value: int | Pair | str, height: int | None = None) -> Pair | str:
    """Return the padding, "same" or one number each for height and width; that of sequences has no
    height.
    """
    if value == "same":
        return value
    if isinstance(value, str):
        raise ArgumentError(
            f"padding is {value!r}: wanted a whole number of 0 or more, two, or 'same'"
        )
    return pair(
        "padding",
        value if height is None or not isinstance(value, int) else (height, value),
        least=0,
    )


def _weight_shape(rows: int, columns: int, kernel: tuple[int, ...], groups: int) -> tuple[int, ...]:
    """Return (rows, columns / groups, *kernel)."""
    groups = whole_number("groups", groups, 0)
    if not groups or rows % groups or columns % groups:
        raise ArgumentError(
            f"{rows} and {columns} channels in {groups} groups: wanted numbers that the groups "
            "divide"
        )
    return (rows, columns // groups, *kernel)


def _settings(layer: Any, size: Shape, kernel: Shape | None = None) -> dict[str, Any]:
    """Return the settings of the primitive for images of a size."""
    kernel = kernel or layer.weight.shape[2:]
    return {
        "stride": layer.stride,
        "padding": _around(layer, size, kernel),
        "dilation": layer.dilation,
        "groups": layer.groups,
    }


def _around(layer: Any, size: Shape, kernel: Shape) -> Padding:
    if layer.padding == "same":
        # The last of ⌈size / stride⌉ windows begins so many strides on, and ends where the padded
        # image does.
        needed = [
            max(0, (-(-n // step) - 1) * step + d * (k - 1) + 1 - n)
            for n, step, d, k in zip(size, layer.stride, layer.dilation, kernel, strict=True)
        ]
        return tuple((n // 2, n - n // 2) for n in needed)  # type: ignore[return-value]
    return tuple((n, n) for n in layer.padding)  # type: ignore[return-value]
