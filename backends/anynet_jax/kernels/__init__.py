"""JAX's kernels: its own functions, and functional forms of what the references write in place."""

from anynet.kernel import Kernels
from anynet_jax.kernels import (
    convolution,
    erf,
    indexing,
    pooling,
    standard,
)

KERNELS = Kernels(
    convolution.kernels,
    erf.kernels,
    indexing.kernels,
    pooling.kernels,
    standard.kernels,
)
