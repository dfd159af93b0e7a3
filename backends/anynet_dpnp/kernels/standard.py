"""Functions of the standard that dpnp computes differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels

if TYPE_CHECKING:
    from dpnp import ndarray

kernels = Kernels()


@kernels.register()
def broadcast_to(x: ndarray, shape: tuple[int, ...]) -> Any:
    """Return a copy.

    In dpnp 0.20, matmul misreads a view that repeats a row of a matrix.
    """
    import dpnp

    return dpnp.broadcast_to(x, shape).copy()
