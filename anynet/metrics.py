"""Metrics: how good outputs are, counted on the device."""

from anynet.array import Array, array_namespace


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
