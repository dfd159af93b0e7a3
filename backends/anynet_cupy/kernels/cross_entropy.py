"""Softmax and cross-entropy: two launches instead of fifteen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_cupy.elementwise import declared, elementwise

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()

#: The most classes that every thread reads.
_CLASSES = 256


@kernels.register()
def softmax_cross_entropy(logits: ndarray, labels: ndarray) -> Any:
    """Use two launches instead of fifteen for few classes."""
    import cupy

    if logits.ndim != 2 or labels.ndim != 1 or not declared("cross_entropy", logits, L=labels):
        return NotImplemented
    if not 0 < logits.shape[-1] <= _CLASSES or not len(logits):
        return NotImplemented
    logits = cupy.ascontiguousarray(logits)
    rows, classes = logits.shape
    share = logits.dtype.type(1 / rows)
    loop = elementwise("cross_entropy")
    difference, losses = loop(logits, logits, labels[:, None], classes, share)
    return cupy.sum(losses), difference
