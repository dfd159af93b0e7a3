"""Evaluation of a network by metrics over all rows of a data set."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, TypeAlias, TypeGuard, overload

from anynet import metrics, tree
from anynet.arguments import describe, example
from anynet.array import Array, is_array
from anynet.backend import get_backend
from anynet.callables import show_call, takes
from anynet.data.batches import Batches, Source
from anynet.data.loader import Loader
from anynet.errors import ArgumentError, ArgumentTypeError, DataError
from anynet.layers import Module
from anynet.metrics import Metric

#: Rows evaluated at a time.
EVALUATION_BATCH = 1000

#: A metric, or a function of the outputs and labels of all rows.
Score = Metric | Callable[[Array, Array], Any]

#: What `fit` and `evaluate` read: a pair (x, t), a loader, or what gives batches.
Data: TypeAlias = Loader | tuple[Array, Array] | Source


def _batches_of(name: str, data: Any, net: Module, epochs: int) -> Loader | Batches:
    """Return a loader as it is, one of a pair of arrays in order, and of what else gives batches
    these.
    """
    if isinstance(data, Loader):
        return data
    if _is_pair(data):
        return _in_order(*data)
    arrays = (x for _, x in tree.leaves(net) if is_array(x))
    backend = next(map(get_backend, arrays), None)
    return Batches(name, data, backend, epochs)


def _rows_of(batches: Loader | Batches) -> Loader | Batches:
    """Return a loader of the same rows, each once and in order; other batches as they are."""
    return _in_order(batches.x, batches.t) if isinstance(batches, Loader) else batches


def _is_pair(data: Any) -> TypeGuard[tuple[Array, Array]]:
    """Tell whether this is (x, t), and no two batches."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        return False
    if isinstance(data, tuple) and all(isinstance(part, tuple) for part in data):
        raise DataError("the data are two pairs (x, t): wanted one, as in fit(net, *dataset)")
    return isinstance(data, tuple) or is_array(data[0])


@overload
def evaluate(net: Module, data: Data, metric: Score = metrics.accuracy) -> float: ...


@overload
def evaluate(net: Module, data: Data, metric: Sequence[Score]) -> dict[str, float]: ...


def evaluate(
    net: Module,
    data: Data,
    metric: Score | Sequence[Score] = metrics.accuracy,
) -> float | dict[str, float]:
    """Return the score of the network on all rows of the data, or the scores of several metrics by
    name.

    Data are (x, t), a loader, or any other iterable of batches (x, t), see `fit`.

    What a metric counts is added up over batches, on the device, and read once at the end. A
    function that is not one of `anynet.metrics` is called as metric(outputs, labels) with all rows
    at once.

    >>> import numpy as np
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> test = np.ones((4, 2), "float32"), np.asarray([0, 1, 1, 1])
    >>> anynet.evaluate(net, test)
    0.25
    >>> anynet.evaluate(net, test, [metrics.accuracy, metrics.F1(average="micro")])
    {'accuracy': 0.25, 'f1_micro': 0.25}

    Raises:
        ArgumentTypeError: an argument of the wrong type, such as the name of a metric in place of
            the metric.
        ArgumentError: a score that is no scalar, or two metrics of one name.
        DataError: data without rows, or x and t of different lengths.

    """
    if not callable(net) or isinstance(net, type):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
        )
    batches = _batches_of("data", data, net, 1)
    scores = _by_name(metric)
    found = _evaluate(net, batches, scores)
    return found if isinstance(metric, Sequence) else next(iter(found.values()))


def _by_name(metric: Any) -> dict[str, Metric]:
    """Return the metrics by their names."""
    several = isinstance(metric, Sequence) and not isinstance(metric, str)
    scores: dict[str, Metric] = {}
    for one in metric if several else (metric,):
        if not callable(one) or isinstance(one, type):
            suggestion = example(
                one,
                metrics,
                default="metrics.accuracy",
                call=isinstance(one, type),
            )
            raise ArgumentTypeError(
                f"metric is {describe(one)}: wanted one or several of anynet.metrics, such as "
                f"{suggestion}, or a function of outputs and labels"
            )
        if not takes(one, 2):
            raise ArgumentError(f"metric is {show_call(one)}: wanted metric(outputs, labels)")
        known = metrics.as_metric(one)
        name = known.name or type(known).__name__
        if name in scores:
            raise ArgumentError(f"two metrics are called {name!r}: set the attribute name of one")
        scores[name] = known
    return scores


def _evaluate(
    net: Module, batches: Loader | Batches, scores: dict[str, Metric]
) -> dict[str, float]:
    sums: dict[str, Any] = {}
    for x, t in batches if scores else ():
        outputs = net(x)
        for name, metric in scores.items():
            counted = metric.count(outputs, t)
            sums[name] = metric.add(sums[name], counted) if name in sums else counted
    return {name: _read(name, metric.result(sums[name])) for name, metric in scores.items()}


def _read(name: str, score: Any) -> float:
    if is_array(score):
        if score.ndim:
            raise ArgumentError(
                f"{name} is of shape {tuple(score.shape)}: wanted a scalar; call the metric on "
                "outputs and labels for more"
            )
        return float(get_backend(score).to_host(score))
    if not isinstance(score, Real):
        raise ArgumentTypeError(f"{name} is {describe(score)}: wanted a scalar")
    return float(score)


def _in_order(x: Array, t: Array) -> Loader:
    return Loader(x, t, batch_size=EVALUATION_BATCH, shuffle=False)
