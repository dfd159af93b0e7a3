"""Activations beside SciPy's functions."""

import numpy as np
import pytest
from activation_checks import check_derivatives, check_values
from helpers import assert_close, host, normal
from scipy import special

from anynet import functions, primitives


def test_relu(implementation, backend):
    x = backend.asarray(np.array([-1.0, 0.0, 2.0, np.nan, np.inf]))
    assert_close(primitives.relu(x), [0, 0, 2, np.nan, np.inf])
    x, g = (
        backend.asarray(np.array([-1.0, 0.0, 2.0, np.inf])),
        backend.asarray(np.array([1.0, 2.0, 3.0, 4.0])),
    )
    assert_close(primitives.relu_gradient(g, primitives.relu(x)), [0, 0, 3, 4])


FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": special.expit,
    "silu": lambda x: x * special.expit(x),
    "tanh": np.tanh,
    "identity": lambda x: x,
    "softmax": lambda x: special.softmax(x, axis=-1),
    "log_softmax": lambda x: special.log_softmax(x, axis=-1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_values(implementation, backend, name, dtype, scale, shape):
    check_values(backend, getattr(functions, name), FUNCTIONS[name], dtype, scale, shape)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_derivatives(implementation, backend, name):
    check_derivatives(backend, getattr(functions, name), second=name not in ("identity", "relu"))


def test_small_sigmoids_keep_their_digits(implementation, backend):
    x = backend.asarray(np.array([-80.0, -30.0, 30.0], "float32"))
    assert_close(functions.sigmoid(x), special.expit([-80.0, -30.0, 30.0]), rtol=1e-6)


def test_softmax_over_another_axis(backend):
    x = normal(backend, 3, 4)
    assert_close(functions.softmax(x, axis=0), special.softmax(host(x), axis=0))
    assert_close(
        functions.log_softmax(x, axis=0),
        special.log_softmax(host(x), axis=0),
    )
