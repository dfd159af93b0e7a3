"""Metrics: scores of outputs, computed from sums over rows that are added up over batches.

Calling a metric returns the score of whole arrays, on their device. Over batches, `Metric.count`
returns the sums of one batch, `Metric.add` adds two of them, and `Metric.result` computes the score
once at the end, so the batches do not change the score. The instances with lower-case names, such
as `f1`, have the default settings and also take them in a call: ``f1(outputs, labels,
average="micro")`` is ``F1(average="micro")(outputs, labels)``.

Outputs of a classifier are real, (…, classes) with two or more classes. The answer is the index of
the largest output, the first of equal ones. Labels are class indices (…) of any integer dtype, or
one-hot rows (…, classes). A row with a NaN among its outputs has no answer and is never right, nor
is a row whose label is no class.

Rows are counted in integers, which is exact. Other sums are in float32, or in float64 if outputs or
labels are.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from anynet import losses
from anynet.array import (
    Array,
    DType,
    array_namespace,
    device,
    is_array,
    is_complex,
    is_floating,
    size,
)
from anynet.errors import ArgumentError, DataError, DTypeError, ShapeError

__all__ = [
    "F1",
    "Accuracy",
    "BinaryAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "OfAllRows",
    "Perplexity",
    "Precision",
    "R2Score",
    "Recall",
    "TopKAccuracy",
    "accuracy",
    "as_metric",
    "binary_accuracy",
    "confusion_matrix",
    "f1",
    "mean_absolute_error",
    "mean_squared_error",
    "perplexity",
    "precision",
    "r2_score",
    "recall",
    "top_k_accuracy",
]

#: The sums of a batch: arrays by name.
Sums = dict[str, Array]


class Metric:
    """The base of metrics: a name, the sums of a batch, and the score of the sums of all batches.

    A subclass defines `count` and `result`, and `add` if its sums are not simply added.

    >>> class Positive(metrics.Metric):
    ...     name = "positive"
    ...
    ...     def count(self, outputs, labels):
    ...         return {"sum": (outputs > 0).sum(), "rows": outputs.shape[0]}
    ...
    ...     def result(self, sums):
    ...         return sums["sum"] / sums["rows"]
    >>> float(Positive()(np.asarray([-1.0, 1.0, 2.0, 3.0]), None))
    0.75

    """

    #: The name in the table that `anynet.fit` prints, and in its history.
    name: str = ""

    def count(self, outputs: Array, labels: Array) -> Any:
        """Return the sums of one batch."""
        raise NotImplementedError(f"{type(self).__name__} defines no count()")

    def add(self, first: Any, second: Any) -> Any:
        """Return the sums of two batches together."""
        return {name: value + second[name] for name, value in first.items()}

    def result(self, sums: Any) -> Array:
        """Return the score, a scalar array, from the sums of all batches."""
        raise NotImplementedError(f"{type(self).__name__} defines no result()")

    def __call__(
        self,
        outputs: Array,
        labels: Array,
        *args: Any,
        **settings: Any,
    ) -> Array:
        """Return the score of these rows. Settings replace the metric's own."""
        metric = type(self)(*args, **settings) if args or settings else self
        return metric.result(metric.count(outputs, labels))

    def __repr__(self) -> str:
        settings = ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if name != "name"
        )
        return f"{type(self).__name__}({settings})"


class Accuracy(Metric):
    """Return the fraction of rows whose largest output is at the label, a float32 scalar.

    It is NaN for no rows.

    Args:
        ignore_index: rows with this label do not count, as in `losses.cross_entropy`.

    Raises:
        ShapeError: when called, fewer than two classes, or labels of another shape.
        DTypeError: when called, complex outputs or labels, or uint64, which not every library can
            compare.
        DataError: when called, class indices that are not integers.

    >>> outputs = np.asarray([[0.1, 0.9], [0.8, 0.2]])
    >>> float(metrics.accuracy(outputs, np.asarray([1, 1])))
    0.5

    Source: Deep Learning from Scratch, chapter 3.6.2.

    """

    name = "accuracy"

    def __init__(self, *, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the number of rows that are right, and of all rows, integers ()."""
        labels = _labels(self.name, outputs, labels)
        right = _answers(self.name, outputs) == labels
        return _rows_that_are(right, labels, self.ignore_index)

    def result(self, sums: Sums) -> Array:
        """Return right / rows."""
        return _ratio(sums["right"], sums["rows"])


class TopKAccuracy(Metric):
    """Return the fraction of rows whose label is among the k largest outputs, a float32 scalar.

    Of equal outputs the first ones count as the larger, so k = 1 gives `Accuracy`.

    Args:
        k: in 1 … classes.
        ignore_index: rows with this label do not count.

    Raises:
        ArgumentError: when called, k is out of range.
        ShapeError, DTypeError, DataError: as `Accuracy`.

    >>> outputs = np.asarray([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    >>> float(metrics.TopKAccuracy(2)(outputs, np.asarray([1, 2])))
    0.5

    """

    def __init__(
        self,
        k: int = 5,
        *,
        ignore_index: int | None = None,
    ) -> None:
        self.name = f"top_{k}_accuracy"
        self.k = k
        self.ignore_index = ignore_index

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the number of rows that are right, and of all rows, integers ()."""
        labels = _labels(self.name, outputs, labels)
        classes = outputs.shape[-1]
        if not 1 <= self.k <= classes:
            raise ArgumentError(
                f"k is {self.k} and the outputs have {classes} classes: wanted a number from 1 to "
                f"{classes}"
            )
        xp = array_namespace(outputs, labels)
        outputs = _comparable(self.name, outputs)
        answers = _largest(outputs)
        indices = xp.arange(classes, dtype=labels.dtype, device=device(labels))
        label = xp.expand_dims(labels, axis=-1)
        only_label = xp.where(indices == label, outputs, xp.zeros_like(outputs))
        at_label = xp.sum(only_label, axis=-1, keepdims=True)
        is_tie_behind = xp.logical_and(outputs == at_label, indices >= label)
        is_behind = xp.logical_or(outputs < at_label, is_tie_behind)
        right = classes - xp.count_nonzero(is_behind, axis=-1) < self.k
        right = xp.logical_and(xp.logical_and(right, answers >= 0), labels < classes)
        return _rows_that_are(right, labels, self.ignore_index)

    def result(self, sums: Sums) -> Array:
        """Return right / rows."""
        return _ratio(sums["right"], sums["rows"])


class _PerClass(Metric):
    """A score of each class from three counts, and the average of these scores."""

    def __init__(self, average: str = "macro") -> None:
        if average not in ("macro", "micro", "none"):
            raise ArgumentError(f"average is {average!r}: wanted 'macro', 'micro' or 'none'")
        self.name = type(self).name if average == "macro" else f"{type(self).name}_{average}"
        self.average = average

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the right answers, all answers and the rows of each class, integers (classes,).

        A row whose label is no class counts nowhere.
        """
        labels = _labels(self.name, outputs, labels)
        answers = _answers(self.name, outputs)
        classes = outputs.shape[-1]
        xp = array_namespace(answers, labels)
        none = xp.full_like(labels, classes)
        labels = xp.where(
            labels < classes,
            xp.where(labels < 0, none, labels),
            none,
        )
        answers = xp.where(xp.logical_or(labels == none, answers < 0), none, answers)
        return {
            "right": _histogram(xp.where(answers == labels, labels, none), classes),
            "answers": _histogram(answers, classes),
            "rows": _histogram(labels, classes),
        }

    def _averaged(self, part: Array, whole: Array) -> Array:
        xp = array_namespace(part)
        if self.average == "micro":
            part, whole = xp.sum(part), xp.sum(whole)
        # 0 / 0 counts as 0.
        whole = xp.maximum(whole, xp.ones_like(whole))
        score = xp.astype(part, xp.float32) / xp.astype(whole, xp.float32)
        return xp.mean(score) if self.average == "macro" else score


class Precision(_PerClass):
    """Return the fraction of a class's answers that are right, true positives / answers, float32.

    A class that is never the answer scores 0.

    Args:
        average: "macro" is the mean of all classes, "micro" counts all rows together, "none" gives
            the score of each class, (classes,).

    Raises:
        ArgumentError: an unknown average.
        ShapeError, DTypeError, DataError: when called, as `Accuracy`.

    >>> outputs = np.asarray([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    >>> metrics.precision(outputs, np.asarray([1, 0, 0]), average="none")
    array([1. , 0.5], dtype=float32)

    Source: scikit-learn's precision_score with zero_division=0 and all classes as its labels.

    """

    name = "precision"

    def result(self, sums: Sums) -> Array:
        """Return right / answers, averaged."""
        return self._averaged(sums["right"], sums["answers"])


class Recall(_PerClass):
    """Return the fraction of a class's rows that are found, true positives / rows, float32.

    A class without rows scores 0.

    Args:
        average: "macro" is the mean of all classes, "micro" counts all rows together, "none" gives
            the score of each class, (classes,).

    Raises:
        ArgumentError: an unknown average.
        ShapeError, DTypeError, DataError: when called, as `Accuracy`.

    >>> outputs = np.asarray([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    >>> metrics.recall(outputs, np.asarray([1, 0, 0]), average="none")
    array([0.5, 1. ], dtype=float32)

    Source: scikit-learn's recall_score.

    """

    name = "recall"

    def result(self, sums: Sums) -> Array:
        """Return right / rows, averaged."""
        return self._averaged(sums["right"], sums["rows"])


class F1(_PerClass):
    """Return 2 · true positives / (answers + rows), float32.

    That is the harmonic mean of precision and recall. A class that has no rows and is never the
    answer scores 0.

    Args:
        average: "macro" is the mean of all classes, "micro" counts all rows together, "none" gives
            the score of each class, (classes,).

    Raises:
        ArgumentError: an unknown average.
        ShapeError, DTypeError, DataError: when called, as `Accuracy`.

    >>> outputs = np.asarray([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    >>> round(float(metrics.f1(outputs, np.asarray([1, 0, 0]))), 4)
    0.6667

    Source: scikit-learn's f1_score.

    """

    name = "f1"

    def result(self, sums: Sums) -> Array:
        """Return 2 · right / (answers + rows), averaged."""
        return self._averaged(2 * sums["right"], sums["answers"] + sums["rows"])


class BinaryAccuracy(Metric):
    """Return the fraction of binary predictions that are correct, a float32 scalar.

    It is NaN for no predictions. Outputs are real logits, of any shape. Labels are of the same
    shape, in 0 … 1, and positive from 0.5 on. An axis of length 1 at the end
    may be missing in one of the two arrays.

    Args:
        threshold: an output above it is positive. Use 0.5 for probabilities.

    Raises:
        ShapeError: when called, labels of another shape.
        DTypeError: when called, complex outputs or labels.

    >>> float(metrics.binary_accuracy(np.asarray([-1.0, 2.0]), np.asarray([1, 1])))
    0.5

    """

    name = "binary_accuracy"

    def __init__(self, *, threshold: float = 0.0) -> None:
        self.threshold = threshold

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the number of answers that are right, and of all, integers ()."""
        x, t = _alike(self.name, outputs, labels)
        xp = array_namespace(x, t)
        # Both comparisons are false for a NaN, which is never right.
        right = xp.where(t >= 0.5, x > self.threshold, x <= self.threshold)
        return {"right": _count(right), "rows": _constant(size(x), x)}

    def result(self, sums: Sums) -> Array:
        """Return right / rows."""
        return _ratio(sums["right"], sums["rows"])


class R2Score(Metric):
    """Return 1 - sum((labels - outputs)²) / sum((labels - mean(labels))²), a float scalar.

    A perfect score is 1. Each column has a score. A column whose labels are all equal scores 1 if
    the outputs equal them too, else 0. The score of fewer than two rows is NaN. Outputs and labels
    are real, of one shape (N, …). An axis of length 1 at the end may be missing in one of the two.

    Args:
        multioutput: "uniform_average" is the mean over the columns, "variance_weighted" their mean
            with weights sum((labels - mean(labels))²).

    Raises:
        ArgumentError: an unknown multioutput.
        ShapeError: when called, labels of another shape, or no axis of rows.
        DTypeError: when called, complex outputs or labels.

    >>> round(float(metrics.r2_score(np.asarray([1.0, 2.0, 3.0]), np.asarray([1.0, 2.0, 4.0]))), 4)
    0.7857

    Source: scikit-learn's r2_score. Means and squares of batches are merged as in Chan, Golub and
    LeVeque, Algorithms for computing the sample variance, The American Statistician 37, 1983.

    """

    name = "r2_score"

    def __init__(self, *, multioutput: str = "uniform_average") -> None:
        if multioutput not in ("uniform_average", "variance_weighted"):
            raise ArgumentError(
                f"multioutput is {multioutput!r}: wanted 'uniform_average' or 'variance_weighted'"
            )
        self.multioutput = multioutput

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the rows, and for each column the labels' mean, their squares around it, and the
        squares of the errors.
        """
        x, t = _alike(self.name, outputs, labels)
        if x.ndim == 0:
            raise ShapeError(
                f"{self.name}: outputs of shape (): wanted one row per example, (N, …)"
            )
        xp, rows = array_namespace(x, t), x.shape[0]
        # Differences from the first row, because squares of large labels lose small differences.
        first = xp.zeros(
            (1, *t.shape[1:]),
            dtype=t.dtype,
            device=device(t),
        )
        if rows:
            first = t[:1, ...]
        shifted = t - first
        shift = xp.sum(shifted, axis=0, keepdims=True) / max(rows, 1)
        return {
            "rows": _constant(rows, t),
            "mean": (first + shift)[0, ...],
            "squares": xp.sum(xp.square(shifted - shift), axis=0),
            "errors": xp.sum(xp.square(t - x), axis=0),
        }

    def add(self, first: Sums, second: Sums) -> Sums:
        """Return the sums of two batches together: squares around the mean of both."""
        xp = array_namespace(first["mean"], second["mean"])
        rows = first["rows"] + second["rows"]
        dtype = first["mean"].dtype
        before = xp.astype(first["rows"], dtype)
        after = xp.astype(second["rows"], dtype)
        share = after / xp.maximum(before + after, xp.ones_like(before))
        apart = second["mean"] - first["mean"]
        return {
            "rows": rows,
            "mean": first["mean"] + apart * share,
            "squares": first["squares"] + second["squares"] + xp.square(apart) * (before * share),
            "errors": first["errors"] + second["errors"],
        }

    def result(self, sums: Sums) -> Array:
        """Return 1 - errors / squares, averaged over the columns."""
        errors, squares = sums["errors"], sums["squares"]
        xp = array_namespace(errors)
        flat = squares == 0
        constant = xp.where(errors == 0, xp.ones_like(errors), xp.zeros_like(errors))
        ratio = errors / xp.where(flat, xp.ones_like(squares), squares)
        score = xp.where(flat, constant, 1 - ratio)
        # A NaN among the outputs is a NaN in the score, also where the labels are all equal.
        score = xp.where(errors == errors, score, errors)
        if self.multioutput == "variance_weighted":
            weights = xp.where(xp.all(flat), xp.ones_like(squares), squares)
            score = xp.sum(score * weights) / xp.sum(weights)
        else:
            score = xp.mean(score)
        return xp.where(
            sums["rows"] < 2,
            xp.full_like(score, math.nan),
            score,
        )


class MeanSquaredError(Metric):
    """Return the mean of (outputs - labels)² over all elements, a float scalar.

    It is NaN for no elements. Outputs and labels are real, of one shape. An axis of length 1 at the
    end may be missing in one of the two.

    Raises:
        ShapeError: when called, labels of another shape.
        DTypeError: when called, complex outputs or labels.

    >>> float(metrics.mean_squared_error(np.asarray([1.0, 2.0]), np.asarray([0.0, 0.0])))
    2.5

    """

    name = "mean_squared_error"

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the sum of the squares, and the number of elements."""
        x, t = _alike(self.name, outputs, labels)
        return _total(array_namespace(x, t).square(x - t))

    def result(self, sums: Sums) -> Array:
        """Return sum / elements."""
        return _ratio(sums["sum"], sums["elements"])


class MeanAbsoluteError(MeanSquaredError):
    """Return the mean of |outputs - labels| over all elements, a float scalar.

    It is NaN for no elements. Outputs and labels are real, of one shape. An axis of length 1 at the
    end may be missing in one of the two.

    Raises:
        ShapeError: when called, labels of another shape.
        DTypeError: when called, complex outputs or labels.

    >>> float(metrics.mean_absolute_error(np.asarray([1.0, 2.0]), np.asarray([0.0, 0.0])))
    1.5

    """

    name = "mean_absolute_error"

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the sum of the absolute differences, and the number of elements."""
        x, t = _alike(self.name, outputs, labels)
        return _total(array_namespace(x, t).abs(x - t))


class Perplexity(Metric):
    """Return exp of the mean cross-entropy, a float scalar.

    That many equally likely classes would have the same cross-entropy. Outputs are logits, (…,
    classes), for sequences (N, length, classes), with labels as for `losses.cross_entropy`.

    Args:
        ignore_index: rows with this label do not count, as in `losses.cross_entropy`.

    Raises:
        ShapeError, DTypeError, DataError: when called, as `Accuracy`.

    >>> round(float(metrics.perplexity(np.zeros((5, 4)), np.asarray([0, 1, 2, 3, 0]))), 4)
    4.0

    """

    name = "perplexity"

    def __init__(self, *, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the sum of the losses, and the number of examples."""
        indices = _labels(self.name, outputs, labels)
        xp = array_namespace(outputs)
        outputs = _comparable(self.name, outputs)
        logits = outputs
        if outputs.dtype != xp.float64:
            # Sums in a smaller dtype would overflow.
            logits = xp.astype(outputs, xp.float32, copy=False)
        total = losses.cross_entropy(
            logits, labels, ignore_index=self.ignore_index, reduction="sum"
        )
        rows = _rows_that_are(indices >= 0, indices, self.ignore_index)["rows"]
        return {"sum": total, "rows": rows}

    def result(self, sums: Sums) -> Array:
        """Return exp(sum / rows)."""
        return array_namespace(sums["sum"]).exp(_ratio(sums["sum"], sums["rows"]))


accuracy = Accuracy()
top_k_accuracy = TopKAccuracy()
precision = Precision()
recall = Recall()
f1 = F1()
binary_accuracy = BinaryAccuracy()
r2_score = R2Score()
mean_squared_error = MeanSquaredError()
mean_absolute_error = MeanAbsoluteError()
perplexity = Perplexity()


class OfAllRows(Metric):
    """Return a function's result for all rows, which are kept until the end.

    Args:
        function: of outputs and labels. Its name becomes that of the metric.

    >>> def largest(outputs, labels):
    ...     return outputs.max()
    >>> metric = metrics.OfAllRows(largest)
    >>> metric.name, float(metric(np.asarray([1.0, 3.0]), np.asarray([0, 1])))
    ('largest', 3.0)

    """

    def __init__(self, function: Callable[[Array, Array], Any]) -> None:
        named = getattr(function, "func", function)
        name = getattr(named, "__name__", type(named).__name__)
        self.name = "metric" if name == "<lambda>" else name
        self.function = function

    def count(self, outputs: Array, labels: Array) -> Any:
        """Return the rows."""
        return [outputs], [labels]

    def add(self, first: Any, second: Any) -> Any:
        """Return the rows of both."""
        return first[0] + second[0], first[1] + second[1]

    def result(self, sums: Any) -> Array:
        """Return the function's result for all rows."""
        all_rows = [array_namespace(*parts).concat(parts, axis=0) for parts in sums]
        result: Array = self.function(*all_rows)
        return result


def as_metric(function: Metric | Callable[[Array, Array], Any]) -> Metric:
    """Return a metric itself, a partial of a metric with its settings, or a function of all rows.

    >>> from functools import partial
    >>> metrics.as_metric(partial(metrics.f1, average="micro"))
    F1(average='micro')

    """
    if isinstance(function, Metric):
        return function
    if isinstance(function, partial) and isinstance(function.func, Metric) and not function.args:
        return type(function.func)(**function.keywords)
    return OfAllRows(function)


def confusion_matrix(outputs: Array, labels: Array) -> Array:
    """Return the number of rows with label i and answer j, integers (classes, classes).

    A row that has no answer, or whose label is no class, counts nowhere.

    Args:
        outputs: real, (…, classes).
        labels: class indices (…), or one-hot rows (…, classes).

    Raises:
        ShapeError, DTypeError, DataError: as `Accuracy`.

    >>> outputs = np.asarray([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    >>> metrics.confusion_matrix(outputs, np.asarray([1, 0, 0]))
    array([[1, 1],
           [0, 1]])

    Source: scikit-learn's confusion_matrix.

    """
    labels = _labels("confusion_matrix", outputs, labels)
    answers = _answers("confusion_matrix", outputs)
    classes = outputs.shape[-1]
    xp = array_namespace(answers, labels)
    known = xp.logical_and(xp.logical_and(labels >= 0, labels < classes), answers >= 0)
    cells = xp.where(
        known,
        labels * classes + answers,
        xp.full_like(labels, classes**2),
    )
    return xp.reshape(_histogram(cells, classes**2), (classes, classes))


def _labels(
    name: str,
    outputs: Array,
    labels: Array,
) -> Array:
    """Return the class index of each row, in the library's default integers.

    It is below 0, or too large, if the label is no class.
    """
    _check_arrays(name, outputs, labels)
    shape = tuple(outputs.shape)
    if outputs.ndim == 0 or shape[-1] < 2:
        raise ShapeError(
            f"{name}: outputs of shape {shape} are no choice among classes: wanted (…, classes) "
            "with two or more; binary_accuracy is for logits of yes or no, r2_score for regression"
        )
    if tuple(labels.shape) not in (shape, shape[:-1]):
        fits = size(labels) == math.prod(shape[:-1])
        remedy = f": reshape(labels, {shape[:-1]})" if fits else ""
        raise ShapeError(
            f"{name}: outputs of shape {shape} were given with labels of shape "
            f"{tuple(labels.shape)}; wanted class indices of shape {shape[:-1]} or one-hot rows of "
            f"{shape}{remedy}"
        )
    xp = array_namespace(outputs, labels)
    if labels.ndim == outputs.ndim:
        rows = _comparable(name, labels)
        indices = _largest(rows)
        # A row of zeros names no class.
        has_class = xp.any(rows > 0, axis=-1)
        return xp.where(has_class, indices, xp.full_like(indices, -1))
    if not xp.isdtype(labels.dtype, ("integral", "bool")):
        raise DataError(
            f"{name}: labels of shape {tuple(labels.shape)} are of dtype {labels.dtype}: wanted "
            "class indices of an integer dtype, by astype; for regression there is r2_score"
        )
    # An index too large for these integers becomes negative, which is no class either.
    return xp.astype(labels, _integers(labels), copy=False)


def _check_arrays(
    name: str,
    outputs: Array,
    labels: Array,
) -> None:
    for what, x in (("outputs", outputs), ("labels", labels)):
        if not is_array(x):
            raise DataError(f"{name}: {what} are {x!r:.60}: wanted an array, as backend.asarray(…)")


def _answers(name: str, outputs: Array) -> Array:
    """Return the index of the largest output of each row, -1 where a row holds a NaN."""
    return _largest(_comparable(name, outputs))


def _largest(rows: Array) -> Array:
    """Return the index of the largest of each row, -1 where a row holds a NaN."""
    xp = array_namespace(rows)
    indices = xp.argmax(rows, axis=-1)
    indices = xp.astype(indices, _integers(rows), copy=False)
    if not is_floating(rows):
        return indices
    has_nan = xp.any(xp.isnan(rows), axis=-1)
    return xp.where(has_nan, xp.full_like(indices, -1), indices)


def _integers(x: Array) -> DType:
    """Return the library's default integer dtype."""
    return array_namespace(x).arange(0, device=device(x)).dtype


def _check_real(name: str, x: Array) -> None:
    if is_complex(x):
        raise DTypeError(
            f"{name}: an array of {x.dtype} was given: wanted a real dtype, as xp.real(x)"
        )


def _comparable(name: str, x: Array) -> Array:
    """Return a real array in a dtype that every library compares, which unsigned ones are not."""
    xp, dtype = array_namespace(x), x.dtype
    if xp.isdtype(dtype, "bool"):
        return xp.astype(x, xp.uint8)
    if xp.isdtype(dtype, "unsigned integer") and xp.iinfo(dtype).bits > 8:
        integers = _integers(x)
        if xp.iinfo(integers).bits <= xp.iinfo(dtype).bits:
            raise DTypeError(
                f"{name}: {dtype} has values too large to be compared: wanted float32, by astype"
            )
        return xp.astype(x, integers)
    _check_real(name, x)
    return x


def _alike(
    name: str,
    outputs: Array,
    labels: Array,
) -> tuple[Array, Array]:
    """Return two real arrays of one shape in one floating dtype."""
    _check_arrays(name, outputs, labels)
    xp = array_namespace(outputs, labels)
    x, t = tuple(outputs.shape), tuple(labels.shape)
    if x != t and (*x, 1) != t and x != (*t, 1):
        raise ShapeError(
            f"{name}: outputs of shape {x} were given with labels of shape {t}; wanted labels of "
            f"shape {x}, because elements that are broadcast would count several times"
        )
    dtype: DType = xp.float32
    for array in (outputs, labels):
        _check_real(name, array)
        dtype = xp.float64 if array.dtype == xp.float64 else dtype
    shape = min(x, t, key=len)
    outputs = xp.reshape(xp.astype(outputs, dtype, copy=False), shape)
    labels = xp.reshape(xp.astype(labels, dtype, copy=False), shape)
    return outputs, labels


def _rows_that_are(
    right: Array,
    labels: Array,
    ignore_index: int | None,
) -> Sums:
    """Return the number of rows that are right, and that of all rows, without those to ignore."""
    xp = array_namespace(right, labels)
    # A label below 0 is no class, and -1 also stands for a missing answer.
    right = xp.logical_and(right, labels >= 0)
    if ignore_index is None:
        return {"right": _count(right), "rows": _constant(size(labels), labels)}
    counted = labels != ignore_index
    right = xp.logical_and(right, counted)
    return {"right": _count(right), "rows": _count(counted)}


def _count(x: Array) -> Array:
    """Return the number of elements that are true, an integer ()."""
    xp = array_namespace(x)
    return xp.sum(xp.astype(x, xp.int32))


def _constant(value: int, like: Array) -> Array:
    """Return an integer as an array () on the device of another."""
    xp = array_namespace(like)
    return xp.full((), value, dtype=_integers(like), device=device(like))


def _total(x: Array) -> Sums:
    """Return the sum of all elements, and their number."""
    return {"sum": array_namespace(x).sum(x), "elements": _constant(size(x), x)}


def _histogram(x: Array, stop: int) -> Array:
    """Return the count of each of the integers 0 … stop - 1 in an array of integers from 0 up."""
    xp = array_namespace(x)
    # Sorting is exact for any number of rows, and needs no loop and no matrix of one-hot rows.
    ordered = xp.sort(xp.reshape(x, (-1,)))
    limits = xp.arange(stop + 1, dtype=x.dtype, device=device(x))
    below = xp.searchsorted(ordered, limits)
    return below[1:] - below[:-1]


def _ratio(part: Array, whole: Array) -> Array:
    """Return part / whole in floating point, NaN where the whole is 0."""
    xp = array_namespace(part, whole)
    dtype = part.dtype if part.dtype == xp.float64 else xp.float32
    none = whole == 0
    divisor = xp.astype(xp.where(none, xp.ones_like(whole), whole), dtype)
    ratio = xp.astype(part, dtype) / divisor
    return xp.where(none, xp.full_like(ratio, math.nan), ratio)
