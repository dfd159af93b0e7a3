"""Slices and additions at indices. The references write into arrays, which JAX does not allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.array import as_indices
from anynet.kernel import Kernels

if TYPE_CHECKING:
    from jax import Array

kernels = Kernels()


@kernels.register()
def place(
    g: Array,
    key: Any,
    shape: tuple[int, ...],
) -> Any:
    """Return zeros with a slice set."""
    import jax.numpy as jnp

    out = jnp.zeros(shape, g.dtype)
    # None adds an axis when an array is read, and has no meaning when it is written.
    parts = key if isinstance(key, tuple) else (key,)
    written = tuple(part for part in parts if part is not None)
    return out.at[written].set(g.reshape(out[written].shape))


@kernels.register()
def put(
    x: Array,
    key: Any,
    value: Any,
) -> Any:
    """Return x with elements set."""
    return x.at[key].set(value)


@kernels.register()
def index_add(
    g: Array,
    indices: Array,
    axis: int,
    length: int,
) -> Any:
    """Add slices at their indices."""
    import jax.numpy as jnp

    shape = (*g.shape[:axis], length, *g.shape[axis + 1 :])
    # JAX adds the length to negative indices in their own dtype.
    places = as_indices("indices", indices)
    return jnp.zeros(shape, g.dtype).at[(slice(None),) * axis + (places,)].add(g)


@kernels.register()
def scatter_add(
    g: Array,
    indices: Array,
    axis: int,
    length: int,
) -> Any:
    """Add elements at their indices."""
    import jax.numpy as jnp

    axis %= g.ndim
    places = list(jnp.indices(g.shape, sparse=True))
    places[axis] = as_indices("indices", indices)
    shape = (*g.shape[:axis], length, *g.shape[axis + 1 :])
    return jnp.zeros(shape, g.dtype).at[tuple(places)].add(g)
