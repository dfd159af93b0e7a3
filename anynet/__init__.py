"""anynet: neural networks written in the Array API standard.

Write a network once, train it on whatever array library and device is there.
"""

from anynet import (
    autodiff,
    checkpoint,
    data,
    functions,
    initializers,
    layers,
    losses,
    metrics,
    numerical,
    optimizers,
    random,
    schedulers,
    tree,
)
from anynet.autodiff import custom_vjp, grad, hessian, hvp, jacobian, jvp, stop_gradient, value_and_grad, vjp, vmap
from anynet.backend import Backend, get_backend
from anynet.compilation import compile
from anynet.gradient_check import check_gradients
from anynet.layers import summary
from anynet.numerical import numerical_gradient
from anynet.onnx import export_onnx
from anynet.training import History, evaluate, fit

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "History",
    "autodiff",
    "check_gradients",
    "checkpoint",
    "compile",
    "custom_vjp",
    "data",
    "evaluate",
    "export_onnx",
    "fit",
    "functions",
    "get_backend",
    "grad",
    "hessian",
    "hvp",
    "initializers",
    "jacobian",
    "jvp",
    "layers",
    "losses",
    "metrics",
    "numerical",
    "numerical_gradient",
    "optimizers",
    "random",
    "schedulers",
    "stop_gradient",
    "summary",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
]
