"""Decompositions of the standard's sorting functions."""

from anynet.array import Array, Namespace
from anynet.autodiff.rules.table import Table

DECOMPOSITIONS = decomposition = Table()


@decomposition
def sort(
    xp: Namespace,
    x: Array,
    /,
    *,
    axis: int = -1,
    descending: bool = False,
    stable: bool = True,
) -> Array:
    """Take the elements in sorted order. Equal elements keep their own cotangents."""
    order = xp.argsort(x, axis=axis, descending=descending, stable=stable)
    return xp.take_along_axis(x, order, axis=axis)
