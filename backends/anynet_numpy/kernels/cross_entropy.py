"""Softmax and cross-entropy on transposed logits.

NumPy reduces along the first axis faster than along a short last axis.
"""

from functools import lru_cache
from operator import truediv
from typing import Any

import numpy as np

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_numpy.floats import ZERO, ones

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> Any:
    """Work on the transposed logits: reductions along a short last axis are slow, along the first
    axis quick.
    """
    if (
        logits.dtype not in ZERO
        or labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or not labels.size
    ):
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
    return np.add.reduce(np.log(total) - at_labels) / rows, difference.T


@kernels.lowering(softmax_cross_entropy)
def lower_softmax_cross_entropy(emit: Emit, logits: np.ndarray, labels: np.ndarray) -> Any:
    """Work on the transposed logits."""
    rows, classes = logits.shape
    places = emit(places_of_labels, labels, classes)
    shifted = emit(np.positive, emit(np.ndarray.transpose, logits), order="C")
    shifted = emit(np.subtract, shifted, emit(np.maximum.reduce, shifted))
    at_labels = emit(np.ndarray.take, shifted, places)
    exponentials = emit(np.exp, shifted)
    total = emit(np.dot, ones(classes, logits.dtype.char), exponentials)
    difference = emit(less_one_at, emit(np.divide, exponentials, total), places)
    losses = emit(np.subtract, emit(np.log, total), at_labels)
    return emit(truediv, emit(np.add.reduce, losses), rows), emit(np.ndarray.transpose, difference)


def places_of_labels(labels: np.ndarray, classes: int) -> Any:
    """Return where in an array of (classes, rows) elements, counted through, that of each row's
    label is.
    """
    labels = labels.astype(np.intp, copy=False)
    # As unsigned numbers, negative labels are large ones.
    if np.maximum.reduce(labels.view(np.uintp)) >= classes:
        raise IndexError("a label is no class")
    places = labels * labels.size
    places += positions(labels.size)
    return places


kernels.declare(Aliasing.FRESH, places_of_labels)


def less_one_at(x: np.ndarray, places: np.ndarray, out: np.ndarray | None = None) -> Any:
    """Return x less one at the places of its elements, counted through."""
    if out is not x:
        out = np.positive(x, out=out)
    out.reshape(-1)[places] -= 1
    return out


kernels.declare(Aliasing.IN_PLACE, less_one_at)


@lru_cache(maxsize=64)
def positions(length: int) -> Any:
    """Return so many numbers from 0 up."""
    return np.arange(length)
