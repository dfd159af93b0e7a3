"""PyTorch's kernels: its own functions, called directly."""

from anynet.kernel import Kernels
from anynet_torch.kernels import (
    activation,
    affine,
    attention,
    batch_norm,
    convolution,
    cross_entropy,
    embedding,
    erf,
    indexing,
    piecewise,
    pooling,
    smooth,
    standard,
    standardize,
    threefry,
    update,
)

KERNELS = Kernels(
    activation.kernels,
    affine.kernels,
    attention.kernels,
    batch_norm.kernels,
    convolution.kernels,
    cross_entropy.kernels,
    embedding.kernels,
    erf.kernels,
    indexing.kernels,
    piecewise.kernels,
    pooling.kernels,
    smooth.kernels,
    standard.kernels,
    standardize.kernels,
    threefry.kernels,
    update.kernels,
)
