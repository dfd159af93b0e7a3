"""Kernels for ndonnx: an operation that ONNX has an operator for becomes that operator."""

from anynet.kernel import Kernels
from anynet_ndonnx.kernels import (
    activation,
    affine,
    batch_norm,
    convolution,
    embedding,
    erf,
    piecewise,
    pooling,
    smooth,
    standardize,
)

KERNELS = Kernels(
    activation.kernels,
    affine.kernels,
    batch_norm.kernels,
    convolution.kernels,
    embedding.kernels,
    erf.kernels,
    piecewise.kernels,
    pooling.kernels,
    smooth.kernels,
    standardize.kernels,
)
