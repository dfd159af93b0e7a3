"""A sample of the training data, and the gradients on it, for callbacks that measure a network."""

from typing import Any, TypeVar

from anynet import tree
from anynet.array import array_namespace
from anynet.autodiff import value_and_grad
from anynet.data.rows import Batch, first_array, slice_rows
from anynet.training.callback import RunView

T = TypeVar("T")

#: Rows of the training data in a sample.
ROWS = 100


def sample_of(run: RunView) -> Batch | None:
    """Return the first rows of the training data, or the last batch of an iterable.

    It is None before the first batch of an iterable.
    """
    if run.rows is None:
        return run.batch
    count = min(ROWS, first_array(run.rows).shape[0])
    return slice_rows(run.rows, slice(count))  # type: ignore[no-any-return]


def gradients_on(run: RunView, batch: Batch) -> Any:
    """Return the gradients of the loss on a batch in training mode.

    They are computed on a copy of the network, so the run stays as it is, bit by bit.
    """
    return value_and_grad(run.loss_of_batch)(copied(run.net), *batch)[1]


def copied(net: T) -> T:
    """Return the network with arrays of its own.

    >>> from anynet.training.sample import copied
    >>> net = {"w": np.ones(2)}
    >>> copied(net)["w"] is net["w"]
    False

    """
    return tree.map(lambda x: array_namespace(x).asarray(x, copy=True), net)
