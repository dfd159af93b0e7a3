"""Rules of the standard's indexing functions."""

import math
from typing import Any

from anynet.array import Array, Namespace, widened
from anynet.autodiff.rules.table import Table
from anynet.primitives.indexing import index_add, scatter_add

RULES = rule = Table()


@rule
def take(
    xp: Namespace,
    out: Array,
    x: Array,
    indices: Array,
    /,
    *,
    axis: int | None = None,
) -> Any:
    along = 0 if axis is None else axis % x.ndim
    shape = x.shape

    def pullback(g: Array) -> Array:
        rows = (*shape[:along], math.prod(indices.shape), *shape[along + 1 :])
        flat = xp.reshape(widened(g), rows)
        return index_add(
            flat,
            xp.reshape(indices, (-1,)),
            along,
            shape[along],
        )

    return pullback, None


@rule
def take_along_axis(
    xp: Namespace,
    out: Array,
    x: Array,
    indices: Array,
    /,
    *,
    axis: int = -1,
) -> Any:
    length = x.shape[axis]
    return lambda g: scatter_add(widened(g), indices, axis, length), None
