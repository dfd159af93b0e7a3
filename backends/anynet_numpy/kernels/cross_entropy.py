"""Softmax and cross-entropy on transposed logits.

NumPy reduces along the first axis faster than along a short last axis.
"""

from functools import lru_cache
from operator import truediv
from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_numpy.floats import ZERO, ones

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def softmax_cross_entropy(logits: ndarray, labels: ndarray) -> Any:
    """Compute in one array of (classes, rows)."""
    if logits.dtype not in ZERO or not _are_labels(labels):
        return NotImplemented
    rows, classes = logits.shape
    places = places_of_labels(labels, classes)
    work = logits.T.copy()
    work -= np.maximum.reduce(work)
    at_labels = work.take(places)
    np.exp(work, out=work)
    total = np.dot(ones(classes, work.dtype.char), work)
    work /= total
    difference = less_one_at(work, places, out=work)
    losses = np.log(total) - at_labels
    return np.add.reduce(losses) / rows, difference.T


@kernels.lowering(softmax_cross_entropy)
def lower_softmax_cross_entropy(
    emit: Emit,
    logits: ndarray,
    labels: ndarray,
) -> Any:
    """Make the same calls."""
    rows, classes = logits.shape
    places = emit(places_of_labels, labels, classes)
    copy = emit(np.positive, emit(np.ndarray.transpose, logits), order="C")
    shifted = emit(np.subtract, copy, emit(np.maximum.reduce, copy))
    at_labels = emit(np.ndarray.take, shifted, places)
    exponentials = emit(np.exp, shifted)
    total = emit(np.dot, ones(classes, logits.dtype.char), exponentials)
    probabilities = emit(np.divide, exponentials, total)
    difference = emit(less_one_at, probabilities, places)
    losses = emit(np.subtract, emit(np.log, total), at_labels)
    mean = emit(truediv, emit(np.add.reduce, losses), rows)
    return mean, emit(np.ndarray.transpose, difference)


def _are_labels(labels: ndarray) -> bool:
    return labels.ndim == 1 and labels.dtype.kind in "iu" and labels.size > 0


def places_of_labels(labels: ndarray, classes: int) -> ndarray:
    """Return the flat index of each row's label in an array of (classes, rows)."""
    labels = labels.astype(np.intp, copy=False)
    # As unsigned integers, negative labels are large.
    if np.maximum.reduce(labels.view(np.uintp)) >= classes:
        raise IndexError("a label is no class")
    places = labels * labels.size
    places += _positions(labels.size)
    return places


kernels.declare(Aliasing.FRESH, places_of_labels)


def less_one_at(
    x: ndarray,
    places: ndarray,
    out: ndarray | None = None,
) -> ndarray:
    """Return x with 1 subtracted at flat indices."""
    if out is not x:
        out = np.positive(x, out=out)
    out.reshape(-1)[places] -= 1
    return out


kernels.declare(Aliasing.IN_PLACE, less_one_at)


@lru_cache(maxsize=64)
def _positions(length: int) -> ndarray:
    return np.arange(length)
