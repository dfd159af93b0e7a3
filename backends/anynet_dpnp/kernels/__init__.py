"""dpnp's kernels: the standard's results where its own functions give others."""

from anynet.kernel import Kernels
from anynet_dpnp.kernels import (
    standard,
)

KERNELS = Kernels(
    standard.kernels,
)
