"""Pooling: one pixel for each window of an image. Images are (N, channels, height, width)."""

import math
from typing import Any

from anynet.array import Array, array_namespace, check_floating
from anynet.errors import ArgumentError
from anynet.layers.conv import pair
from anynet.layers.module import Module
from anynet.primitives import avg_pool2d, max_pool2d_with_residuals
from anynet.primitives.convolution import Pair, check_images


class _Pool2d(Module):
    """The settings of pooling layers. The stride is the kernel size by default."""

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
        return {"kernel": self.kernel_size, "stride": self.stride, "padding": padding}


class MaxPool2d(_Pool2d):
    """Return the largest element of every window.

    Input is images (N, channels, h, w), output (N, channels, h', w') with h' = (h + 2 padding -
    kernel) // stride + 1. Padding is never the largest element.

    Args:
        kernel_size: of a window, a whole number, or a pair for height and width.
        stride: between windows. The default is the kernel size.
        padding: pixels on each side, at most half of the kernel.

    Raises:
        ArgumentError: a setting out of range, such as a padding of more than half of the kernel.

    >>> x = np.asarray([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> layers.MaxPool2d(2)(x)
    array([[[[4.]]]])

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
        halves = [length / 2 for length in self.kernel_size]
        if self.padding[0] > halves[0] or self.padding[1] > halves[1]:
            raise ArgumentError(
                f"padding is {self.padding} for a kernel of {self.kernel_size}: wanted at most "
                "half of the kernel, because a window of padding alone has no largest element"
            )

    def forward(self, x: Array) -> Array:
        """Return the largest element of every window."""
        # The gradient of some libraries needs the other results.
        return max_pool2d_with_residuals(x, **self._settings())[0]


class AvgPool2d(_Pool2d):
    """Return the mean of every window, in which padding counts as zeros.

    Input is images (N, channels, h, w), output (N, channels, h', w') with h' = (h + 2 padding -
    kernel) // stride + 1.

    Args:
        kernel_size: of a window, a whole number, or a pair for height and width.
        stride: between windows. The default is the kernel size.
        padding: pixels of zeros on each side.

    Raises:
        ArgumentError: a setting out of range.

    >>> x = np.asarray([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> layers.AvgPool2d(2)(x)
    array([[[[2.5]]]])

    """

    def forward(self, x: Array) -> Array:
        """Return the mean of every window."""
        return avg_pool2d(x, **self._settings())


class GlobalAvgPool2d(Module):
    """Return the mean of every channel: images (N, channels, h, w) give (N, channels).

    Raises:
        ShapeError: when called, an input of other than four axes.

    >>> x = np.asarray([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> layers.GlobalAvgPool2d()(x)
    array([[2.5]])

    Source: Lin, Chen and Yan, Network in network, ICLR 2014.

    """

    def forward(self, x: Array) -> Array:
        """Return the mean of every channel."""
        check_images(x)
        check_floating("GlobalAvgPool2d", x)
        return array_namespace(x).mean(x, axis=(2, 3))


class GlobalMaxPool2d(Module):
    """Return the largest element of every channel: images (N, channels, h, w) give (N, channels).

    Raises:
        ShapeError: when called, an input of other than four axes.

    >>> x = np.asarray([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> layers.GlobalMaxPool2d()(x)
    array([[4.]])

    """

    def forward(self, x: Array) -> Array:
        """Return the largest element of every channel."""
        check_images(x)
        check_floating("GlobalMaxPool2d", x)
        return array_namespace(x).max(x, axis=(2, 3))


class Flatten(Module):
    """Return x (N, …) as rows (N, features), the input of a fully connected layer.

    >>> layers.Flatten()(np.zeros((100, 1, 28, 28))).shape
    (100, 784)

    """

    def forward(self, x: Array) -> Array:
        """Return x with all axes after the first as one."""
        features = math.prod(x.shape[1:])
        return array_namespace(x).reshape(x, (-1, features))
