"""Differentiation as an array namespace: any Array API code, on any library, has a derivative."""

from anynet.autodiff import rules
from anynet.autodiff.backward import grad, stop_gradient, value_and_grad
from anynet.autodiff.namespace import DifferentiableNamespace, differentiable
from anynet.autodiff.trace import Primitive, primitive
from anynet.autodiff.transformations import checkpoint, custom_vjp, hessian, hvp, jacobian, jvp, vjp
from anynet.autodiff.vmap import vmap

__all__ = [
    "DifferentiableNamespace",
    "Primitive",
    "checkpoint",
    "custom_vjp",
    "differentiable",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "primitive",
    "rules",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
