"""Confusion matrices: which classes a network takes for which."""

from typing import TYPE_CHECKING, Any

from anynet import metrics
from anynet.arguments import check_flag, describe
from anynet.array import Array
from anynet.callables import name_of
from anynet.errors import ArgumentTypeError, DataError, ShapeError
from anynet.plotting.axes import check_matplotlib, one_axes, show_as_written
from anynet.plotting.values import (
    class_indices,
    class_names,
    host_namespace,
    name_of_class,
    on_host,
)
from anynet.training.inputs import call_network
from anynet.training.sources import batches_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The most classes whose counts are written into the cells, and whose names are at the axes.
_MOST_COUNTS, _MOST_NAMES = 20, 40
#: The most classes of a matrix.
_MOST_CLASSES = 5000


def confusion_matrix(
    net_or_predictions: Any,
    labels_or_data: Any = None,
    *,
    classes: list[str] | None = None,
    normalize: bool = False,
    ax: "Axes | None" = None,
) -> "Axes":
    """Return axes with the number of rows of each label and each prediction.

    A row of the matrix has a label, a column has a prediction, and the diagonal has the right ones.
    A row of the data without a class, as one with a NaN among the outputs, counts nowhere. The axes
    say how many these are.

    Args:
        net_or_predictions: predictions as class indices (N,) or outputs of a network (N, classes),
            or a network or another function that returns such outputs, or with no second argument
            the matrix that `metrics.confusion_matrix` returns.
        labels_or_data: for predictions the labels, class indices (N,) or one-hot rows (N, classes).
            For a network the data (x, t), a loader, or another iterable of batches, see `evaluate`.
        classes: the names of the classes. By default the axes have the indices.
        normalize: whether each row is divided by its sum, so that the diagonal is the recall of
            each class.
        ax: matplotlib's Axes. The default is a new figure.

    Raises:
        ShapeError: predictions and labels differ in length, or have other shapes.
        DataError: there are no rows, or a class has no name.
        DTypeError: complex values, or class indices of a floating dtype.
        ArgumentTypeError: an argument has the wrong type.
        MissingPackageError: matplotlib is not installed.

    >>> predictions, labels = np.asarray([0, 1, 1]), np.asarray([0, 1, 0])
    >>> ax = anynet.plotting.confusion_matrix(predictions, labels)
    >>> ax.images[0].get_array().tolist()
    [[1.0, 1.0], [0.0, 1.0]]

    Source: scikit-learn's ConfusionMatrixDisplay.

    """
    check_matplotlib()
    check_flag("normalize", normalize)
    names = class_names(classes)
    least = 1 if names is None else len(names)
    if callable(net_or_predictions):
        counts, left_out = _of_network(net_or_predictions, labels_or_data)
    elif labels_or_data is None:
        counts, left_out = _matrix(net_or_predictions), 0
    else:
        counts, left_out = _of_predictions(net_or_predictions, labels_or_data, least)
    if not counts.sum():
        raise DataError(
            f"no row has both a label and a prediction, of {left_out}: wanted one or more"
        )
    size = counts.shape[0]
    if size < least:
        raise DataError(f"classes has {least} names, and the matrix {size} classes: wanted as many")
    known = [name_of_class(i, names) for i in range(size)]
    cells = _shares(counts) if normalize else counts.astype("float64")
    return _draw(cells, known, left_out, normalize, ax)


def _of_network(net: Any, data: Any) -> tuple[Any, int]:
    """Return the matrix of a network on data, and the number of rows that it leaves out."""
    if isinstance(net, type):
        raise ArgumentTypeError(f"net is {describe(net)}: wanted a network, as layers.Linear(2, 3)")
    if data is None:
        raise ArgumentTypeError(
            f"{name_of(net)} was given without data: wanted confusion_matrix(net, (x, t))"
        )
    counts: Any = None
    rows = 0
    for x, t, *_ in batches_of("data", data, net, 1):
        outputs = call_network(net, x)
        batch = on_host("counts", metrics.confusion_matrix(outputs, t))
        counts = batch if counts is None else counts + batch
        # Sequences have a label at each position.
        rows += int(on_host("rows", outputs[..., 0]).size)
    if counts is None:
        raise DataError("the data have no batches: wanted one or more")
    return counts, rows - int(counts.sum())


def _of_predictions(
    predictions: Any,
    labels: Any,
    least: int,
) -> tuple[Any, int]:
    """Return the matrix of predictions, and the number of rows that it leaves out."""
    rows = _rows("predictions", predictions)
    answers = class_indices("predictions", predictions, rows)
    right = class_indices("labels", labels, rows, one_hot=True)
    host = host_namespace()
    size = max(least, _classes(predictions), _classes(labels))
    if rows:
        size = max(size, int(answers.max()) + 1, int(right.max()) + 1)
    if size > _MOST_CLASSES:
        raise DataError(
            f"class {size - 1} is too large for a matrix: wanted classes below {_MOST_CLASSES:,}"
        )
    known = (answers >= 0) & (right >= 0)
    cells = right[known] * size + answers[known]
    counts = host.bincount(cells, minlength=size * size).reshape(size, size)
    return counts, rows - len(cells)


def _rows(name: str, x: Any) -> int:
    """Return the number of rows of predictions."""
    values = on_host(name, x)
    if not values.ndim:
        raise ShapeError(f"{name} has shape (): wanted class indices (N,), or outputs (N, classes)")
    return int(values.shape[0])


def _classes(x: Any) -> int:
    """Return the number of classes of outputs or one-hot rows, 0 for class indices."""
    values = on_host("x", x)
    return int(values.shape[1]) if values.ndim == 2 else 0


def _matrix(x: Array) -> Any:
    """Return a matrix that was counted already."""
    counts = on_host("the matrix", x)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError(
            f"an array of shape {tuple(counts.shape)} was given without labels: wanted labels as "
            "the second argument, or a matrix of counts (classes, classes)"
        )
    is_integer = host_namespace().isdtype(counts.dtype, "integral")
    if not is_integer or (counts < 0).any():
        raise DataError(
            f"a matrix of {counts.dtype} was given without labels: wanted counts, whole numbers of "
            "0 or more, or labels as the second argument"
        )
    return counts


def _shares(counts: Any) -> Any:
    """Return each row divided by its sum. The row of a label that does not occur is NaN."""
    host = host_namespace()
    totals = counts.sum(axis=1, keepdims=True)
    return host.where(totals > 0, counts / host.maximum(totals, 1), host.nan)


def _draw(
    cells: Any,
    names: list[str],
    left_out: int,
    normalize: bool,
    ax: "Axes | None",
) -> "Axes":
    size = len(names)
    host = host_namespace()
    inches = min(2.2 + 0.42 * size, 9.0)
    axes = one_axes(ax, (inches + 0.9, inches))
    largest = 1.0 if normalize else float(host.nanmax(cells))
    image = axes.imshow(cells, cmap="Blues", vmin=0.0, vmax=largest)
    if size <= _MOST_COUNTS:
        for i in range(size):
            for j in range(size):
                value = cells[i, j]
                axes.text(
                    j,
                    i,
                    _text(float(value), normalize),
                    ha="center",
                    va="center",
                    fontsize=8 if size > 6 else 10,
                    color="white" if value > 0.5 * largest else "black",
                )
    if size <= _MOST_NAMES:
        is_long = max(map(len, names)) > 3
        axes.set_xticks(range(size), names, rotation=90 if is_long else 0)
        axes.set_yticks(range(size), names)
        show_as_written(*axes.get_xticklabels(), *axes.get_yticklabels())
    note = f" ({left_out} rows without a class are left out)" if left_out else ""
    axes.set(xlabel=f"prediction{note}", ylabel="label")
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("share of the label" if normalize else "count")
    return axes


def _text(value: float, normalize: bool) -> str:
    if value != value:
        return "–"
    return f"{value:.2f}" if normalize else f"{value:,.0f}"
