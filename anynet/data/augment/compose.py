"""Several augmentations, one after the other."""

from anynet import random
from anynet.array import Array
from anynet.data.augment.call import Augmentation, needs_labels, with_labels


def compose(*augments: Augmentation) -> Augmentation:
    """Return an augmentation that applies several, in order, each with a key of its own.

    It is augment(key, x), or augment(key, x, t) if one of them is.

    Args:
        augments: functions augment(key, x), or augment(key, x, t), which returns both.

    Raises:
        ArgumentTypeError: one of them is no such function.

    >>> from anynet import random
    >>> from anynet.data import compose, mixup, random_flip
    >>> augment = compose(random_flip(), mixup(classes=3))
    >>> images, t = np.ones((2, 1, 5, 5), "float32"), np.asarray([0, 2])
    >>> x, rows = augment(random.key(0, "numpy"), images, t)
    >>> x.shape, rows.shape
    ((2, 1, 5, 5), (2, 3))

    """
    need_labels = [needs_labels(f"augments[{i}]", augment) for i, augment in enumerate(augments)]
    # A tuple, because checkpoints compare it with that of an earlier run.
    stages = tuple([with_labels(augment) for augment in augments])

    def augment(key: Array, x: Array, t: Array) -> tuple[Array, Array]:
        for i, stage in enumerate(stages):
            x, t = stage(random.fold_in(key, i), x, t)
        return x, t

    if any(need_labels):
        return augment
    return lambda key, x: augment(key, x, x)[0]
