"""Slices and additions at indices. The references write into arrays, which JAX does not allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.array import as_indices
from anynet.kernel import Kernels

if TYPE_CHECKING:
    from jax import Array

kernels = Kernels()


@kernels.register()
def place(g: Array, key: Any, shape: tuple[int, ...]) -> Any:
    """Set a slice of zeros, functionally."""
    import jax.numpy as jnp

    out = jnp.zeros(shape, g.dtype)
    # None adds axes when an array is read, and has no place where it is written.
    key = tuple(part for part in (key if isinstance(key, tuple) else (key,)) if part is not None)
    return out.at[key].set(g.reshape(out[key].shape))


@kernels.register()
def put(x: Array, key: Any, value: Any) -> Any:
    """Set elements, functionally."""
    return x.at[key].set(value)


@kernels.register()
def index_add(g: Array, indices: Array, axis: int, length: int) -> Any:
    """Add slices where their index says."""
    import jax.numpy as jnp

    shape = (*g.shape[:axis], length, *g.shape[axis + 1 :])
    # JAX adds the length to indices, in their own dtype.
    places = as_indices("indices", indices)
    return jnp.zeros(shape, g.dtype).at[(slice(None),) * axis + (places,)].add(g)


@kernels.register()
def scatter_add(g: Array, indices: Array, axis: int, length: int) -> Any:
    """Add elements where their index says."""
    import jax.numpy as jnp

    axis %= g.ndim
    here = list(jnp.indices(g.shape, sparse=True))
    here[axis] = as_indices("indices", indices)
    return (
        jnp.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype).at[tuple(here)].add(g)
    )
