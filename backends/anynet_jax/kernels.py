"""JAX's kernels: its own functions, and other ways where the references write into an array of
their own.
"""

from collections.abc import Callable
from typing import Any

from anynet.array import as_indices


def erf(x: Any) -> Any:
    """Compute it in one call."""
    import jax

    return jax.scipy.special.erf(x)


def place(g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Set a slice of zeros, functionally."""
    import jax.numpy as jnp

    out = jnp.zeros(shape, g.dtype)
    # None adds axes when an array is read, and has no place where it is written.
    key = tuple(part for part in (key if isinstance(key, tuple) else (key,)) if part is not None)
    return out.at[key].set(g.reshape(out[key].shape))


def put(x: Any, key: Any, value: Any) -> Any:
    """Set elements, functionally."""
    return x.at[key].set(value)


def index_add(g: Any, indices: Any, axis: int, length: int) -> Any:
    """Add slices where their index says."""
    import jax.numpy as jnp

    shape = (*g.shape[:axis], length, *g.shape[axis + 1 :])
    # JAX adds the length to indices, in their own dtype.
    places = as_indices("indices", indices)
    return jnp.zeros(shape, g.dtype).at[(slice(None),) * axis + (places,)].add(g)


def scatter_add(g: Any, indices: Any, axis: int, length: int) -> Any:
    """Add elements where their index says."""
    import jax.numpy as jnp

    axis %= g.ndim
    here = list(jnp.indices(g.shape, sparse=True))
    here[axis] = as_indices("indices", indices)
    return (
        jnp.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype).at[tuple(here)].add(g)
    )


def take(x: Any, indices: Any, *, axis: int | None = None) -> Any:
    """Take indices of every integer dtype; JAX adds the length to negative ones in their own
    dtype.
    """
    import jax.numpy as jnp

    return jnp.take(x, as_indices("indices", indices), axis=axis)


def take_along_axis(x: Any, indices: Any, *, axis: int = -1) -> Any:
    """Take indices of every integer dtype, as `take` does."""
    import jax.numpy as jnp

    return jnp.take_along_axis(x, as_indices("indices", indices), axis=axis)


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        erf,
        index_add,
        place,
        put,
        scatter_add,
        take,
        take_along_axis,
    )
}
