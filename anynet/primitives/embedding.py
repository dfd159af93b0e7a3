"""Rows of a table by index."""

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


def _rule(
    xp: Namespace,
    out: Array,
    weight: Array,
    indices: Array,
) -> Any:
    rows, features = weight.shape
    places = xp.reshape(as_indices("indices", indices), (-1,))

    def pullback(g: Array) -> Array:
        wide = xp.reshape(widened(g), (math.prod(indices.shape), features))
        return index_add(wide, places, 0, rows)

    return pullback, None


def _explain(weight: Array, indices: Array) -> None:
    xp, indices = array_namespace(indices), as_indices("indices", indices)
    if not math.prod(indices.shape):
        return
    for index in (int(xp.min(indices)), int(xp.max(indices))):
        if not 0 <= index < weight.shape[0]:
            raise DataError(f"index {index} is outside the table of {weight.shape[0]} rows")


@primitive(_rule, _explain, kind=REAL_OR_COMPLEX)
def embedding(weight: Array, indices: Array) -> Array:
    """Return weight[indices], (…, features).

    The row of an index outside the table is NaN, where the library cannot raise an error without
    waiting for the device.

    Args:
        weight: (rows, features).
        indices: (…), integers in 0 … rows - 1.

    Raises:
        DataError: an index is negative, or not less than rows.

    >>> import numpy as np
    >>> from anynet.primitives import embedding
    >>> embedding(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0]))
    array([[3., 4.],
           [1., 2.]])

    """
    xp = array_namespace(weight, indices)
    flat = xp.reshape(as_indices("indices", indices), (-1,))
    inside = xp.logical_and(flat >= 0, flat < weight.shape[0])
    rows = xp.take(
        weight,
        xp.where(inside, flat, xp.zeros_like(flat)),
        axis=0,
    )
    nan = xp.full(
        (),
        math.nan,
        dtype=rows.dtype,
        device=device(rows),
    )
    rows = xp.where(xp.expand_dims(inside, axis=-1), rows, nan)
    return xp.reshape(rows, (*indices.shape, weight.shape[1]))
