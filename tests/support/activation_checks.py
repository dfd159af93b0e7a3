"""Checks that every activation passes."""

import numpy as np
from helpers import assert_close, host, normal

import anynet
from anynet.array import array_namespace


def check_values(backend, function, expected, dtype, scale, shape):
    """Compare values with those of SciPy, and check that the gradient is finite."""
    x = backend.asarray((scale * np.random.default_rng(0).normal(size=shape)).astype(dtype))
    tolerance = 2e-6 if dtype == "float32" else 1e-12
    values = expected(host(x).astype(np.float64))
    assert_close(function(x), values, like=x, rtol=tolerance, atol=tolerance)
    weights = backend.asarray(host(normal(backend, *shape, seed=1)).astype(dtype))
    gradient = host(anynet.grad(lambda x: array_namespace(x).sum(function(x) * weights))(x))
    assert gradient.dtype == dtype
    assert np.isfinite(gradient).all()


def check_derivatives(backend, function, second=True):
    """Check the first derivative, and the second one where it is not zero."""
    x, weights = normal(backend, 3, 4), normal(backend, 3, 4, seed=1)
    f = lambda x: array_namespace(x).sum(function(x) * weights)
    assert anynet.check_gradients(f, x)
    if second:
        assert anynet.check_gradients(lambda x: array_namespace(x).sum(anynet.grad(f)(x) ** 2), x)
