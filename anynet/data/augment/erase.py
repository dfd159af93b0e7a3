"""Erased parts of images."""

import math
from collections.abc import Sequence

from anynet import random
from anynet.array import Array, array_namespace, number
from anynet.data.augment.boxes import inside
from anynet.data.augment.call import (
    Augmentation,
    check_images,
    checked_probability,
    pair_of_sizes,
)
from anynet.errors import ArgumentError, ShapeError


def random_erase(
    size: int | Sequence[int],
    *,
    probability: float = 1.0,
    value: float = 0.0,
) -> Augmentation:
    """Return augment(key, x), which erases a box of this size in each image, in all channels.

    Each box is at another place and wholly inside its image. It is also called cutout.

    Args:
        size: the height and width of the box in pixels, or one number for both.
        probability: the probability that an image has a box, from 0 to 1.
        value: the pixels in the box, finite.

    Raises:
        ArgumentError: an argument is out of range.
        ShapeError: the box is larger than the images, or these are not (N, channels, height, width)
            (raised by the augmentation).
        DTypeError: the images are not floating (raised by the augmentation).

    Source: DeVries and Taylor, Improved regularization of convolutional neural networks with
    cutout, 2017, whose boxes may lie across an edge; torchvision's RandomErasing.

    >>> from anynet import random
    >>> from anynet.data import random_erase
    >>> images = np.ones((1, 1, 8, 8), "float32")
    >>> random_erase((2, 3))(random.key(0, "numpy"), images).sum()
    np.float32(58.0)

    """
    box = pair_of_sizes("size", size)
    share = checked_probability("probability", probability)
    value = number("value", value)
    if not math.isfinite(value):
        raise ArgumentError(f"value is {value}: wanted a finite number, such as 0.0")

    def augment(key: Array, x: Array) -> Array:
        check_images("random_erase", x)
        length, _, *shape = x.shape
        if box[0] > shape[0] or box[1] > shape[1]:
            raise ShapeError(
                f"size is {box} and the images are of {tuple(shape)}: wanted a box that is no "
                "larger than they are"
            )
        keys = [random.fold_in(key, i) for i in range(3)]
        tops = random.integers(keys[0], (length,), 0, shape[0] - box[0] + 1)
        lefts = random.integers(keys[1], (length,), 0, shape[1] - box[1] + 1)
        erased = inside(tops, tops + box[0], lefts, lefts + box[1], shape)
        if share < 1:
            chosen = random.bernoulli(keys[2], share, (length,))
            erased = erased & chosen[:, None, None, None]
        xp = array_namespace(x)
        return xp.where(erased, xp.full_like(x, value), x)

    return augment
