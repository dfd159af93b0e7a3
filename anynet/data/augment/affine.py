"""Shifts, rotations and changes of scale, read between pixels."""

import math

from anynet.array import Array, array_namespace
from anynet.data.augment.call import Augmentation, check_images, checked_amount, uniform


def random_affine(
    *,
    shift: float = 2.0,
    degrees: float = 10.0,
    scale: float = 0.1,
) -> Augmentation:
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
    shift = checked_amount("shift", shift, math.inf)
    degrees = checked_amount("degrees", degrees, 360.0)
    scale = checked_amount("scale", scale, 1.0)

    def augment(key: Array, x: Array) -> Array:
        check_images("random_affine", x)
        xp = array_namespace(x)
        drawn = uniform(key, (4, x.shape[0], 1, 1), x, low=-1.0, high=1.0)
        down, right = shift * drawn[0, ...], shift * drawn[1, ...]
        angle = math.radians(degrees) * drawn[2, ...]
        factor = 1 / (1 + scale * drawn[3, ...])
        height, width = x.shape[2:]
        top, left = (height - 1) / 2, (width - 1) / 2
        rows = indices(height, like=drawn) - top
        columns = indices(width, like=drawn) - left
        rows = xp.reshape(rows, (1, -1, 1))
        columns = xp.reshape(columns, (1, 1, -1))
        # The place that each pixel comes from.
        cosine, sine = factor * xp.cos(angle), factor * xp.sin(angle)
        from_rows = cosine * rows - sine * columns - down + top
        from_columns = sine * rows + cosine * columns - right + left
        return sample(x, from_rows, from_columns)

    return augment


def random_rotate(degrees: float = 10.0) -> Augmentation:
    """Return augment(key, x), which rotates each image around its center by a random angle.

    See `random_affine`, which does the same with other changes at once.

    Args:
        degrees: the most degrees, both ways, 0 or more and below 360.

    >>> from anynet import random
    >>> from anynet.data import random_rotate
    >>> images = np.ones((2, 1, 5, 5), "float32")
    >>> random_rotate(30.0)(random.key(0, "numpy"), images).shape
    (2, 1, 5, 5)

    """
    return random_affine(shift=0.0, degrees=degrees, scale=0.0)


def random_scale(scale: float = 0.1) -> Augmentation:
    """Return augment(key, x), which scales each image around its center by a random factor.

    See `random_affine`, which does the same with other changes at once.

    Args:
        scale: the factor is from 1 - scale to 1 + scale. 0 or more and below 1.

    >>> from anynet import random
    >>> from anynet.data import random_scale
    >>> images = np.ones((2, 1, 5, 5), "float32")
    >>> random_scale(0.2)(random.key(0, "numpy"), images).shape
    (2, 1, 5, 5)

    """
    return random_affine(shift=0.0, degrees=0.0, scale=scale)


def indices(length: int, like: Array) -> Array:
    """Return 0, 1, … in the dtype and on the device of an array."""
    return array_namespace(like).arange(length, dtype=like.dtype, device=like.device)


def sample(
    x: Array,
    rows: Array,
    columns: Array,
) -> Array:
    """Return images (N, channels, …) read between pixels, by bilinear interpolation.

    Outside an image all pixels are 0, also for the interpolation at its edges.

    Args:
        x: (N, channels, height, width).
        rows: where to read, (N, …), in pixels.
        columns: the same along the other axis.

    """
    xp = array_namespace(x, rows)
    images, channels, height, width = x.shape
    x = with_frame(x, 1)
    top, down = _between(rows, height)
    left, right = _between(columns, width)
    # The index of the pixel above and to the left of each place, among all pixels of the batch.
    image = xp.arange(images, dtype=xp.int32, device=x.device)
    image = xp.reshape(image, (-1,) + (1,) * (rows.ndim - 1))
    corner = (image * (height + 2) + top) * (width + 2) + left
    pixels = xp.reshape(xp.permute_dims(x, (0, 2, 3, 1)), (-1, channels))

    def at(offset: int, weight: Array) -> Array:
        weight = xp.astype(
            xp.reshape(weight, (-1, 1)),
            x.dtype,
            copy=False,
        )
        return xp.take(pixels, xp.reshape(corner + offset, (-1,)), axis=0) * weight

    mixed = at(0, (1 - down) * (1 - right))
    mixed = mixed + at(1, (1 - down) * right)
    mixed = mixed + at(width + 2, down * (1 - right))
    mixed = mixed + at(width + 3, down * right)
    return xp.moveaxis(
        xp.reshape(mixed, (*rows.shape, channels)),
        -1,
        1,
    )


def with_frame(x: Array, thickness: int) -> Array:
    """Return images in a frame of zeros, of this many pixels at each side."""
    if thickness == 0:
        return x
    xp = array_namespace(x)
    images, channels, height, width = x.shape
    frame = xp.zeros(
        (images, channels, height, thickness),
        dtype=x.dtype,
        device=x.device,
    )
    x = xp.concat([frame, x, frame], axis=3)
    frame = xp.zeros(
        (images, channels, thickness, width + 2 * thickness),
        dtype=x.dtype,
        device=x.device,
    )
    return xp.concat([frame, x, frame], axis=2)


def _between(places: Array, length: int) -> tuple[Array, Array]:
    """Return the index of the pixel before each place, in a frame, and the distance from it.

    The last pixel of the frame has none after it. It is read as the one after the pixel before it.
    """
    xp = array_namespace(places)
    places = xp.maximum(places + 1, xp.zeros_like(places))
    places = xp.minimum(places, xp.full_like(places, length + 1))
    before = xp.minimum(xp.floor(places), xp.full_like(places, length))
    return xp.astype(before, xp.int32), places - before
