"""Decompositions of the standard's set functions. They take each value where it comes first."""

from typing import Any

from anynet.array import Array, Namespace, device
from anynet.autodiff.gradients import stop_gradient
from anynet.autodiff.rules.table import Table

DECOMPOSITIONS = decomposition = Table()


@decomposition
def unique_all(xp: Namespace, x: Array, /) -> Any:
    result = _constant(xp, "unique_all", x)
    return result._replace(values=xp.take(xp.reshape(x, (-1,)), result.indices))


@decomposition
def unique_counts(xp: Namespace, x: Array, /) -> Any:
    return _constant(xp, "unique_counts", x)._replace(values=unique_values(xp, x))


@decomposition
def unique_inverse(xp: Namespace, x: Array, /) -> Any:
    result = _constant(xp, "unique_inverse", x)
    inverse = xp.reshape(result.inverse_indices, (-1,))
    order = xp.argsort(inverse, stable=True)
    classes = xp.arange(
        result.values.shape[0],
        dtype=inverse.dtype,
        device=device(inverse),
    )
    first = xp.take(order, xp.searchsorted(xp.take(inverse, order), classes))
    return result._replace(values=xp.take(xp.reshape(x, (-1,)), first))


@decomposition
def unique_values(xp: Namespace, x: Array, /) -> Array:
    values: Array = unique_inverse(xp, x).values
    return values


def _constant(
    xp: Namespace,
    name: str,
    x: Array,
) -> Any:
    """Return the result of a function as constants."""
    return getattr(xp, name)(stop_gradient(x))
