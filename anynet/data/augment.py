"""Augmentation: small random changes of images, on their device."""

import math
from collections.abc import Callable

from anynet import random
from anynet.array import Array, array_namespace, check_floating
from anynet.errors import ArgumentError, ShapeError

#: Takes a key and a batch of inputs, and returns the batch to train on.
Augmentation = Callable[[Array, Array], Array]


def random_affine(*, shift: float = 2.0, degrees: float = 10.0, scale: float = 0.1) -> Augmentation:
    """Return augment(key, x), which shifts, rotates and scales each image by random amounts.

    It takes floating images (N, channels, height, width) and returns images of the same shape and
    dtype. Pixels from outside an image are 0.

    Args:
        shift: the most pixels along each axis, both ways, 0 or more.
        degrees: the most degrees, both ways, 0 or more and below 360.
        scale: sizes change by a factor from 1 - scale to 1 + scale. 0 or more and below 1.

    Raises:
        ArgumentError: an argument is out of range.
        ShapeError: the images have another number of axes (raised by the augmentation).
        DTypeError: the images are not floating (raised by the augmentation).

    Source: Simard, Steinkraus and Platt, Best practices for convolutional neural networks, ICDAR
    2003.

    >>> import numpy as np
    >>> from anynet import random
    >>> from anynet.data import random_affine
    >>> images = np.ones((2, 1, 5, 5), "float32")
    >>> random_affine(shift=1.0)(random.key(0, "numpy"), images).shape
    (2, 1, 5, 5)

    """
    for name, value, below in (
        ("shift", shift, math.inf),
        ("degrees", degrees, 360.0),
        ("scale", scale, 1.0),
    ):
        if not 0 <= value < below:
            raise ArgumentError(f"{name} is {value}: wanted a number from 0 up to but not {below}")

    def augment(key: Array, x: Array) -> Array:
        if x.ndim != 4:
            raise ShapeError(
                f"images of shape {tuple(x.shape)}: wanted (N, channels, height, width)"
            )
        check_floating("random_affine", x)
        xp = array_namespace(x)
        drawn = random.uniform(key, (4, x.shape[0], 1, 1), low=-1.0, high=1.0)
        down, right = shift * drawn[0, ...], shift * drawn[1, ...]
        angle = math.radians(degrees) * drawn[2, ...]
        factor = 1 / (1 + scale * drawn[3, ...])
        height, width = x.shape[2:]
        rows, columns = (
            xp.reshape(
                xp.arange(n, dtype=drawn.dtype, device=drawn.device) - (n - 1) / 2,
                shape,
            )
            for n, shape in ((height, (1, -1, 1)), (width, (1, 1, -1)))
        )
        # Where each pixel comes from.
        cosine, sine = factor * xp.cos(angle), factor * xp.sin(angle)
        from_rows = cosine * rows - sine * columns - down + (height - 1) / 2
        from_columns = sine * rows + cosine * columns - right + (width - 1) / 2
        return sample(x, from_rows, from_columns)

    return augment


def sample(x: Array, rows: Array, columns: Array) -> Array:
    """Return images (N, channels, …) read between pixels, by bilinear interpolation.

    Outside an image all pixels are 0, also for the interpolation at its edges.

    Args:
        x: (N, channels, height, width).
        rows: where to read, (N, …), in pixels.
        columns: the same along the other axis.

    """
    xp = array_namespace(x, rows)
    images, channels, height, width = x.shape
    # A frame of zeros one pixel wide. All that is read outside is read from it.
    frame = xp.zeros((images, channels, height, 1), dtype=x.dtype, device=x.device)
    x = xp.concat([frame, x, frame], axis=3)
    frame = xp.zeros((images, channels, 1, width + 2), dtype=x.dtype, device=x.device)
    x = xp.concat([frame, x, frame], axis=2)
    rows, columns = (
        xp.minimum(xp.maximum(p + 1, xp.zeros_like(p)), xp.full_like(p, n + 1))
        for p, n in ((rows, height), (columns, width))
    )
    # The last rows and columns of the frame have none after them. They are read as those after the
    # last ones of the image.
    top, left = (
        xp.minimum(xp.floor(p), xp.full_like(p, n)) for p, n in ((rows, height), (columns, width))
    )
    down, right = rows - top, columns - left
    first = xp.reshape(
        xp.arange(images, dtype=xp.int32, device=x.device),
        (-1,) + (1,) * (rows.ndim - 1),
    )
    corner = (first * (height + 2) + xp.astype(top, xp.int32)) * (width + 2) + xp.astype(
        left, xp.int32
    )
    pixels = xp.reshape(xp.permute_dims(x, (0, 2, 3, 1)), (-1, channels))

    def at(offset: int, weight: Array) -> Array:
        weight = xp.astype(xp.reshape(weight, (-1, 1)), x.dtype, copy=False)
        return xp.take(pixels, xp.reshape(corner + offset, (-1,)), axis=0) * weight

    mixed = (
        at(0, (1 - down) * (1 - right))
        + at(1, (1 - down) * right)
        + at(width + 2, down * (1 - right))
        + at(width + 3, down * right)
    )
    return xp.moveaxis(xp.reshape(mixed, (*rows.shape, channels)), -1, 1)
