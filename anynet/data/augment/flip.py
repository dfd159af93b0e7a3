"""Mirror images."""

from anynet import random
from anynet.array import Array, array_namespace
from anynet.data.augment.call import Augmentation, check_images, checked_probability


def random_flip(horizontal: float = 0.5, *, vertical: float = 0.0) -> Augmentation:
    """Return augment(key, x), which flips each image with these probabilities.

    Args:
        horizontal: the probability of an exchange of left and right, from 0 to 1.
        vertical: the probability of an exchange of top and bottom, from 0 to 1.

    Raises:
        ArgumentError: a probability is out of range.
        ShapeError: the images are not (N, channels, height, width) (raised by the augmentation).
        DTypeError: the images are not floating (raised by the augmentation).

    Source: torchvision's RandomHorizontalFlip and RandomVerticalFlip.

    >>> from anynet import random
    >>> from anynet.data import random_flip
    >>> images = np.asarray([[[[1.0, 2.0, 3.0]]]])
    >>> random_flip(horizontal=1.0)(random.key(0, "numpy"), images)
    array([[[[3., 2., 1.]]]])

    """
    horizontal = checked_probability("horizontal", horizontal)
    vertical = checked_probability("vertical", vertical)

    def augment(key: Array, x: Array) -> Array:
        check_images("random_flip", x)
        x = _flip(random.fold_in(key, 0), x, horizontal, axis=3)
        return _flip(random.fold_in(key, 1), x, vertical, axis=2)

    return augment


def _flip(
    key: Array,
    x: Array,
    share: float,
    axis: int,
) -> Array:
    if share == 0:
        return x
    xp = array_namespace(x)
    chosen = random.bernoulli(key, share, (x.shape[0], 1, 1, 1))
    return xp.where(chosen, xp.flip(x, axis=axis), x)
