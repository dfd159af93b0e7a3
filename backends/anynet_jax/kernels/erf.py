"""The error function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels

if TYPE_CHECKING:
    from jax import Array

kernels = Kernels()


@kernels.register()
def erf(x: Array) -> Any:
    """Call JAX's function."""
    import jax

    return jax.scipy.special.erf(x)
