"""NumPy's kernels: the references' results, with fewer passes over memory and fewer calls.

A kernel writes into arrays that it made, never into its arguments.
"""

from anynet.kernel import Kernels
from anynet_numpy.kernels import (
    activation,
    affine,
    attention,
    batch_norm,
    convolution,
    cross_entropy,
    embedding,
    erf,
    indexing,
    pooling,
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
    pooling.kernels,
    standard.kernels,
    standardize.kernels,
    threefry.kernels,
    update.kernels,
)
