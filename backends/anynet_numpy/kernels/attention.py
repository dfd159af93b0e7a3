"""Softmax over the allowed scores."""

from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Kernels
from anynet_numpy.floats import ZERO

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def masked_softmax(scores: ndarray, allowed: ndarray) -> Any:
    """Compute in one array, and raise for rows without an allowed element."""
    if scores.dtype not in ZERO:
        return NotImplemented
    if not allowed.any(-1).all():
        raise ValueError("a row of the mask is empty")
    e = np.where(allowed, scores, scores.dtype.type(-np.inf))
    e -= e.max(-1, keepdims=True)
    np.exp(e, out=e)
    e /= e.sum(-1, keepdims=True)
    return e
