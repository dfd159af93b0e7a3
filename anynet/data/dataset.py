"""What a data set is: examples and labels to train on, and others to test on."""

from typing import NamedTuple

from anynet.array import Array


class Dataset(NamedTuple):
    """Two pairs (x, t): images, floating (N, features) or (N, channels, height, width), and class
    indices (N,).
    """

    train: tuple[Array, Array]
    test: tuple[Array, Array]
