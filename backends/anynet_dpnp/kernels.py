"""dpnp's kernels: what its own functions do not do as the standard says."""

from collections.abc import Callable, Mapping
from typing import Any


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Copy: dpnp 0.20's matmul reads a view that repeats a row of a matrix as if each row had its
    own memory.
    """
    import dpnp

    return dpnp.broadcast_to(x, shape).copy()


KERNELS: Mapping[str, Callable[..., Any]] = {"broadcast_to": broadcast_to}
