"""The tasks that losses are for: the labels that each takes, and the metric that suits it.

`fit` checks the labels with the task of its loss before it trains.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from anynet import losses, metrics
from anynet.array import (
    Array,
    array_namespace,
    device,
    is_array,
    is_complex,
)
from anynet.errors import ArgumentError, DataError, DTypeError, ShapeError
from anynet.metrics import Metric


class Task:
    """The task of a loss.

    Args:
        loss: the name of the loss, for errors.
        settings: the settings of the loss, such as ``ignore_index``.

    """

    def __init__(self, loss: str, settings: dict[str, Any]) -> None:
        self.loss = loss
        self.settings = settings

    def check(self, outputs: Array, labels: Array) -> None:
        """Raise unless labels fit outputs of one row. Reads the labels.

        Raises:
            ArgumentError: the outputs are not an array.
            ShapeError: the shapes do not fit.
            DataError: a label is out of range or has another dtype.

        """
        if not is_array(outputs):
            raise ArgumentError(
                f"the network gives a {type(outputs).__name__}: {self.loss} needs an array; for "
                "more than one there is a loss of your own, loss(net, x, t)"
            )
        if not is_array(labels):
            raise ArgumentError(
                f"the labels are a {type(labels).__name__}: {self.loss} needs an array; for more "
                "than one there is a loss of your own, loss(net, x, t)"
            )
        if tuple(outputs.shape[:1]) != (1,):
            raise self._misfit(
                tuple(outputs.shape),
                labels,
                "one row of outputs for each row of x, (N, …)",
            )
        self._check(("N", *outputs.shape[1:]), labels)

    def metric(self, outputs: Array, labels: Array) -> Metric | None:
        """Return the metric for such outputs and labels."""
        raise NotImplementedError

    def _check(self, outputs: tuple[Any, ...], labels: Array) -> None:
        raise NotImplementedError

    def _check_share(self, labels: Array, remedy: str) -> None:
        """Raise unless all labels are in 0 … 1."""
        if is_complex(labels):
            raise DTypeError(
                f"the labels are of dtype {labels.dtype}: {self.loss} needs real numbers, as "
                "xp.real(t)"
            )
        xp = array_namespace(labels)
        # Some libraries do not compare booleans or some unsigned integers.
        labels = xp.astype(labels, xp.float32)
        for label in (float(xp.min(labels)), float(xp.max(labels))):
            if not 0 <= label <= 1:
                raise DataError(f"a label is {label:g}: {self.loss} needs {remedy}")

    def _misfit(
        self,
        outputs: tuple[Any, ...],
        labels: Array,
        wanted: str,
    ) -> ShapeError:
        return ShapeError(
            f"the network gives outputs of shape {_shape(outputs)} and the labels are of shape "
            f"{tuple(labels.shape)}: {self.loss} needs {wanted}"
        )


class Classes(Task):
    """One of several classes, by index or by row."""

    def metric(self, outputs: Array, labels: Array) -> Metric | None:
        """Return the accuracy, without the rows that the loss ignores."""
        return metrics.Accuracy(ignore_index=self.settings.get("ignore_index"))

    def _check(self, outputs: tuple[Any, ...], labels: Array) -> None:
        if len(outputs) < 2 or outputs[-1] == 1:
            raise self._misfit(
                outputs,
                labels,
                "a last layer with one output for each class, (N, …, classes); for one output "
                "there are binary_cross_entropy_with_logits (yes or no) and mean_squared_error "
                "(numbers)",
            )
        rows, given = labels.shape[:1], tuple(labels.shape)
        if given == (*rows, *outputs[1:]):
            self._check_share(
                labels,
                "one-hot rows, or probabilities in 0 … 1, where labels have the shape of the "
                "outputs; for numbers that are to be predicted there is mean_squared_error",
            )
            return
        if given != (*rows, *outputs[1:-1]):
            raise self._misfit(
                outputs,
                labels,
                f"class indices of shape {_shape(outputs[:-1])} or one-hot rows of "
                f"{_shape(outputs)}",
            )
        if not array_namespace(labels).isdtype(labels.dtype, "integral"):
            raise DataError(
                f"the labels are of dtype {labels.dtype} and shape {given}: {self.loss} needs "
                "class indices of an integer dtype, by astype; for numbers that are to be "
                "predicted there is mean_squared_error"
            )
        self._check_range(outputs[-1], labels)

    def _check_range(self, classes: int, labels: Array) -> None:
        xp = array_namespace(labels)
        labels = xp.astype(labels, xp.arange(0, device=device(labels)).dtype)
        ignored = self.settings.get("ignore_index")
        if ignored is not None:
            labels = xp.where(labels == ignored, xp.zeros_like(labels), labels)
        for label in (int(xp.min(labels)), int(xp.max(labels))):
            if label < 0:
                raise DataError(
                    f"a label is {label} and the network has {classes} outputs: wanted labels 0 to "
                    f"{classes - 1}; for rows that do not count, partial(losses.cross_entropy, "
                    f"ignore_index={label})"
                )
            if label >= classes:
                raise DataError(
                    f"a label is {label} and the network has {classes} outputs: wanted labels 0 to "
                    f"{classes - 1}, or a last layer with {label + 1} outputs"
                )


class Regression(Task):
    """Real targets of the shape of the outputs."""

    def metric(self, outputs: Array, labels: Array) -> Metric | None:
        """Return R²."""
        return metrics.R2Score()

    def _check(self, outputs: tuple[Any, ...], labels: Array) -> None:
        if tuple(labels.shape[1:]) != outputs[1:]:
            raise self._misfit(
                outputs,
                labels,
                f"labels of shape {_shape(outputs)}{self._remedy(outputs, labels)}",
            )

    def _remedy(self, outputs: tuple[Any, ...], labels: Array) -> str:
        if outputs[1:] == (1,) and labels.ndim == 1:
            return ": reshape(labels, (-1, 1))"
        return (
            "; for class indices there is cross_entropy"
            if tuple(labels.shape[1:]) == outputs[1:-1]
            else ""
        )


class BinaryLabels(Regression):
    """Yes or no, one or more for each row, by logits."""

    def metric(self, outputs: Array, labels: Array) -> Metric | None:
        """Return the fraction of right answers."""
        return metrics.BinaryAccuracy()

    def _check(self, outputs: tuple[Any, ...], labels: Array) -> None:
        super()._check(outputs, labels)
        self._check_share(labels, "labels in 0 … 1, 0 for no and 1 for yes")


class ClassesOrRegression(Task):
    """Classes by index, or real targets of the shape of the outputs."""

    def metric(self, outputs: Array, labels: Array) -> Metric | None:
        """Return the metric for classes or for real targets, which the labels decide."""
        return self._of(outputs.ndim, labels).metric(outputs, labels)

    def _check(self, outputs: tuple[Any, ...], labels: Array) -> None:
        self._of(len(outputs), labels)._check(outputs, labels)

    def _of(self, axes: int, labels: Array) -> Task:
        kind = Classes if labels.ndim < axes else Regression
        return kind(self.loss, self.settings)


_TASKS: dict[Any, Callable[[str, dict[str, Any]], Task]] = {
    losses.cross_entropy: Classes,
    losses.negative_log_likelihood: Classes,
    losses.cross_entropy_of_probabilities: Classes,
    losses.hinge: Classes,
    losses.multi_margin: Classes,
    losses.sum_of_squares: ClassesOrRegression,
    losses.mean_squared_error: Regression,
    losses.mean_absolute_error: Regression,
    losses.huber: Regression,
    losses.binary_cross_entropy_with_logits: BinaryLabels,
}


def task_of(loss: Callable[..., Array]) -> Task | None:
    """Return the task of a loss with the settings of its `functools.partial`, None if unknown."""
    loss, settings = settings_of(loss)
    # Compared one by one, because some callables are not hashable.
    kind = next((kind for known, kind in _TASKS.items() if known is loss), None)
    return None if kind is None else kind(loss.__name__, settings)


def settings_of(loss: Callable[..., Array]) -> tuple[Any, dict[str, Any]]:
    """Return the function and the settings of a loss that is a `functools.partial`."""
    settings: dict[str, Any] = {}
    while isinstance(loss, partial) and not loss.args:
        settings = loss.keywords | settings
        loss = loss.func
    return loss, settings


def _shape(shape: tuple[Any, ...]) -> str:
    """Write a shape whose first axis may be N."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
