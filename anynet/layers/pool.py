"""Pooling: fewer pixels from many. Images are (N, channels, height, width)."""

import math
from typing import Any

from anynet.array import Array, array_namespace, check_floating
from anynet.errors import ArgumentError
from anynet.layers.conv import pair
from anynet.layers.module import Module
from anynet.primitives import avg_pool2d, max_pool2d
from anynet.primitives.convolution import Pair, check_images


class _Pool2d(Module):
    """What pooling layers share: the stride is the kernel size unless given."""

    def __init__(
        self,
        kernel_size: int | Pair,
        *,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
    ) -> None:
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("stride", stride)
        self.padding = pair("padding", padding, least=0)

    def _settings(self) -> dict[str, Any]:
        padding = tuple((n, n) for n in self.padding)
        return {
            "kernel": self.kernel_size,
            "stride": self.stride,
            "padding": padding,
        }


class MaxPool2d(_Pool2d):
    """Return the largest element of every window over images (N, channels, h, w): (N, channels, h',
    w').

    The stride is the kernel size unless given; h' = (h + 2 padding - kernel) // stride + 1. Padding
    never counts.

    Raises:
        ArgumentError: the padding is more than half of the kernel, so that a window could hold
            nothing else.

    Source: Deep Learning from Scratch, chapter 7.3.

    """

    def __init__(
        self,
        kernel_size: int | Pair,
        *,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
    ) -> None:
        super().__init__(kernel_size, stride=stride, padding=padding)
        if any(2 * n > length for n, length in zip(self.padding, self.kernel_size, strict=True)):
            raise ArgumentError(
                f"padding is {self.padding} for a kernel of {self.kernel_size}: wanted at most half "
                "of the kernel, because a window of padding alone has no largest element"
            )

    def forward(self, x: Array) -> Array:
        """Take the largest elements."""
        return max_pool2d(x, **self._settings())


class AvgPool2d(_Pool2d):
    """Return the mean of every window over images (N, channels, h, w): (N, channels, h', w').

    Settings and sizes as for `MaxPool2d`; padding counts as zeros.
    """

    def forward(self, x: Array) -> Array:
        """Take the means."""
        return avg_pool2d(x, **self._settings())


class GlobalAvgPool2d(Module):
    """Return the mean of every channel of images (N, channels, h, w): (N, channels)."""

    def forward(self, x: Array) -> Array:
        """Take the means."""
        check_images(x)
        check_floating("GlobalAvgPool2d", x)
        return array_namespace(x).mean(x, axis=(2, 3))


class GlobalMaxPool2d(Module):
    """Return the largest element of every channel of images (N, channels, h, w): (N, channels)."""

    def forward(self, x: Array) -> Array:
        """Take the largest elements."""
        check_images(x)
        check_floating("GlobalMaxPool2d", x)
        return array_namespace(x).max(x, axis=(2, 3))


class Flatten(Module):
    """Return x (N, …) as rows, (N, all others): what a fully connected layer takes."""

    def forward(self, x: Array) -> Array:
        """Reshape."""
        xp = array_namespace(x)
        return xp.reshape(x, (-1, math.prod(x.shape[1:])))
