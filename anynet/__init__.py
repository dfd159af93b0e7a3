"""anynet: neural networks written in the Array API standard.

Write a network once and train it with any array library on any device.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from anynet import (
    autodiff,
    backend,
    callbacks,
    compiler,
    data,
    distributed,
    errors,
    functions,
    gradient_check,
    initializers,
    interop,
    kernel,
    layers,
    losses,
    metrics,
    numerical,
    optimizers,
    random,
    tree,
)
from anynet.autodiff import (
    custom_vjp,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
)
from anynet.backend import Backend, configure, get_backend
from anynet.compiler.compiled_step import compile
from anynet.distributed import open_group
from anynet.gradient_check import check_gradients
from anynet.interop.onnx import export_onnx
from anynet.layers import capture, summary
from anynet.numerical import numerical_gradient
from anynet.precision import MixedPrecision
from anynet.training import History, checkpoint, evaluate
from anynet.training.checkpoint import load, save
from anynet.training.fit import fit

if TYPE_CHECKING:
    from anynet import bench, cli, perceptron, plotting, report

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "History",
    "MixedPrecision",
    "autodiff",
    "backend",
    "bench",
    "callbacks",
    "capture",
    "check_gradients",
    "checkpoint",
    "cli",
    "compile",
    "compiler",
    "configure",
    "custom_vjp",
    "data",
    "distributed",
    "errors",
    "evaluate",
    "export_onnx",
    "fit",
    "functions",
    "get_backend",
    "grad",
    "gradient_check",
    "hessian",
    "hvp",
    "initializers",
    "interop",
    "jacobian",
    "jvp",
    "kernel",
    "layers",
    "load",
    "losses",
    "metrics",
    "numerical",
    "numerical_gradient",
    "open_group",
    "optimizers",
    "perceptron",
    "plotting",
    "random",
    "report",
    "save",
    "stop_gradient",
    "summary",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
]

#: Modules that are imported when they are first used.
_LAZY = frozenset({"bench", "cli", "perceptron", "plotting", "report"})


# Type checkers find these names above, and report all others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            return importlib.import_module(f"{__name__}.{name}")
        here = sys.modules[__name__]
        raise AttributeError(
            f"module 'anynet' has no attribute {name!r}{_elsewhere(name)}",
            name=name,
            obj=here,
        )

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LAZY})


def _elsewhere(name: str) -> str:
    """Return the remedy for a name that one of the modules has."""
    for module in (
        layers,
        functions,
        optimizers,
        losses,
        metrics,
        optimizers.schedules,
        initializers,
        data,
        tree,
    ):
        value = vars(module).get(name)
        if str(getattr(value, "__module__", "")).startswith("anynet"):
            return f": wanted {module.__name__}.{name}"
    return ""
