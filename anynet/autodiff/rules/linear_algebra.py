"""Rules of the standard's matrix functions."""

from typing import Any

from anynet.array import Array, Namespace
from anynet.autodiff.rules.table import Table

RULES = rule = Table()


@rule
def matmul(xp: Namespace, out: Array, x1: Array, x2: Array) -> Any:
    """Differentiate x1 @ x2: g @ x2ᵀ and x1ᵀ @ g; a vector counts as a matrix with one row, or one column."""
    row, column = x1.ndim == 1, x2.ndim == 1

    def matrix(g: Array) -> Array:
        if column:
            g = xp.expand_dims(g, axis=-1)
        return xp.expand_dims(g, axis=-2) if row else g

    def to_x1(g: Array) -> Array:
        right = xp.expand_dims(x2, axis=-1) if column else x2
        c = xp.matmul(matrix(g), xp.matrix_transpose(right))
        return xp.squeeze(c, axis=-2) if row else c

    def to_x2(g: Array) -> Array:
        left = xp.expand_dims(x1, axis=-2) if row else x1
        c = xp.matmul(xp.matrix_transpose(left), matrix(g))
        return xp.squeeze(c, axis=-1) if column else c

    return to_x1, to_x2


@rule
def matrix_transpose(xp: Namespace, out: Array, x: Array) -> Any:
    return lambda g: xp.matrix_transpose(g)


@rule
def vecdot(xp: Namespace, out: Array, x1: Array, x2: Array, *, axis: int = -1) -> Any:
    return lambda g: xp.expand_dims(g, axis=axis) * x2, lambda g: xp.expand_dims(g, axis=axis) * x1
