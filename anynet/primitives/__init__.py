"""The hot operations: each a reference in Array API code with its rule, for which a backend may hold a kernel."""

from anynet.primitives.activation import log_softmax, relu, relu_gradient, sigmoid, softmax
from anynet.primitives.affine import affine
from anynet.primitives.cross_entropy import softmax_cross_entropy
from anynet.primitives.update import sgd_update

__all__ = [
    "affine",
    "log_softmax",
    "relu",
    "relu_gradient",
    "sgd_update",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
]
