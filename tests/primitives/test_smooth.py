"""Smooth activations beside SciPy's functions."""

import numpy as np
import pytest
from activation_checks import check_derivatives, check_values
from scipy import special

from anynet import functions

FUNCTIONS = {
    "gelu": lambda x: x * special.ndtr(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "softplus": lambda x: np.logaddexp(x, 0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_values(implementation, backend, name, dtype, scale, shape):
    check_values(backend, getattr(functions, name), FUNCTIONS[name], dtype, scale, shape)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_derivatives(implementation, backend, name):
    check_derivatives(backend, getattr(functions, name))
