"""Differentiation as an array namespace: any Array API code, on any library, has a derivative."""

from anynet.autodiff import rules
from anynet.autodiff.backward import grad, stop_gradient, value_and_grad
from anynet.autodiff.namespace import DifferentiableNamespace, differentiable
from anynet.autodiff.trace import Primitive, primitive

__all__ = [
    "DifferentiableNamespace",
    "Primitive",
    "differentiable",
    "grad",
    "primitive",
    "rules",
    "stop_gradient",
    "value_and_grad",
]
