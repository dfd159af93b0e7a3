"""Softmax and cross-entropy in one step: stable, and its derivative is a difference."""

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
    """Return the wanted probabilities, of ``like``'s shape (…, classes) and dtype.

    Labels of that shape are the probabilities themselves (one-hot). Class indices (…) become
    one-hot rows; an index that is no class has a row of NaN, for a device cannot raise without
    being waited for.
    """
    xp = array_namespace(labels, like)
    if is_complex(labels):
        raise DTypeError(
            f"labels of {labels.dtype} were given: wanted real numbers, as xp.real(labels)"
        )
    if labels.ndim == like.ndim:
        return xp.astype(labels, like.dtype, copy=False)
    # As indices, because the labels' dtype may have fewer values than there are classes.
    labels = as_indices("labels", labels)
    classes = xp.arange(like.shape[-1], dtype=labels.dtype, device=device(labels))
    rows = xp.astype(xp.expand_dims(labels, axis=-1) == classes, like.dtype)
    no_class = xp.sum(rows, axis=-1, keepdims=True) == 0
    return xp.where(
        no_class,
        xp.full((), math.nan, dtype=rows.dtype, device=device(rows)),
        rows,
    )


def mean(losses: Array) -> Array:
    """Return the mean of all elements, NaN for none, for which some libraries warn."""
    xp = array_namespace(losses)
    return xp.mean(losses) if math.prod(losses.shape) else xp.sum(losses) * math.nan


def _rule(xp: Namespace, out: tuple[Array, Array], logits: Array, labels: Array) -> Any:
    _, difference = out
    rows = max(1, math.prod(difference.shape[:-1]))

    def to_logits(g: tuple[Array | None, Array | None]) -> Array:
        of_loss, of_difference = g
        if of_difference is None:
            assert of_loss is not None
            return difference * (widened(of_loss) / rows)
        # The probabilities as often as there are targets: once, unless the labels are rows of
        # another sum.
        probabilities = difference + targets(labels, difference)
        mean = xp.sum(of_difference * softmax(logits), axis=-1, keepdims=True)
        c = probabilities * (of_difference - mean)
        return c if of_loss is None else c + difference * (widened(of_loss) / rows)

    def to_labels(g: tuple[Array | None, Array | None]) -> Array:
        of_loss, of_difference = g
        c = (
            xp.zeros_like(logits)
            if of_loss is None
            else -log_softmax(logits) * (widened(of_loss) / rows)
        )
        if of_difference is not None:
            c = c + xp.sum(of_difference * softmax(logits), axis=-1, keepdims=True) - of_difference
        return c

    return to_logits, to_labels if labels.ndim == logits.ndim else None


def _explain(logits: Array, labels: Array) -> None:
    """Name a label that is no class."""
    xp = array_namespace(labels)
    classes = logits.shape[-1]
    if labels.ndim == logits.ndim or is_complex(labels) or not math.prod(labels.shape):
        return
    labels = as_indices("labels", labels)
    for label in (int(xp.min(labels)), int(xp.max(labels))):
        if not 0 <= label < classes:
            raise DataError(
                f"label {label} is no class: the outputs have {classes}, wanted labels 0 to "
                f"{classes - 1}"
            )


@primitive(_rule, _explain, kind=REAL)
@in_float32
def softmax_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the mean over N of -sum(targets · log softmax(logits)), a scalar, and N times its
    gradient.

    The gradient is sum(targets) · softmax(logits) - targets, of the logits' shape; the sum is 1
    where the targets are probabilities. Logits are (N, classes) or (classes,), floating and of any
    size; labels are class indices, one axis fewer, or one-hot. Source: Deep Learning from Scratch,
    chapter 4.2.4 and appendix A.
    """
    xp = array_namespace(logits, labels)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    exponentials = xp.exp(shifted)
    total = xp.sum(exponentials, axis=-1, keepdims=True)
    wanted = targets(labels, logits)
    # Chosen before the product: a class that is not wanted may have a logit of minus infinity.
    surprise = xp.where(wanted == 0, xp.zeros_like(shifted), xp.log(total) - shifted)
    losses = xp.sum(wanted * surprise, axis=-1)
    probabilities = exponentials / total
    if labels.ndim == logits.ndim:
        # Rows that are not probabilities, as of several ones or of zeros only.
        probabilities = probabilities * xp.sum(wanted, axis=-1, keepdims=True)
    return mean(losses), probabilities - wanted
