"""Rows of a table by their indices."""

import math
from typing import Any

from anynet.array import (
    Array,
    Namespace,
    array_namespace,
    as_indices,
    device,
    widened,
)
from anynet.errors import DataError
from anynet.primitives.indexing import index_add
from anynet.primitives.precision import REAL_OR_COMPLEX
from anynet.tracing.trace import primitive


def _rule(xp: Namespace, out: Array, weight: Array, indices: Array) -> Any:
    rows, features = weight.shape
    places = xp.reshape(as_indices("indices", indices), (-1,))
    return lambda g: index_add(
        xp.reshape(widened(g), (math.prod(indices.shape), features)),
        places,
        0,
        rows,
    ), None


def _explain(weight: Array, indices: Array) -> None:
    xp, indices = array_namespace(indices), as_indices("indices", indices)
    if not math.prod(indices.shape):
        return
    for index in (int(xp.min(indices)), int(xp.max(indices))):
        if not 0 <= index < weight.shape[0]:
            raise DataError(f"index {index} is outside the table of {weight.shape[0]} rows")


@primitive(_rule, _explain, kind=REAL_OR_COMPLEX)
def embedding(weight: Array, indices: Array) -> Array:
    """Return weight[indices], (…, features), for weight (rows, features) and integers (…) in 0 …
    rows - 1.

    An index outside, also a negative one, is an error where the library can tell without waiting
    for a device; elsewhere its row is NaN.
    """
    xp = array_namespace(weight, indices)
    flat = xp.reshape(as_indices("indices", indices), (-1,))
    inside = xp.logical_and(flat >= 0, flat < weight.shape[0])
    found = xp.take(weight, xp.where(inside, flat, xp.zeros_like(flat)), axis=0)
    nothing = xp.full((), math.nan, dtype=found.dtype, device=device(found))
    found = xp.where(xp.expand_dims(inside, axis=-1), found, nothing)
    return xp.reshape(found, (*indices.shape, weight.shape[1]))
