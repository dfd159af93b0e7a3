"""The error function: Erf."""

from typing import Any

from anynet.kernel import Kernels
from anynet_ndonnx.operators import in_single

kernels = Kernels()


@kernels.register()
def erf(x: Any) -> Any:
    """Erf."""
    return in_single("erf", x)
