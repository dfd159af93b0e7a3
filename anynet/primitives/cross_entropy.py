"""Softmax and cross-entropy in one primitive, whose derivative is a difference."""

import math
from typing import Any

from anynet.array import (
    Array,
    Namespace,
    array_namespace,
    as_indices,
    device,
    is_complex,
    widened,
)
from anynet.errors import DataError, DTypeError
from anynet.primitives.activation import log_softmax, softmax
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive


def targets(labels: Array, like: Array) -> Array:
    """Return the target probabilities, of ``like``'s shape (…, classes) and dtype.

    Labels of that shape are the probabilities. Class indices (…) become one-hot rows. The row of an
    index outside the classes is NaN, because a device cannot raise an error.
    """
    xp = array_namespace(labels, like)
    if is_complex(labels):
        raise DTypeError(
            f"labels of {labels.dtype} were given: wanted a real dtype, as xp.real(labels)"
        )
    if labels.ndim == like.ndim:
        return xp.astype(labels, like.dtype, copy=False)
    # The dtype of the labels may hold fewer values than there are classes.
    labels = as_indices("labels", labels)
    classes = xp.arange(
        like.shape[-1],
        dtype=labels.dtype,
        device=device(labels),
    )
    rows = xp.astype(xp.expand_dims(labels, axis=-1) == classes, like.dtype)
    no_class = xp.sum(rows, axis=-1, keepdims=True) == 0
    nan = xp.full(
        (),
        math.nan,
        dtype=rows.dtype,
        device=device(rows),
    )
    return xp.where(no_class, nan, rows)


def mean(losses: Array) -> Array:
    """Return the mean of all elements, NaN for no elements, without a warning."""
    xp = array_namespace(losses)
    return xp.mean(losses) if math.prod(losses.shape) else xp.sum(losses) * math.nan


def _rule(
    xp: Namespace,
    out: tuple[Array, Array],
    logits: Array,
    labels: Array,
) -> Any:
    _, difference = out
    rows = max(1, math.prod(difference.shape[:-1]))

    def to_logits(g: tuple[Array | None, Array | None]) -> Array:
        of_loss, of_difference = g
        if of_difference is None:
            assert of_loss is not None
            return difference * (widened(of_loss) / rows)
        # softmax(logits) times the sum of the targets, which is 1 for probabilities.
        probabilities = difference + targets(labels, difference)
        mean = xp.sum(of_difference * softmax(logits), axis=-1, keepdims=True)
        c = probabilities * (of_difference - mean)
        return c if of_loss is None else c + difference * (widened(of_loss) / rows)

    def to_labels(g: tuple[Array | None, Array | None]) -> Array:
        of_loss, of_difference = g
        c = xp.zeros_like(logits)
        if of_loss is not None:
            c = c - log_softmax(logits) * (widened(of_loss) / rows)
        if of_difference is not None:
            c = c + xp.sum(of_difference * softmax(logits), axis=-1, keepdims=True) - of_difference
        return c

    return to_logits, to_labels if labels.ndim == logits.ndim else None


def _explain(logits: Array, labels: Array) -> None:
    """Raise an error that names a label outside the classes."""
    xp = array_namespace(labels)
    classes = logits.shape[-1]
    if labels.ndim == logits.ndim or is_complex(labels) or not math.prod(labels.shape):
        return
    labels = as_indices("labels", labels)
    for label in (int(xp.min(labels)), int(xp.max(labels))):
        if not 0 <= label < classes:
            raise DataError(
                f"label {label} is no class: the outputs have {classes} classes, wanted labels 0 "
                f"to {classes - 1}"
            )


@primitive(_rule, _explain, kind=REAL)
@in_float32
def softmax_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the mean over N of -sum(targets · log softmax(logits)), and N times its gradient.

    The loss is a scalar. The second result is sum(targets) · softmax(logits) - targets, of the
    logits' shape.

    Args:
        logits: (N, classes) or (classes,), floating.
        labels: class indices, (N,) or (), or probabilities of the logits' shape.

    Raises:
        DataError: a label is outside the classes.
        DTypeError: the labels are complex.

    Source: Deep Learning from Scratch, chapter 4.2.4 and appendix A.

    >>> import numpy as np
    >>> from anynet.primitives import softmax_cross_entropy
    >>> loss, difference = softmax_cross_entropy(np.zeros((1, 2)), np.array([1]))
    >>> difference
    array([[ 0.5, -0.5]])

    """
    xp = array_namespace(logits, labels)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    exponentials = xp.exp(shifted)
    total = xp.sum(exponentials, axis=-1, keepdims=True)
    wanted = targets(labels, logits)
    # A class with a target of 0 may have a logit of -∞, and 0 · ∞ would be NaN.
    surprise = xp.where(
        wanted == 0,
        xp.zeros_like(shifted),
        xp.log(total) - shifted,
    )
    losses = xp.sum(wanted * surprise, axis=-1)
    probabilities = exponentials / total
    if labels.ndim == logits.ndim:
        # The targets of a row may sum to another value than 1.
        probabilities = probabilities * xp.sum(wanted, axis=-1, keepdims=True)
    return mean(losses), probabilities - wanted
