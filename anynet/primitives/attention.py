"""The softmax of attention, in which some elements do not count."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, device, unravel
from anynet.errors import DataError
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive


def _rule(xp: Namespace, out: Array, scores: Array, allowed: Array) -> Any:
    return (
        lambda g: out * (g - xp.sum(g * out, axis=-1, keepdims=True)),
        None,
    )


def _explain(scores: Array, allowed: Array) -> None:
    """Name the first row in which nothing counts."""
    xp = array_namespace(allowed)
    nothing = xp.reshape(xp.logical_not(xp.any(allowed, axis=-1)), (-1,))
    if bool(xp.any(nothing)):
        row = unravel(int(xp.argmax(xp.astype(nothing, xp.int32))), allowed.shape[:-1])
        raise DataError(
            f"row {row} of the mask, of shape {tuple(allowed.shape)}, allows no key, so its weights "
            "would be 0 / 0: wanted at least one True in every row"
        )


@primitive(_rule, _explain, kind=REAL)
@in_float32
def masked_softmax(scores: Array, allowed: Array) -> Array:
    """Return softmax(scores) over the last axis among the elements that are allowed; the others are
    0.

    Allowed is boolean, of a shape that broadcasts to that of the scores. A row without any is an
    error where the library can tell without waiting for a device; elsewhere it is NaN.
    """
    xp = array_namespace(scores, allowed)
    scores = xp.where(
        allowed,
        scores,
        xp.full((), -math.inf, dtype=scores.dtype, device=device(scores)),
    )
    e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)
