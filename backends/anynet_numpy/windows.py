"""Windows over images, as strided views of padded images, a block of images at a time."""

from collections.abc import Iterator

from numpy import ndarray
from numpy.lib.stride_tricks import as_strided

from anynet.primitives.convolution import NO_PADDING, Padding, Pair, output_size
from anynet_numpy.memory import scratch

#: Bytes of a block.
_BLOCK = 1 << 20


def padded(
    x: ndarray,
    padding: Padding,
    fill: float = 0.0,
) -> ndarray:
    """Return images with rows and columns around them, in scratch memory.

    A negative padding removes rows and columns.
    """
    if not any(map(any, padding)):
        return x
    (top, bottom), (left, right) = padding
    height, width = x.shape[2:]
    rows = slice(max(0, -top), height - max(0, -bottom))
    columns = slice(max(0, -left), width - max(0, -right))
    x = x[:, :, rows, columns]
    top, bottom, left, right = (max(0, n) for n in (top, bottom, left, right))
    if not (top or bottom or left or right):
        return x
    n, channels, height, width = x.shape
    shape = n, channels, height + top + bottom, width + left + right
    out = scratch("padded", shape, x.dtype)
    out.fill(fill)
    out[:, :, top : top + height, left : left + width] = x
    return out


def windows(
    x: ndarray,
    kernel: Pair,
    stride: Pair,
    dilation: Pair = (1, 1),
) -> ndarray:
    """Return a view of all windows, (N, C, kernel height, kernel width, out height, out width)."""
    size = output_size(x.shape[2:], kernel, stride, NO_PADDING, dilation)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    image, channel, row, column = x.strides
    within = row * dilation[0], column * dilation[1]
    between = row * stride[0], column * stride[1]
    return as_strided(
        x,
        (*x.shape[:2], *kernel, *size),
        (image, channel, *within, *between),
    )


def padded_size(x: ndarray, padding: Padding) -> Pair:
    """Return the height and the width of images with their padding."""
    return x.shape[2] + sum(padding[0]), x.shape[3] + sum(padding[1])


def image_blocks(images: int, bytes_of_one: int) -> Iterator[slice]:
    """Yield slices of the images. Each slice has about the size of a block."""
    step = max(1, min(images, _BLOCK // max(1, bytes_of_one)))
    return (slice(start, min(start + step, images)) for start in range(0, images, step))
