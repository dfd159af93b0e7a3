"""The data that `fit` and `evaluate` read, as loaders and batches."""

from typing import Any, TypeAlias, TypeGuard

from anynet import random, tree
from anynet.array import Array, is_array, number
from anynet.backend import get_backend
from anynet.data.batches import Batches, Source
from anynet.data.loader import Loader
from anynet.data.rows import Batch, Rows, check_rows, check_weights, first_array, take_rows
from anynet.errors import ArgumentError, DataError
from anynet.layers import Module

#: Rows (x, t) or (x, t, weights), a loader, an iterable of batches, or a function that returns one.
Data: TypeAlias = Loader | Batch | Source

#: Rows evaluated at a time.
EVALUATION_BATCH = 1000


def batches_of(
    name: str,
    data: Any,
    net: Module,
    epochs: int,
    steps: int | None = None,
) -> Loader | Batches:
    """Return the batches of data: a loader for a loader or a pair of arrays, `Batches` for others.

    A loader of a pair keeps the order of its rows. `Batches` are brought to the network's backend.

    Args:
        name: the name of the argument, for errors.
        data: see `Data`.
        net: its arrays decide the backend.
        epochs: how often the data will be read.
        steps: how many batches of an iterable are read each time, None for all.

    Raises:
        ArgumentTypeError: the data are none of these.
        ArgumentError: the data can be read only once, and epochs is above 1.
        DataError: the data are two pairs.

    """
    if isinstance(data, Loader):
        return data
    if is_rows(data):
        return _in_order(*data)
    arrays = (x for _, x in tree.leaves(net) if is_array(x))
    backend = next(map(get_backend, arrays), None)
    return Batches(name, data, backend, epochs, steps)


def rows_of(batches: Loader | Batches) -> Loader | Batches:
    """Return a loader of the rows of a loader in order, each once, or other batches as they are."""
    return batches.in_order(EVALUATION_BATCH) if isinstance(batches, Loader) else batches


def is_rows(data: Any) -> TypeGuard[Batch]:
    """Return whether the data are rows (x, t) or (x, t, weights), and not batches.

    Raises:
        DataError: the data are two pairs.

    """
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        return False
    if all(isinstance(part, tuple) for part in data):
        if isinstance(data, tuple) and len(data) == 2:
            raise DataError("the data are two pairs (x, t): wanted one, as in fit(net, *dataset)")
        return False
    if len(data) == 2:
        return isinstance(data, tuple) or any(map(is_array, data))
    return is_array(data[2])


def split_rows(data: Batch, share: Any, seed: int) -> tuple[Batch, Batch]:
    """Return the rows to train on and those to validate on, which the seed chooses.

    Args:
        data: (x, t) or (x, t, weights).
        share: of the rows to validate on, above 0 and below 1.
        seed: for the choice.

    Raises:
        ArgumentError: the share is out of range, or one part would have no row.
        DataError: the data are no rows.

    """
    share = number("validation_split", share)
    if not 0 < share < 1:
        raise ArgumentError(
            f"validation_split is {share!r}: wanted a share above 0 and below 1, such as 0.2"
        )
    x, t, *weights = data
    check_rows(x, t, "", *weights)
    rows = int(first_array(x).shape[0])
    count = round(share * rows)
    if not 0 < count < rows:
        raise ArgumentError(
            f"validation_split is {share!r} of {rows} rows: wanted one row or more in each part"
        )
    # The shuffles of the epochs use the smaller numbers.
    key = random.fold_in(random.key(seed, get_backend(first_array(x))), 2**32 - 1)
    order = random.permutation(key, rows)
    validation, training = (
        tuple([take_rows(part, some) for part in data]) for some in (order[:count], order[count:])
    )
    return training, validation


def _in_order(
    x: Rows,
    t: Rows,
    weights: Array | None = None,
) -> Loader:
    # Evaluation uses no weights, but for the errors of wrong ones.
    check_rows(x, t, "", weights)
    if weights is not None:
        check_weights(weights)
    return Loader(x, t, batch_size=EVALUATION_BATCH, shuffle=False)
