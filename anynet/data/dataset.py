"""Data sets: rows and labels for training, and others for testing."""

from typing import NamedTuple

from anynet.array import Array


class Dataset(NamedTuple):
    """Two pairs (x, t).

    Args:
        train: images, floating (N, features) or (N, channels, height, width), and class indices
            (N,).
        test: the same.

    >>> import numpy as np
    >>> from anynet.data import Dataset
    >>> dataset = Dataset((np.ones((2, 3)), np.zeros(2, int)), (np.ones((1, 3)), np.zeros(1, int)))
    >>> x, t = dataset.train
    >>> x.shape, t.shape
    ((2, 3), (2,))

    """

    train: tuple[Array, Array]
    test: tuple[Array, Array]
