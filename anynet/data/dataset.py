"""Data sets: rows and labels for training, and others for testing."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from anynet.array import Array


class _Parts(NamedTuple):
    train: tuple[Array, Array]
    test: tuple[Array, Array]


class Dataset(_Parts):
    """Two pairs (x, t), and the names of the classes.

    Args:
        train: images, floating (N, features) or (N, channels, height, width), and class indices
            (N,).
        test: the same.
        classes: the name of each class, if the classes have names.

    >>> import numpy as np
    >>> from anynet.data import Dataset
    >>> pair = np.ones((2, 3)), np.zeros(2, int)
    >>> dataset = Dataset(pair, pair, classes=["cat", "dog"])
    >>> (x, t), test = dataset
    >>> x.shape, t.shape, dataset.classes
    ((2, 3), (2,), ('cat', 'dog'))

    """

    classes: tuple[str, ...] = ()

    def __new__(
        cls,
        train: tuple[Array, Array],
        test: tuple[Array, Array],
        classes: Iterable[str] = (),
    ) -> Self:
        """Return the data set."""
        self: Any = super().__new__(cls, train, test)
        self.classes = tuple(classes)
        return self  # type: ignore[no-any-return]
