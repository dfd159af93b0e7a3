"""Activations of several pieces beside SciPy's functions."""

import numpy as np
import pytest
from activation_checks import check_derivatives, check_values
from scipy import special

from anynet import functions

FUNCTIONS = {
    "elu": lambda x: np.where(x > 0, x, special.expm1(np.minimum(x, 0))),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "selu": lambda x: (
        1.0507009873554805
        * np.where(x > 0, x, 1.6732632423543772 * special.expm1(np.minimum(x, 0)))
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_values(implementation, backend, name, dtype, scale, shape):
    check_values(backend, getattr(functions, name), FUNCTIONS[name], dtype, scale, shape)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_derivatives(implementation, backend, name):
    check_derivatives(
        backend, getattr(functions, name), second=name not in ("hard_sigmoid", "leaky_relu")
    )
