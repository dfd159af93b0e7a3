"""Standardization beside its formula."""

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import primitives
from anynet.array import array_namespace

EPSILON = 1e-3
AXES = [(1,), (0, 2), (1, 2), (2,)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", AXES)
def test_values(implementation, backend, dtype, axis):
    x = normal(backend, 4, 5, 3, dtype=dtype)
    plain = host(x).astype("float64")
    mean, variance = (f(plain, axis=axis, keepdims=True) for f in (np.mean, np.var))
    expected = (plain - mean) / np.sqrt(variance + EPSILON)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    results = primitives.standardize(x, axis, EPSILON)
    for result, values in zip(results, (expected, mean, variance), strict=True):
        assert_close(result, values, like=x, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("axis", AXES)
def test_derivatives(implementation, backend, axis):
    x, weights = normal(backend, 4, 5, 3), normal(backend, 4, 5, 3, seed=1)

    def f(x):
        xp = array_namespace(x)
        y, mean, variance = primitives.standardize(x, axis, EPSILON)
        return xp.sum(y * weights) + xp.sum(mean**2) + xp.sum(variance**2)

    assert anynet.check_gradients(f, x)
