"""Decompositions of the standard's creation functions that take arrays."""

from typing import Any

from anynet.array import Array, Namespace
from anynet.autodiff.rules.table import Table

DECOMPOSITIONS = decomposition = Table()


@decomposition
def meshgrid(
    xp: Namespace,
    *arrays: Array,
    indexing: str = "xy",
) -> Any:
    axes = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        axes[0], axes[1] = 1, 0
    shape = [0] * len(arrays)
    for axis, x in zip(axes, arrays, strict=True):
        shape[axis] = x.shape[0]
    grids = []
    for axis, x in zip(axes, arrays, strict=True):
        along = tuple(-1 if i == axis else 1 for i in range(len(arrays)))
        grids.append(xp.broadcast_to(xp.reshape(x, along), tuple(shape)))
    return type(xp.meshgrid(*map(xp.zeros_like, arrays)))(grids)


@decomposition
def tril(
    xp: Namespace,
    x: Array,
    /,
    *,
    k: int = 0,
) -> Array:
    return xp.where(
        xp.tril(xp.ones_like(x, dtype=xp.bool), k=k),
        x,
        xp.zeros_like(x),
    )


@decomposition
def triu(
    xp: Namespace,
    x: Array,
    /,
    *,
    k: int = 0,
) -> Array:
    return xp.where(
        xp.triu(xp.ones_like(x, dtype=xp.bool), k=k),
        x,
        xp.zeros_like(x),
    )
