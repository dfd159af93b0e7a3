"""The operations that need speed: a reference in Array API code, a rule, and a backend's kernel."""

from anynet.primitives.activation import (
    log_softmax,
    relu,
    relu_gradient,
    sigmoid,
    softmax,
)
from anynet.primitives.affine import affine
from anynet.primitives.attention import masked_softmax
from anynet.primitives.batch_norm import (
    batch_norm,
    batch_norm_gradient,
    scale_shift,
)
from anynet.primitives.convolution import (
    conv2d,
    conv2d_input_gradient,
    conv2d_weight_gradient,
)
from anynet.primitives.cross_entropy import softmax_cross_entropy
from anynet.primitives.embedding import embedding
from anynet.primitives.erf import erf
from anynet.primitives.normal import normal_quantile
from anynet.primitives.piecewise import elu, hard_sigmoid, leaky_relu, selu
from anynet.primitives.pooling import (
    avg_pool2d,
    max_pool2d,
    max_pool2d_gather,
    max_pool2d_gradient,
    max_pool2d_with_residuals,
)
from anynet.primitives.smooth import gelu, mish, softplus
from anynet.primitives.standardize import standardize, standardize_gradient
from anynet.primitives.threefry import threefry

__all__ = [
    "affine",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_gradient",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "elu",
    "embedding",
    "erf",
    "gelu",
    "hard_sigmoid",
    "leaky_relu",
    "log_softmax",
    "masked_softmax",
    "max_pool2d",
    "max_pool2d_gather",
    "max_pool2d_gradient",
    "max_pool2d_with_residuals",
    "mish",
    "normal_quantile",
    "relu",
    "relu_gradient",
    "scale_shift",
    "selu",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "standardize",
    "standardize_gradient",
    "threefry",
]
