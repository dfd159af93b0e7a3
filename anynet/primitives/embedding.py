"""Rows of a table by their numbers."""

from typing import Any

from anynet.array import Array, Namespace, array_namespace
from anynet.autodiff.rules.indexing import index_add
from anynet.autodiff.trace import primitive
from anynet.errors import DataError


def _rule(xp: Namespace, out: Array, weight: Array, indices: Array) -> Any:
    rows = weight.shape[0]
    return lambda g: index_add(xp.reshape(g, (-1, g.shape[-1])), xp.reshape(indices, (-1,)), 0, rows), None


def _explain(weight: Array, indices: Array) -> None:
    xp = array_namespace(indices)
    if not xp.isdtype(indices.dtype, "integral"):
        raise DataError(f"indices of {indices.dtype} were given: wanted integers, 0 to {weight.shape[0] - 1}")
    for index in (int(xp.min(indices)), int(xp.max(indices))):
        if not 0 <= index < weight.shape[0]:
            raise DataError(f"index {index} is outside the table of {weight.shape[0]} rows")


@primitive(_rule, _explain)
def embedding(weight: Array, indices: Array) -> Array:
    """Return weight[indices], (…, features), for weight (rows, features) and integers (…) in 0 … rows - 1.

    An index outside is an error where the library can tell without waiting for a device; elsewhere its row is whatever
    the library returns.
    """
    xp = array_namespace(weight, indices)
    flat = xp.reshape(indices, (-1,))
    # A negative number is no row from the end.
    found = xp.take(weight, xp.where(flat < 0, flat + (2**31 - 1), flat), axis=0)
    return xp.reshape(found, (*indices.shape, weight.shape[1]))
