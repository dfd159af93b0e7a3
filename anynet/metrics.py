"""Metrics: how good outputs are, counted on the device.

Outputs are (N, classes), of which the largest of a row is the answer; labels are class indices (N,) or one-hot
(N, classes). Precision, recall and F1 are of all rows at once: their means over batches are something else.
"""

from anynet.array import Array, array_namespace, device
from anynet.errors import ArgumentError, ShapeError


def accuracy(outputs: Array, labels: Array) -> Array:
    """Return the fraction of rows whose largest output is at the label, a float32 scalar.

    Outputs are (N, classes); labels are class indices (N,) or one-hot (N, classes).
    Source: Deep Learning from Scratch, chapter 3.6.2.
    """
    xp = array_namespace(outputs, labels)
    if labels.ndim == outputs.ndim:
        labels = xp.argmax(labels, axis=-1)
    found = xp.astype(xp.argmax(outputs, axis=-1), labels.dtype, copy=False)
    return xp.mean(xp.astype(found == labels, xp.float32))


def top_k_accuracy(outputs: Array, labels: Array, k: int = 5) -> Array:
    """Return the fraction of rows whose label is among the k largest outputs, a float32 scalar.

    Of equal outputs the first ones count as the larger, so that k = 1 is `accuracy`.

    Raises:
        ArgumentError: k is not in 1 … classes.

    """
    classes = outputs.shape[-1]
    if not 1 <= k <= classes:
        raise ArgumentError(f"k is {k} and the outputs have {classes} classes: wanted a number from 1 to {classes}")
    xp = array_namespace(outputs, labels)
    if labels.ndim == outputs.ndim:
        labels = xp.argmax(labels, axis=-1)
    places = xp.arange(classes, dtype=labels.dtype, device=device(labels))
    labels = xp.expand_dims(labels, axis=-1)
    at_label = xp.sum(xp.where(places == labels, outputs, xp.zeros_like(outputs)), axis=-1, keepdims=True)
    # Counted so that outputs which are not numbers are never right.
    behind = xp.logical_or(outputs < at_label, xp.logical_and(outputs == at_label, places >= labels))
    hit = xp.logical_and(xp.any(places == labels, axis=-1), classes - xp.count_nonzero(behind, axis=-1) < k)
    return xp.mean(xp.astype(hit, xp.float32))


def confusion_matrix(outputs: Array, labels: Array) -> Array:
    """Return how many rows have label i and the answer j, integers (classes, classes); for what is no class, none.

    Source: scikit-learn's confusion_matrix.

    Raises:
        ShapeError: labels of another shape.

    """
    classes = outputs.shape[-1]
    if labels.shape not in (outputs.shape, outputs.shape[:-1]):
        raise ShapeError(
            f"outputs of shape {tuple(outputs.shape)} were given with labels of shape {tuple(labels.shape)}; "
            f"wanted class indices of shape {tuple(outputs.shape[:-1])} or one-hot rows of {tuple(outputs.shape)}"
        )
    xp = array_namespace(outputs, labels)
    if labels.ndim == outputs.ndim:
        labels = xp.argmax(labels, axis=-1)
    answers = xp.argmax(outputs, axis=-1)
    cells = xp.astype(labels, answers.dtype, copy=False) * classes + answers
    # Counted by sorting: exact for any number of rows, and without a loop or a matrix of one-hot rows.
    cells = xp.sort(xp.reshape(cells, (-1,)))
    edges = xp.arange(classes**2 + 1, dtype=cells.dtype, device=device(cells))
    below = xp.searchsorted(cells, edges)
    return xp.reshape(below[1:] - below[:-1], (classes, classes))


def precision(outputs: Array, labels: Array, average: str = "macro") -> Array:
    """Return which part of a class's answers is right, true positives / answers, float32.

    The average is "macro", the mean over all classes, "micro", of all answers together, or "none", which gives the
    score of each class, (classes,). A class that is never the answer scores 0.
    Source: scikit-learn's precision_score with zero_division 0 and all classes as its labels.

    Raises:
        ArgumentError: an unknown average.
        ShapeError: labels of another shape.

    """
    hits, answers, _ = _counts(outputs, labels)
    return _score(hits, answers, average)


def recall(outputs: Array, labels: Array, average: str = "macro") -> Array:
    """Return which part of a class's rows is found, true positives / rows, float32; one without rows scores 0.

    Averages and errors as for `precision`. Source: scikit-learn's recall_score.
    """
    hits, _, rows = _counts(outputs, labels)
    return _score(hits, rows, average)


def f1(outputs: Array, labels: Array, average: str = "macro") -> Array:
    """Return 2 · true positives / (answers + rows), the harmonic mean of precision and recall, float32.

    A class that has no rows and is never the answer scores 0. Averages and errors as for `precision`.
    Source: scikit-learn's f1_score.
    """
    hits, answers, rows = _counts(outputs, labels)
    return _score(2 * hits, answers + rows, average)


def _counts(outputs: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return the right answers, all answers and the rows of each class."""
    xp = array_namespace(outputs, labels)
    matrix = confusion_matrix(outputs, labels)
    hits = xp.reshape(matrix, (-1,))[:: matrix.shape[0] + 1]
    return hits, xp.sum(matrix, axis=0), xp.sum(matrix, axis=1)


def _score(right: Array, all_: Array, average: str) -> Array:
    if average not in ("macro", "micro", "none"):
        raise ArgumentError(f"average is {average!r}: wanted 'macro', 'micro' or 'none'")
    xp = array_namespace(right)
    if average == "micro":
        right, all_ = xp.sum(right), xp.sum(all_)
    # None of nothing is 0.
    all_ = xp.maximum(all_, xp.ones_like(all_))
    score = xp.astype(right, xp.float32) / xp.astype(all_, xp.float32)
    return xp.mean(score) if average == "macro" else score
