"""Metrics: how good outputs are, as sums over rows that are added up over batches.

Each metric is an object. Calling it gives the score of whole arrays, on their device. Over batches,
`Metric.count` gives the sums of one batch, `Metric.add` adds two of them, and `Metric.result`
computes the score once at the end, so that the batches do not change the score. The instances with
lower-case names, such as `f1`, have the default settings and also take them in a call:
``f1(outputs, labels, average="micro")`` is ``F1(average="micro")(outputs, labels)``.

Classes: outputs are real, (…, classes) with two or more classes, and the index of the largest is
the answer, the first of equal ones. Labels are class indices (…) of any integer dtype, or one-hot
rows (…, classes). A row with a NaN among its outputs has no answer and is never right; neither is a
row whose label is no class.

Rows are counted in integers, which is exact. The other sums are in float32, or in float64 where
outputs or labels are.
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

#: What a metric counts in a batch: arrays by name.
Sums = dict[str, Array]


class Metric:
    """The base of metrics: a name, the sums of a batch, and the score that follows from the sums of
    all batches.

    A subclass defines `count` and `result`, and `add` where sums are not simply added:

    >>> class Positive(anynet.metrics.Metric):
    ...     name = "positive"
    ...
    ...     def count(self, outputs, labels):
    ...         return {"sum": (outputs > 0).sum(), "rows": outputs.shape[0]}
    ...
    ...     def result(self, sums):
    ...         return sums["sum"] / sums["rows"]
    """

    #: How `anynet.fit` calls it, in the table that it prints and in the history.
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

    def __call__(self, outputs: Array, labels: Array, *args: Any, **settings: Any) -> Array:
        """Return the score of these rows, with other settings than the metric's own where any are
        given.
        """
        metric = type(self)(*args, **settings) if args or settings else self
        return metric.result(metric.count(outputs, labels))

    def __repr__(self) -> str:
        settings = ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if name != "name"
        )
        return f"{type(self).__name__}({settings})"


class Accuracy(Metric):
    """The fraction of rows whose largest output is at the label, a float32 scalar; NaN where there
    are no rows.

    With ``ignore_index`` rows of that label do not count, as in `losses.cross_entropy`. Source:
    Deep Learning from Scratch, chapter 3.6.2.

    Raises:
        ShapeError: fewer than two classes, or labels of another shape.
        DTypeError: complex outputs or labels, or uint64, which not every library can compare.
        DataError: class indices that are not integers.

    """

    name = "accuracy"

    def __init__(self, *, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the number of rows that are right, and of all rows, integers ()."""
        labels = _labels(self.name, outputs, labels)
        return _rows_that_are(
            _answers(self.name, outputs) == labels,
            labels,
            self.ignore_index,
        )

    def result(self, sums: Sums) -> Array:
        """Return right / rows."""
        return _ratio(sums["right"], sums["rows"])


class TopKAccuracy(Metric):
    """The fraction of rows whose label is among the k largest outputs, a float32 scalar.

    Of equal outputs the first ones count as the larger, so that k = 1 is `accuracy`. Errors as for
    `Accuracy`.

    Raises:
        ArgumentError: k is below 1, or above the number of classes.

    """

    def __init__(self, k: int = 5, *, ignore_index: int | None = None) -> None:
        self.name = f"top_{k}_accuracy"
        self.k = k
        self.ignore_index = ignore_index

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the number of rows that are right, and of all rows, integers ()."""
        labels, classes = (
            _labels(self.name, outputs, labels),
            outputs.shape[-1],
        )
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
        at_label = xp.sum(
            xp.where(indices == label, outputs, xp.zeros_like(outputs)),
            axis=-1,
            keepdims=True,
        )
        behind = xp.logical_or(
            outputs < at_label,
            xp.logical_and(outputs == at_label, indices >= label),
        )
        right = classes - xp.count_nonzero(behind, axis=-1) < self.k
        right = xp.logical_and(xp.logical_and(right, answers >= 0), labels < classes)
        return _rows_that_are(right, labels, self.ignore_index)

    def result(self, sums: Sums) -> Array:
        """Return right / rows."""
        return _ratio(sums["right"], sums["rows"])


class _PerClass(Metric):
    """A score of each class from three counts, and the average of them."""

    def __init__(self, average: str = "macro") -> None:
        if average not in ("macro", "micro", "none"):
            raise ArgumentError(f"average is {average!r}: wanted 'macro', 'micro' or 'none'")
        self.name = type(self).name if average == "macro" else f"{type(self).name}_{average}"
        self.average = average

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the right answers, all answers and the rows of each class, integers (classes,).

        A row whose label is no class counts nowhere.
        """
        labels, answers = (
            _labels(self.name, outputs, labels),
            _answers(self.name, outputs),
        )
        classes = outputs.shape[-1]
        xp = array_namespace(answers, labels)
        none = xp.full_like(labels, classes)
        labels = xp.where(labels < classes, xp.where(labels < 0, none, labels), none)
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
        # None of nothing is 0.
        score = xp.astype(part, xp.float32) / xp.astype(
            xp.maximum(whole, xp.ones_like(whole)), xp.float32
        )
        return xp.mean(score) if self.average == "macro" else score


class Precision(_PerClass):
    """The part of a class's answers that is right, true positives / answers, float32.

    The average is "macro", the mean over all classes, "micro", of all answers together, or "none",
    which gives the score of each class, (classes,). A class that is never the answer scores 0.
    Errors as for `Accuracy`. Source: scikit-learn's precision_score with zero_division 0 and all
    classes as its labels.

    Raises:
        ArgumentError: an unknown average.

    """

    name = "precision"

    def result(self, sums: Sums) -> Array:
        """Return right / answers, averaged."""
        return self._averaged(sums["right"], sums["answers"])


class Recall(_PerClass):
    """The part of a class's rows that is found, true positives / rows, float32; one without rows
    scores 0.

    Averages and errors as for `Precision`. Source: scikit-learn's recall_score.
    """

    name = "recall"

    def result(self, sums: Sums) -> Array:
        """Return right / rows, averaged."""
        return self._averaged(sums["right"], sums["rows"])


class F1(_PerClass):
    """2 · true positives / (answers + rows), the harmonic mean of precision and recall, float32.

    A class that has no rows and is never the answer scores 0. Averages and errors as for
    `Precision`. Source: scikit-learn's f1_score.
    """

    name = "f1"

    def result(self, sums: Sums) -> Array:
        """Return 2 · right / (answers + rows), averaged."""
        return self._averaged(2 * sums["right"], sums["answers"] + sums["rows"])


class BinaryAccuracy(Metric):
    """The fraction of yes-or-no questions that are answered right, a float32 scalar; NaN where
    there are none.

    Outputs are real, of any shape, each the logit of one question: one for each row, (N,) or (N,
    1), or several, (N, labels). An output above the threshold is a yes; for probabilities the
    threshold is 0.5. Labels are of the same shape, in 0 … 1, and from 0.5 on a yes; an axis of
    length 1 at the end may be missing in one of the two arrays.

    Raises:
        ShapeError: labels of another shape.
        DTypeError: complex outputs or labels.

    """

    name = "binary_accuracy"

    def __init__(self, *, threshold: float = 0.0) -> None:
        self.threshold = threshold

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the number of answers that are right, and of all, integers ()."""
        x, t = _alike(self.name, outputs, labels)
        xp = array_namespace(x, t)
        # Neither comparison holds for a NaN, which so is never right.
        right = xp.where(t >= 0.5, x > self.threshold, x <= self.threshold)
        return {"right": _count(right), "rows": _constant(size(x), x)}

    def result(self, sums: Sums) -> Array:
        """Return right / rows."""
        return _ratio(sums["right"], sums["rows"])


class R2Score(Metric):
    """R², 1 - sum((labels - outputs)²) / sum((labels - mean(labels))²), a float scalar; 1 is
    perfect.

    Outputs and labels are real, of one shape (N, …); an axis of length 1 at the end may be missing
    in one of the two arrays. Each column has a score of its own: ``multioutput`` is
    "uniform_average", the mean of them, or "variance_weighted", their mean with weights sum((labels
    - mean(labels))²). A column whose labels are all equal scores 1 where the outputs equal them
    too, else 0. The score of fewer than two rows is NaN. Source: scikit-learn's r2_score. Means and
    squares of batches are merged as in Chan, Golub and LeVeque, Algorithms for computing the sample
    variance, The American Statistician 37, 1983.

    Raises:
        ArgumentError: an unknown multioutput.
        ShapeError: labels of another shape, or no axis of rows.
        DTypeError: complex outputs or labels.

    """

    name = "r2_score"

    def __init__(self, *, multioutput: str = "uniform_average") -> None:
        if multioutput not in ("uniform_average", "variance_weighted"):
            raise ArgumentError(
                f"multioutput is {multioutput!r}: wanted 'uniform_average' or 'variance_weighted'"
            )
        self.multioutput = multioutput

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the number of rows, and of each column the labels' mean and squares around it, and
        the errors'.
        """
        x, t = _alike(self.name, outputs, labels)
        if x.ndim == 0:
            raise ShapeError(
                f"{self.name}: outputs of shape (): wanted one row per example, (N, …)"
            )
        xp, rows = array_namespace(x, t), x.shape[0]
        # As differences from the first row: squares of large labels would have lost those of their
        # differences.
        first = t[:1, ...] if rows else xp.zeros((1, *t.shape[1:]), dtype=t.dtype, device=device(t))
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
        before, after = (xp.astype(part["rows"], part["mean"].dtype) for part in (first, second))
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
        score = xp.where(
            flat,
            constant,
            1 - errors / xp.where(flat, xp.ones_like(squares), squares),
        )
        # A NaN among the outputs is a NaN in the score, also where the labels are all equal.
        score = xp.where(errors == errors, score, errors)
        if self.multioutput == "variance_weighted":
            weights = xp.where(xp.all(flat), xp.ones_like(squares), squares)
            score = xp.sum(score * weights) / xp.sum(weights)
        else:
            score = xp.mean(score)
        return xp.where(sums["rows"] < 2, xp.full_like(score, math.nan), score)


class MeanSquaredError(Metric):
    """The mean of (outputs - labels)² over all elements, a float scalar; NaN where there are none.

    Outputs and labels are real, of one shape; an axis of length 1 at the end may be missing in one
    of the two arrays.

    Raises:
        ShapeError: labels of another shape.
        DTypeError: complex outputs or labels.

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
    """The mean of |outputs - labels| over all elements, a float scalar. Shapes and errors as for
    `MeanSquaredError`.
    """

    name = "mean_absolute_error"

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the sum of the sizes, and the number of elements."""
        x, t = _alike(self.name, outputs, labels)
        return _total(array_namespace(x, t).abs(x - t))


class Perplexity(Metric):
    """exp of the mean cross-entropy of logits: how many classes a guess among equals would have, a
    float scalar.

    Outputs are logits, (…, classes); labels as for `losses.cross_entropy`, so is ``ignore_index``.
    For sequences they are (N, length, classes) and (N, length). Errors as for `Accuracy`.
    """

    name = "perplexity"

    def __init__(self, *, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index

    def count(self, outputs: Array, labels: Array) -> Sums:
        """Return the sum of the losses, and the number of examples."""
        indices = _labels(self.name, outputs, labels)
        xp = array_namespace(outputs)
        outputs = _comparable(self.name, outputs)
        # Sums in a smaller dtype would overflow.
        logits = (
            outputs if outputs.dtype == xp.float64 else xp.astype(outputs, xp.float32, copy=False)
        )
        total = losses.cross_entropy(
            logits, labels, ignore_index=self.ignore_index, reduction="sum"
        )
        return {
            "sum": total,
            "rows": _rows_that_are(indices >= 0, indices, self.ignore_index)["rows"],
        }

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
    """A function of outputs and labels as a metric: called once, with all rows, which are kept
    until then.
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
        """Return what the function gives for all rows."""
        all_rows = [array_namespace(*parts).concat(parts, axis=0) for parts in sums]
        result: Array = self.function(*all_rows)
        return result


def as_metric(function: Metric | Callable[[Array, Array], Any]) -> Metric:
    """Return a metric as it is, a partial one with those settings, and any other function as one of
    all rows.
    """
    if isinstance(function, partial) and isinstance(function.func, Metric) and not function.args:
        return type(function.func)(**function.keywords)
    return function if isinstance(function, Metric) else OfAllRows(function)


def confusion_matrix(outputs: Array, labels: Array) -> Array:
    """Return how many rows have label i and the answer j, integers (classes, classes).

    A row that has no answer, or whose label is no class, counts nowhere. Shapes and errors as for
    `Accuracy`. Source: scikit-learn's confusion_matrix.
    """
    labels, answers = (
        _labels("confusion_matrix", outputs, labels),
        _answers("confusion_matrix", outputs),
    )
    classes = outputs.shape[-1]
    xp = array_namespace(answers, labels)
    known = xp.logical_and(xp.logical_and(labels >= 0, labels < classes), answers >= 0)
    cells = xp.where(known, labels * classes + answers, xp.full_like(labels, classes**2))
    return xp.reshape(_histogram(cells, classes**2), (classes, classes))


def _labels(name: str, outputs: Array, labels: Array) -> Array:
    """Return the class index of each row, in the library's default integers; below 0, or too large,
    where no class.
    """
    _check_arrays(name, outputs, labels)
    shape = tuple(outputs.shape)
    if outputs.ndim == 0 or shape[-1] < 2:
        raise ShapeError(
            f"{name}: outputs of shape {shape} are no choice among classes: wanted (…, classes) "
            "with two or more; binary_accuracy is for logits of yes or no, r2_score for numbers"
        )
    if tuple(labels.shape) not in (shape, shape[:-1]):
        raise ShapeError(
            f"{name}: outputs of shape {shape} were given with labels of shape "
            f"{tuple(labels.shape)}; wanted class indices of shape {shape[:-1]} or one-hot rows of "
            f"{shape}"
            + (f": reshape(labels, {shape[:-1]})" if size(labels) == math.prod(shape[:-1]) else "")
        )
    xp = array_namespace(outputs, labels)
    if labels.ndim == outputs.ndim:
        rows = _comparable(name, labels)
        found = _largest(rows)
        # A row of zeros names no class.
        return xp.where(xp.any(rows > 0, axis=-1), found, xp.full_like(found, -1))
    if not xp.isdtype(labels.dtype, ("integral", "bool")):
        raise DataError(
            f"{name}: labels of shape {tuple(labels.shape)} are of dtype {labels.dtype}: wanted "
            "class indices of an integer dtype, by astype; for numbers that are predicted there is "
            "r2_score"
        )
    # What is too large for these integers becomes negative, and so stays no class.
    return xp.astype(labels, _integers(labels), copy=False)


def _check_arrays(name: str, outputs: Array, labels: Array) -> None:
    for what, x in (("outputs", outputs), ("labels", labels)):
        if not is_array(x):
            raise DataError(f"{name}: {what} are {x!r:.60}: wanted an array, as backend.asarray(…)")


def _answers(name: str, outputs: Array) -> Array:
    """Return the index of the largest output of each row, -1 where a row holds a NaN."""
    return _largest(_comparable(name, outputs))


def _largest(rows: Array) -> Array:
    """Return the index of the largest of each row, -1 where a row holds a NaN."""
    xp = array_namespace(rows)
    found = xp.astype(xp.argmax(rows, axis=-1), _integers(rows), copy=False)
    return (
        xp.where(xp.any(xp.isnan(rows), axis=-1), xp.full_like(found, -1), found)
        if is_floating(rows)
        else found
    )


def _integers(x: Array) -> DType:
    """Return the library's default integer dtype."""
    return array_namespace(x).arange(0, device=device(x)).dtype


def _check_real(name: str, x: Array) -> None:
    if is_complex(x):
        raise DTypeError(
            f"{name}: an array of {x.dtype} was given: wanted real numbers, as xp.real(x)"
        )


def _comparable(name: str, x: Array) -> Array:
    """Return a real array in a dtype that can be compared: not all libraries can with all unsigned
    integers.
    """
    xp, dtype = array_namespace(x), x.dtype
    if xp.isdtype(dtype, "bool"):
        return xp.astype(x, xp.uint8)
    if xp.isdtype(dtype, "unsigned integer") and xp.iinfo(dtype).bits > 8:
        integers = _integers(x)
        if xp.iinfo(integers).bits <= xp.iinfo(dtype).bits:
            raise DTypeError(
                f"{name}: {dtype} has numbers too large to be compared: wanted float32, by astype"
            )
        return xp.astype(x, integers)
    _check_real(name, x)
    return x


def _alike(name: str, outputs: Array, labels: Array) -> tuple[Array, Array]:
    """Return two real arrays of one shape in one floating dtype."""
    _check_arrays(name, outputs, labels)
    xp = array_namespace(outputs, labels)
    x, t = tuple(outputs.shape), tuple(labels.shape)
    if x != t and (*x, 1) != t and x != (*t, 1):
        raise ShapeError(
            f"{name}: outputs of shape {x} were given with labels of shape {t}; wanted labels of "
            f"shape {x}, for elements that are broadcast would count several times"
        )
    dtype: DType = xp.float32
    for array in (outputs, labels):
        _check_real(name, array)
        dtype = xp.float64 if array.dtype == xp.float64 else dtype
    shape = min(x, t, key=len)
    outputs, labels = (
        xp.reshape(xp.astype(a, dtype, copy=False), shape) for a in (outputs, labels)
    )
    return outputs, labels


def _rows_that_are(right: Array, labels: Array, ignore_index: int | None) -> Sums:
    """Return how many rows are right, and how many there are, without those to ignore."""
    xp = array_namespace(right, labels)
    # A label below 0 is no class, and -1 also stands for a missing answer.
    right = xp.logical_and(right, labels >= 0)
    if ignore_index is None:
        return {
            "right": _count(right),
            "rows": _constant(size(labels), labels),
        }
    counted = labels != ignore_index
    return {
        "right": _count(xp.logical_and(right, counted)),
        "rows": _count(counted),
    }


def _count(x: Array) -> Array:
    """Return the number of elements that are true, an integer ()."""
    xp = array_namespace(x)
    return xp.sum(xp.astype(x, xp.int32))


def _constant(value: int, like: Array) -> Array:
    """Return a number as an integer array () on the device of another."""
    return array_namespace(like).full((), value, dtype=_integers(like), device=device(like))


def _total(x: Array) -> Sums:
    """Return the sum of all elements, and their number."""
    return {
        "sum": array_namespace(x).sum(x),
        "elements": _constant(size(x), x),
    }


def _histogram(x: Array, stop: int) -> Array:
    """Return how often each of the integers 0 … stop - 1 is in an array of integers from 0 up."""
    xp = array_namespace(x)
    # By sorting: exact for any number of rows, and without a loop or a matrix of one-hot rows.
    ordered = xp.sort(xp.reshape(x, (-1,)))
    below = xp.searchsorted(ordered, xp.arange(stop + 1, dtype=x.dtype, device=device(x)))
    return below[1:] - below[:-1]


def _ratio(part: Array, whole: Array) -> Array:
    """Return part / whole in floating point, NaN where the whole is 0."""
    xp = array_namespace(part, whole)
    dtype = part.dtype if part.dtype == xp.float64 else xp.float32
    none = whole == 0
    ratio = xp.astype(part, dtype) / xp.astype(xp.where(none, xp.ones_like(whole), whole), dtype)
    return xp.where(none, xp.full_like(ratio, math.nan), ratio)
