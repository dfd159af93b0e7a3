"""Pooling: one element for each window of a sequence, one pixel for each window of an image.

Sequences are (N, channels, length), images (N, channels, height, width).
"""

import math
from typing import Any, ClassVar

from anynet.array import Array, array_namespace, check_floating
from anynet.errors import ArgumentError, ShapeError
from anynet.layers.module import Module
from anynet.layers.windows import in_a_row, numbers
from anynet.primitives import avg_pool2d, max_pool2d_with_residuals
from anynet.primitives.convolution import Pair, check_images


class _Pool(Module):
    """The settings of pooling layers. The stride is the kernel size by default."""

    #: How many axes a window has.
    AXES: ClassVar[int]

    def __init__(
        self,
        kernel_size: Any,
        *,
        stride: Any = None,
        padding: Any = 0,
    ) -> None:
        self.kernel_size = numbers("kernel_size", kernel_size, self.AXES)
        self.stride = self.kernel_size if stride is None else numbers("stride", stride, self.AXES)
        self.padding = numbers("padding", padding, self.AXES, least=0)

    def _settings(self) -> dict[str, Any]:
        padding = tuple((n, n) for n in self.padding)
        return {"kernel": self.kernel_size, "stride": self.stride, "padding": padding}

    def _check_padding(self) -> None:
        """Check the padding of a maximum, which must not fill a window."""
        if any(2 * n > length for n, length in zip(self.padding, self.kernel_size, strict=True)):
            shown = self.padding if self.AXES > 1 else self.padding[0]
            kernel = self.kernel_size if self.AXES > 1 else self.kernel_size[0]
            raise ArgumentError(
                f"padding is {shown} for a kernel of {kernel}: wanted at most half of the kernel, "
                "because a window of padding alone has no largest element"
            )


class _Pool1d(_Pool):
    """Pooling of sequences, as images of one row."""

    AXES = 1

    def __init__(
        self,
        kernel_size: int,
        *,
        stride: int | None = None,
        padding: int = 0,
    ) -> None:
        super().__init__(kernel_size, stride=stride, padding=padding)

    def forward(self, x: Array) -> Array:
        """Return one element for every window."""
        if x.ndim != 3:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted sequences, (N, channels, length)"
            )
        xp = array_namespace(x)
        row = xp.expand_dims(x, axis=2)
        return xp.squeeze(self._pool(row, in_a_row(self._settings())), axis=2)

    def _pool(self, x: Array, settings: dict[str, Any]) -> Array:
        raise NotImplementedError(f"{type(self).__name__} defines no _pool()")


class MaxPool1d(_Pool1d):
    """Return the largest element of every window of sequences.

    Input is (N, channels, length), output (N, channels, length') with length' = (length +
    2 padding - kernel) // stride + 1. Padding is never the largest element.

    Args:
        kernel_size: of a window, 1 or more.
        stride: between windows. The default is the kernel size.
        padding: elements on each side, at most half of the kernel.

    Raises:
        ArgumentError: a setting out of range, such as a padding of more than half of the kernel.
        ShapeError: when called, an input of other than three axes.

    >>> layers.MaxPool1d(2)(np.asarray([[[1.0, 2.0, 4.0, 3.0]]]))
    array([[[2., 4.]]])

    Source: PyTorch's MaxPool1d.

    """

    def __init__(
        self,
        kernel_size: int,
        *,
        stride: int | None = None,
        padding: int = 0,
    ) -> None:
        super().__init__(kernel_size, stride=stride, padding=padding)
        self._check_padding()

    def _pool(self, x: Array, settings: dict[str, Any]) -> Array:
        return max_pool2d_with_residuals(x, **settings)[0]


class AvgPool1d(_Pool1d):
    """Return the mean of every window of sequences, in which padding counts as zeros.

    Input is (N, channels, length), output (N, channels, length') with length' = (length +
    2 padding - kernel) // stride + 1.

    Args:
        kernel_size: of a window, 1 or more.
        stride: between windows. The default is the kernel size.
        padding: zeros on each side.

    Raises:
        ArgumentError: a setting out of range.
        ShapeError: when called, an input of other than three axes.

    >>> layers.AvgPool1d(2)(np.asarray([[[1.0, 2.0, 4.0, 3.0]]]))
    array([[[1.5, 3.5]]])

    Source: PyTorch's AvgPool1d.

    """

    def _pool(self, x: Array, settings: dict[str, Any]) -> Array:
        return avg_pool2d(x, **settings)


class _Pool2d(_Pool):
    """Pooling of images."""

    AXES = 2

    def __init__(
        self,
        kernel_size: int | Pair,
        *,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
    ) -> None:
        super().__init__(kernel_size, stride=stride, padding=padding)


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
        self._check_padding()

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
