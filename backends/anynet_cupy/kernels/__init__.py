"""CuPy's kernels: one launch where the references take several."""

from anynet.kernel import Kernels
from anynet_cupy.kernels import (
    activation,
    batch_norm,
    convolution,
    cross_entropy,
    erf,
    indexing,
    pooling,
    standard,
    threefry,
    update,
)

KERNELS = Kernels(
    activation.kernels,
    batch_norm.kernels,
    convolution.kernels,
    cross_entropy.kernels,
    erf.kernels,
    indexing.kernels,
    pooling.kernels,
    standard.kernels,
    threefry.kernels,
    update.kernels,
)
