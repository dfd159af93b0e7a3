"""Parts of images, at random places."""

import math
from collections.abc import Sequence
from typing import Any

from anynet import random
from anynet.arguments import describe, whole_number
from anynet.array import Array, array_namespace, number
from anynet.data.augment.affine import indices, sample, with_frame
from anynet.data.augment.call import Augmentation, check_images, pair_of_sizes, uniform
from anynet.errors import ArgumentError, ShapeError
from anynet.tracing.standard import STANDARD

#: The function of the standard, by a kernel if the backend has one.
_take = STANDARD["take"]


def random_crop(size: int | Sequence[int] | None = None, *, padding: int = 0) -> Augmentation:
    """Return augment(key, x), which cuts a part of the same size out of each image.

    Each part is at another place. All places have the same probability.

    Args:
        size: the height and width of the parts, or one number for both. By default that of the
            images.
        padding: the width of a frame of zeros around the images, in pixels, 0 or more.

    Raises:
        ArgumentError: the padding is below 0, or a size below 1.
        ShapeError: a part would be larger than an image with its frame, or the images are not
            (N, channels, height, width) (raised by the augmentation).
        DTypeError: the images are not floating (raised by the augmentation).

    Source: torchvision's RandomCrop.

    >>> from anynet import random
    >>> from anynet.data import random_crop
    >>> images = np.ones((2, 3, 32, 32), "float32")
    >>> random_crop(28)(random.key(0, "numpy"), images).shape
    (2, 3, 28, 28)
    >>> random_crop(padding=4)(random.key(0, "numpy"), images).shape
    (2, 3, 32, 32)

    """
    fixed = None if size is None else pair_of_sizes("size", size)
    padding = whole_number("padding", padding, 0)

    def augment(key: Array, x: Array) -> Array:
        check_images("random_crop", x)
        height, width = x.shape[2:] if fixed is None else fixed
        x = with_frame(x, padding)
        spare = x.shape[2] - height, x.shape[3] - width
        if min(spare) < 0:
            raise ShapeError(
                f"size is {(height, width)} and the images are of {tuple(x.shape[2:])} with their "
                "frame: wanted a size that is no larger, or more padding"
            )
        length = (x.shape[0],)
        tops = random.integers(random.fold_in(key, 0), length, 0, spare[0] + 1)
        lefts = random.integers(random.fold_in(key, 1), length, 0, spare[1] + 1)
        return _parts(x, tops, lefts, (height, width))

    return augment


def random_shift(most: int = 2) -> Augmentation:
    """Return augment(key, x), which shifts each image by whole pixels along both axes.

    Pixels from outside an image are 0. Its values are those of ``random_crop(padding=most)``.
    `random_affine` shifts by parts of a pixel, too.

    Args:
        most: the most pixels along each axis, both ways, 0 or more.

    Raises:
        ArgumentError: an amount below 0.
        ShapeError: the images are not (N, channels, height, width) (raised by the augmentation).
        DTypeError: the images are not floating (raised by the augmentation).

    >>> from anynet import random
    >>> from anynet.data import random_shift
    >>> images = np.asarray([[[[1.0, 2.0, 3.0]]]])
    >>> random_shift(1)(random.key(5, "numpy"), images).shape
    (1, 1, 1, 3)

    """
    return random_crop(padding=whole_number("most", most, 0))


def random_resized_crop(
    size: int | Sequence[int],
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Augmentation:
    """Return augment(key, x), which cuts a random part out of each image and resizes it.

    The share of the area is uniform, and so is the logarithm of width / height. A part that would
    be wider or higher than the image ends at its edges. Pixels are read by bilinear interpolation.

    Args:
        size: the height and width of the result, or one number for both.
        scale: the smallest and the largest share of the area of an image, above 0 and up to 1.
        ratio: the smallest and the largest width / height, above 0.

    Raises:
        ArgumentError: an argument is out of range.
        ShapeError: the images are not (N, channels, height, width) (raised by the augmentation).
        DTypeError: the images are not floating (raised by the augmentation).

    Source: torchvision's RandomResizedCrop, which draws again where a part does not fit.

    >>> from anynet import random
    >>> from anynet.data import random_resized_crop
    >>> images = np.ones((2, 3, 40, 60), "float32")
    >>> random_resized_crop(32)(random.key(0, "numpy"), images).shape
    (2, 3, 32, 32)

    """
    size = pair_of_sizes("size", size)
    shares = _range("scale", scale, 1.0)
    ratios = _range("ratio", ratio, math.inf)
    logarithms = math.log(ratios[0]), math.log(ratios[1])

    def augment(key: Array, x: Array) -> Array:
        check_images("random_resized_crop", x)
        xp = array_namespace(x)
        length = (x.shape[0],)
        keys = random.split(key, 3)
        low, high = shares
        share = uniform(keys[0, ...], length, x, low=low, high=high)
        low, high = logarithms
        root = xp.exp(uniform(keys[1, ...], length, x, low=low, high=high) / 2)
        side = xp.sqrt(share * (x.shape[2] * x.shape[3]))
        place = uniform(keys[2, ...], (2, *length), x)
        rows = _places(side / root, place[0, ...], x.shape[2], size[0])
        columns = _places(side * root, place[1, ...], x.shape[3], size[1])
        return sample(x, *xp.broadcast_arrays(rows[:, :, None], columns[:, None, :]))

    return augment


def _places(
    part: Array,
    place: Array,
    whole: int,
    size: int,
) -> Array:
    """Return where to read along one axis, (N, size).

    Args:
        part: the lengths of the parts in pixels, (N,).
        place: where each begins, from 0 for the first pixel to 1 for the last one possible, (N,).
        whole: the length of the images.
        size: the length of the result.

    """
    xp = array_namespace(part)
    part = xp.minimum(part, xp.full_like(part, whole))
    start = place * (whole - part)
    middles = (indices(size, like=part) + 0.5) / size
    places = start[:, None] + part[:, None] * middles - 0.5
    # Half a pixel at each edge has no neighbor. It is that of the edge.
    places = xp.maximum(places, xp.zeros_like(places))
    return xp.minimum(places, xp.full_like(places, whole - 1))


def _range(
    name: str,
    value: Any,
    most: float,
) -> tuple[float, float]:
    """Return the ends of a range above 0.

    Raises:
        ArgumentError: it is no range, or leads below 0 or above the most.

    """
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    ends = [number(name, end) for end in value] if is_pair else [0, 0]
    if not 0 < ends[0] <= ends[1] <= most or math.isinf(ends[1]):
        raise ArgumentError(
            f"{name} is {describe(value)}: wanted the ends of a range, above 0 and up to {most}, "
            "the smaller one first"
        )
    return float(ends[0]), float(ends[1])


def _parts(
    x: Array,
    tops: Array,
    lefts: Array,
    size: tuple[int, int],
) -> Array:
    """Return the parts (N, channels, height, width) of images that begin at these pixels."""
    xp = array_namespace(x)
    images, channels, height, width = x.shape
    planes = height * width * indices(images * channels, like=tops)
    rows = width * (tops[:, None] + indices(size[0], like=tops))
    columns = lefts[:, None] + indices(size[1], like=tops)
    pixels = (
        xp.reshape(planes, (images, channels, 1, 1))
        + rows[:, None, :, None]
        + columns[:, None, None, :]
    )
    parts = _take(xp.reshape(x, (-1,)), xp.reshape(pixels, (-1,)), axis=0)
    return xp.reshape(parts, pixels.shape)
