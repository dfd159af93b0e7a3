"""Evaluation of a network by metrics over all rows of a data set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Real
from typing import Any, overload

from anynet import metrics, tree
from anynet.arguments import check_group, describe, example
from anynet.array import Array, is_array
from anynet.backend import get_backend
from anynet.callables import show_call, takes
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.data.rows import Batch, first_array, slice_rows
from anynet.distributed.group import Group
from anynet.distributed.share import bounds_in
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.layers import Module
from anynet.metrics import Metric
from anynet.training.inputs import call_network
from anynet.training.sources import Data, batches_of

#: A metric, or a function of the outputs and labels of all rows.
Score = Metric | Callable[[Array, Array], Any]


@overload
def evaluate(
    net: Module,
    data: Data,
    metric: Score = metrics.accuracy,
    *,
    group: Group | None = None,
) -> float: ...


@overload
def evaluate(
    net: Module,
    data: Data,
    metric: Sequence[Score],
    *,
    group: Group | None = None,
) -> dict[str, float]: ...


def evaluate(
    net: Module,
    data: Data,
    metric: Score | Sequence[Score] = metrics.accuracy,
    *,
    group: Group | None = None,
) -> float | dict[str, float]:
    """Return the score of a network on all rows of the data, or several scores by name.

    Metrics add up their counts over batches, on the device, and read them once at the end. All rows
    count the same: metrics use no weights.

    Args:
        net: called as net(x), or with several inputs, see `fit`.
        data: a pair (x, t), a loader, or another iterable of batches (x, t), see `fit`.
        metric: one of `anynet.metrics`, or several. Another function is called as
            metric(outputs, labels) with all rows at once.
        group: the ranks that share the rows, see `anynet.open_group`. All ranks make the same call
            and get the same scores.

    Raises:
        ArgumentTypeError: an argument has the wrong type, such as the name of a metric in place of
            the metric.
        ArgumentError: a score is not a scalar, or two metrics have one name.
        DataError: the data have no rows, or x and t differ in length.

    >>> import numpy as np
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> test = np.ones((4, 2), "float32"), np.asarray([0, 1, 1, 1])
    >>> anynet.evaluate(net, test)
    0.25
    >>> anynet.evaluate(net, test, [metrics.accuracy, metrics.F1(average="micro")])
    {'accuracy': 0.25, 'f1_micro': 0.25}

    """
    if not callable(net) or isinstance(net, type):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
        )
    check_group(group)
    batches = batches_of("data", data, net, 1)
    scores = compute_scores(net, batches, metrics_by_name(metric), group)
    return scores if isinstance(metric, Sequence) else next(iter(scores.values()))


def metrics_by_name(metric: Any) -> dict[str, Metric]:
    """Return one metric or several by their names.

    Raises:
        ArgumentTypeError: one of them is not a metric.
        ArgumentError: one does not take two arguments, or two have one name.

    """
    several = isinstance(metric, Sequence) and not isinstance(metric, str)
    by_name: dict[str, Metric] = {}
    for one in metric if several else (metric,):
        if not callable(one) or isinstance(one, type):
            is_class = isinstance(one, type)
            suggestion = example(one, metrics, default="metrics.accuracy", call=is_class)
            raise ArgumentTypeError(
                f"metric is {describe(one)}: wanted one or several of anynet.metrics, such as "
                f"{suggestion}, or a function of outputs and labels"
            )
        if not takes(one, 2):
            raise ArgumentError(f"metric is {show_call(one)}: wanted metric(outputs, labels)")
        known = metrics.as_metric(one)
        name = known.name or type(known).__name__
        if name in by_name:
            raise ArgumentError(f"two metrics are called {name!r}: set the attribute name of one")
        by_name[name] = known
    return by_name


def compute_scores(
    net: Module,
    batches: Loader | Batches,
    by_name: dict[str, Metric],
    group: Group | None = None,
) -> dict[str, float]:
    """Return the scores of a network by the names of the metrics."""
    if group is not None and group.size > 1 and _can_split(batches, by_name):
        counts = _counts_of_all(net, batches, by_name, group)
    else:
        counts = _counts(net, batches if by_name else (), by_name)
    return {name: read_score(name, m.result(counts[name])) for name, m in by_name.items()}


def _can_split(batches: Loader | Batches, by_name: dict[str, Metric]) -> bool:
    """Return whether the ranks of a group may share the rows.

    A function of all rows may depend on their order, which only rows in order keep.
    """
    if not any(isinstance(metric, metrics.OfAllRows) for metric in by_name.values()):
        return bool(by_name)
    return isinstance(batches, Loader) and _has_parts(batches) and not batches.shuffle


def _has_parts(loader: Loader) -> bool:
    """Return whether a pass over a loader has each row once, as it is."""
    return loader.augment is None and not loader.drop_last


def _counts(
    net: Module,
    batches: Iterable[Batch],
    by_name: dict[str, Metric],
) -> dict[str, Any]:
    """Return the sums of the metrics over batches."""
    counts: dict[str, Any] = {}
    for x, t, *_ in batches:
        outputs = call_network(net, x)
        for name, metric in by_name.items():
            count = metric.count(outputs, t)
            counts[name] = metric.add(counts[name], count) if name in counts else count
    return counts


def _counts_of_all(
    net: Module,
    batches: Loader | Batches,
    by_name: dict[str, Metric],
    group: Group,
) -> dict[str, Any]:
    """Return the sums of the metrics over the rows of all ranks, added in their order."""
    own = _counts(net, _own_rows(batches, group), by_name)
    backend = next((get_backend(x) for _, x in tree.leaves(net)), get_backend("numpy"))
    first, *others = [x for x in group.gather(own) if x]
    counts = tree.map(backend.asarray, first)
    for other in others:
        added = tree.map(backend.asarray, other)
        counts = {name: m.add(counts[name], added[name]) for name, m in by_name.items()}
    return counts


def _own_rows(batches: Loader | Batches, group: Group) -> Iterator[Batch]:
    """Yield the rows of this rank: consecutive ones of a loader, and a part of each other batch."""
    if isinstance(batches, Loader) and _has_parts(batches):
        start, stop = bounds_in(group, batches.rows)
        if start < stop:
            yield from batches.part(start, stop)
        return
    for batch in batches:
        start, stop = bounds_in(group, first_array(batch[0]).shape[0])
        if start < stop:
            yield slice_rows(batch, slice(start, stop))


def read_score(name: str, score: Any) -> float:
    """Return a scalar score as Python's float, after the device has computed it.

    Raises:
        ArgumentError: an array with axes.
        ArgumentTypeError: neither an array nor a real number.

    """
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
