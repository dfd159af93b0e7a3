"""Functions of the standard that dpnp computes differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels

if TYPE_CHECKING:
    from dpnp import ndarray

kernels = Kernels()


@kernels.register()
def broadcast_to(x: ndarray, shape: tuple[int, ...]) -> Any:
    """Copy: dpnp 0.20's matmul reads a view that repeats a row of a matrix as if each row had its
    own memory.
    """
    import dpnp

    return dpnp.broadcast_to(x, shape).copy()
