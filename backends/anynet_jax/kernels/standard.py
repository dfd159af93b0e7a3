"""Functions of the standard, for indices of every integer dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.array import as_indices
from anynet.kernel import Kernels

if TYPE_CHECKING:
    from jax import Array

kernels = Kernels()


@kernels.register()
def take(
    x: Array,
    indices: Array,
    *,
    axis: int | None = None,
) -> Any:
    """Convert indices, since JAX adds the length to negative ones in their own dtype."""
    import jax.numpy as jnp

    return jnp.take(x, as_indices("indices", indices), axis=axis)


@kernels.register()
def take_along_axis(
    x: Array,
    indices: Array,
    *,
    axis: int = -1,
) -> Any:
    """Convert indices as `take` does."""
    import jax.numpy as jnp

    return jnp.take_along_axis(x, as_indices("indices", indices), axis=axis)
