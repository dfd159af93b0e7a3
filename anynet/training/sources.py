"""The data that `fit` and `evaluate` read, as loaders and batches."""

from typing import Any, TypeAlias, TypeGuard

from anynet import tree
from anynet.array import Array, is_array
from anynet.backend import get_backend
from anynet.data.batches import Batches, Source
from anynet.data.loader import Loader
from anynet.errors import DataError
from anynet.layers import Module

#: A pair (x, t), a loader, an iterable of batches, or a function that returns one.
Data: TypeAlias = Loader | tuple[Array, Array] | Source

#: Rows evaluated at a time.
EVALUATION_BATCH = 1000


def batches_of(
    name: str,
    data: Any,
    net: Module,
    epochs: int,
) -> Loader | Batches:
    """Return the batches of data: a loader for a loader or a pair of arrays, `Batches` for others.

    A loader of a pair keeps the order of its rows. `Batches` are brought to the network's backend.

    Args:
        name: the name of the argument, for errors.
        data: see `Data`.
        net: its arrays decide the backend.
        epochs: how often the data will be read.

    Raises:
        ArgumentTypeError: the data are none of these.
        ArgumentError: the data can be read only once, and epochs is above 1.
        DataError: the data are two pairs.

    """
    if isinstance(data, Loader):
        return data
    if is_pair(data):
        return _in_order(*data)
    arrays = (x for _, x in tree.leaves(net) if is_array(x))
    backend = next(map(get_backend, arrays), None)
    return Batches(name, data, backend, epochs)


def rows_of(batches: Loader | Batches) -> Loader | Batches:
    """Return a loader of the rows of a loader in order, each once, or other batches as they are."""
    return _in_order(batches.x, batches.t) if isinstance(batches, Loader) else batches


def is_pair(data: Any) -> TypeGuard[tuple[Array, Array]]:
    """Return whether the data are a pair (x, t), and not two batches.

    Raises:
        DataError: the data are two pairs.

    """
    if not isinstance(data, tuple | list) or len(data) != 2:
        return False
    if isinstance(data, tuple) and all(isinstance(part, tuple) for part in data):
        raise DataError("the data are two pairs (x, t): wanted one, as in fit(net, *dataset)")
    return isinstance(data, tuple) or is_array(data[0])


def _in_order(x: Array, t: Array) -> Loader:
    return Loader(x, t, batch_size=EVALUATION_BATCH, shuffle=False)
