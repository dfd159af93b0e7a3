"""Rows that are divided at random into training and test data."""

import math

from anynet import random
from anynet.array import Array
from anynet.backend import get_backend
from anynet.data.dataset import Dataset
from anynet.data.rows import take_rows
from anynet.errors import ArgumentError, DataError


def split_dataset(
    x: Array,
    t: Array,
    test_split: float,
    seed: int,
    classes: tuple[str, ...] = (),
) -> Dataset:
    """Return a data set whose test data are a random share of the rows.

    The same seed gives the same rows on every library.

    Args:
        x: the inputs, one row for each example.
        t: the labels, one row for each example.
        test_split: the share of the test data, above 0 and below 1.
        seed: of the choice.
        classes: their names.

    Raises:
        ArgumentError: the share is out of range.
        DataError: there are too few rows for both parts.

    >>> from anynet.data.split import split_dataset
    >>> x, t = np.arange(10.0), np.arange(10)
    >>> train, test = split_dataset(x, t, test_split=0.2, seed=0)
    >>> train[0].shape, test[0].shape
    ((8,), (2,))

    """
    check_share(test_split)
    rows = x.shape[0]
    count = math.ceil(test_split * rows)
    if not 0 < count < rows:
        raise DataError(
            f"test_split is {test_split}, of {rows} rows: there must be one or more rows to train "
            "on, and to test on"
        )
    order = random.permutation(random.key(seed, get_backend(x)), rows)
    parts = (order[count:], order[:count])
    train, test = [(take_rows(x, indices), take_rows(t, indices)) for indices in parts]
    return Dataset(train, test, classes)


def check_share(test_split: float) -> None:
    """Raise ArgumentError unless a share is above 0 and below 1."""
    is_number = isinstance(test_split, int | float) and not isinstance(test_split, bool)
    if not is_number or not 0 < test_split < 1:
        raise ArgumentError(
            f"test_split is {test_split!r}: wanted a share above 0 and below 1, such as 0.2"
        )
