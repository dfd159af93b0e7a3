"""The error function: Erf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import in_single

if TYPE_CHECKING:
    from ndonnx import Array

kernels = Kernels()


@kernels.register()
def erf(x: Array) -> Any:
    """Write Erf."""
    return in_single("erf", x)
