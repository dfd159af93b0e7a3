"""Differentiation as an array namespace: any Array API code, on any library, has a derivative."""

from anynet.autodiff import rules
from anynet.autodiff.custom import custom_vjp, remat
from anynet.autodiff.gradients import grad, stop_gradient, value_and_grad
from anynet.autodiff.transformations import hessian, hvp, jacobian, jvp, vjp
from anynet.autodiff.vmap import vmap
from anynet.tracing.namespace import DifferentiableNamespace, differentiable
from anynet.tracing.trace import Primitive, primitive

__all__ = [
    "DifferentiableNamespace",
    "Primitive",
    "custom_vjp",
    "differentiable",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "primitive",
    "remat",
    "rules",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
