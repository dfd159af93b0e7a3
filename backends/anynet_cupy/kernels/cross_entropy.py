"""Softmax and cross-entropy: two launches instead of fifteen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_cupy.elementwise import declared, elementwise

if TYPE_CHECKING:
    from cupy import ndarray

kernels = Kernels()

#: Classes among which every thread may look.
_CLASSES = 256


@kernels.register()
def softmax_cross_entropy(logits: ndarray, labels: ndarray) -> Any:
    """Two launches instead of fifteen, where classes are few."""
    import cupy

    fits = (
        logits.ndim == 2 and labels.ndim == 1 and 0 < logits.shape[-1] <= _CLASSES and len(logits)
    )
    if not fits or not declared("cross_entropy", logits, L=labels):
        return NotImplemented
    logits = cupy.ascontiguousarray(logits)
    rows, classes = logits.shape
    numbers = classes, logits.dtype.type(1 / rows)
    difference, surprise = elementwise("cross_entropy")(logits, logits, labels[:, None], *numbers)
    return cupy.sum(surprise), difference
