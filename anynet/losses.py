"""Losses: from outputs and labels to one scalar, the mean over the batch."""

from anynet import functions
from anynet.array import Array, array_namespace
from anynet.errors import ShapeError
from anynet.primitives import softmax_cross_entropy


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Return the mean of -log softmax(logits) at the labels, fused and stable for logits of any size.

    Args:
        logits: floating, (N, classes) or (classes,).
        labels: class indices, integers (N,) or (), or one-hot rows of the logits' shape.

    Raises:
        ShapeError: labels of another shape.
        DataError: a label that is no class, where the library can tell without waiting for a device; elsewhere the
            loss is then not a number.

    Source: Deep Learning from Scratch, chapter 4.2.4 and appendix A.

    """
    _check_labels("cross_entropy", logits, labels)
    loss: Array = softmax_cross_entropy(logits, labels)[0]
    return loss


def cross_entropy_of_probabilities(probabilities: Array, labels: Array, delta: float = 1e-7) -> Array:
    """Return the mean of -sum(targets · log(probabilities + delta)), for outputs that went through softmax already.

    Shapes as for `cross_entropy`. The small delta keeps the logarithm of a probability of zero finite.
    Source: Deep Learning from Scratch, chapter 4.2.2.
    """
    _check_labels("cross_entropy_of_probabilities", probabilities, labels)
    xp = array_namespace(probabilities, labels)
    if labels.ndim < probabilities.ndim:
        labels = functions.one_hot(labels, probabilities.shape[-1], probabilities.dtype)
    wanted = xp.astype(labels, probabilities.dtype, copy=False)
    return xp.mean(-xp.sum(wanted * xp.log(probabilities + delta), axis=-1))


def sum_of_squares(outputs: Array, labels: Array) -> Array:
    """Return ½ · sum((outputs - labels)²), the mean of it over a batch.

    Outputs are (N, units) or (units,); labels are of the same shape, or class indices, which count as one-hot.
    Source: Deep Learning from Scratch, chapter 4.2.1.
    """
    _check_labels("sum_of_squares", outputs, labels)
    xp = array_namespace(outputs, labels)
    if labels.ndim < outputs.ndim:
        labels = functions.one_hot(labels, outputs.shape[-1], outputs.dtype)
    difference = outputs - xp.astype(labels, outputs.dtype, copy=False)
    return xp.mean(0.5 * xp.sum(difference * difference, axis=-1))


def _check_labels(loss: str, outputs: Array, labels: Array) -> None:
    given, wanted = labels.shape, outputs.shape
    if given != wanted[:-1] and given != wanted:
        raise ShapeError(
            f"{loss}: outputs of shape {tuple(wanted)} were given with labels of shape {tuple(given)}; "
            f"wanted class indices of shape {tuple(wanted[:-1])} or one-hot rows of {tuple(wanted)}"
        )
