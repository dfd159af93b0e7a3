"""The hot operations: each a reference in Array API code with its rule, for which a backend may hold a kernel."""

from anynet.primitives.activation import log_softmax, relu, relu_gradient, sigmoid, softmax
from anynet.primitives.affine import affine
from anynet.primitives.cross_entropy import softmax_cross_entropy
from anynet.primitives.erf import erf
from anynet.primitives.piecewise import elu, hard_sigmoid, leaky_relu, selu
from anynet.primitives.smooth import gelu, mish, softplus
from anynet.primitives.update import adam_update, momentum_update, sgd_update

__all__ = [
    "adam_update",
    "affine",
    "elu",
    "erf",
    "gelu",
    "hard_sigmoid",
    "leaky_relu",
    "log_softmax",
    "mish",
    "momentum_update",
    "relu",
    "relu_gradient",
    "selu",
    "sgd_update",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
]
