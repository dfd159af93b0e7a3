"""The softmax of attention scores with a mask."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, device, unravel
from anynet.errors import DataError
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive


def _rule(
    xp: Namespace,
    out: Array,
    scores: Array,
    allowed: Array,
) -> Any:
    return lambda g: out * (g - xp.sum(g * out, axis=-1, keepdims=True)), None


def _explain(scores: Array, allowed: Array) -> None:
    """Raise an error that names the first row without an allowed key."""
    xp = array_namespace(allowed)
    nothing = xp.reshape(xp.logical_not(xp.any(allowed, axis=-1)), (-1,))
    if bool(xp.any(nothing)):
        row = unravel(int(xp.argmax(xp.astype(nothing, xp.int32))), allowed.shape[:-1])
        raise DataError(
            f"row {row} of the mask, of shape {tuple(allowed.shape)}, allows no key, so its "
            "weights would be 0 / 0: wanted at least one True in every row"
        )


@primitive(_rule, _explain, kind=REAL)
@in_float32
def masked_softmax(scores: Array, allowed: Array) -> Array:
    """Return softmax(scores) over the last axis among the allowed elements, and 0 for the others.

    A row without an allowed element is NaN, where the library cannot raise an error without waiting
    for the device.

    Args:
        scores: (…, keys), floating.
        allowed: boolean, of a shape that broadcasts to the shape of the scores.

    Raises:
        DataError: a row has no allowed element.

    >>> import numpy as np
    >>> from anynet.primitives import masked_softmax
    >>> masked_softmax(np.zeros((1, 3)), np.array([True, True, False]))
    array([[0.5, 0.5, 0. ]])

    """
    xp = array_namespace(scores, allowed)
    minus_infinity = xp.full(
        (),
        -math.inf,
        dtype=scores.dtype,
        device=device(scores),
    )
    scores = xp.where(allowed, scores, minus_infinity)
    e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)
