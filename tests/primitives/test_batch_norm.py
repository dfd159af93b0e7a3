"""Batch normalization beside its formula."""

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import primitives
from anynet.array import array_namespace

EPSILON = 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (3, 4, 5, 2)])
def test_values(implementation, backend, dtype, shape):
    x = normal(backend, *shape, dtype=dtype)
    weight, bias = (normal(backend, 4, seed=seed, dtype=dtype) for seed in (1, 2))
    y, mean, variance = primitives.batch_norm(x, weight, bias, EPSILON)
    axis = (0, *range(2, len(shape)))
    plain = host(x).astype("float64")
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    assert_close(mean, plain.mean(axis), like=x, rtol=tolerance, atol=tolerance)
    assert_close(variance, plain.var(axis), like=x, rtol=tolerance, atol=tolerance)
    statistics = host(mean), host(variance), host(weight), host(bias)
    mean, variance, weight, bias = (
        a.reshape(-1, *(1 for _ in shape[2:])).astype("float64") for a in statistics
    )
    expected = (plain - mean) / np.sqrt(variance + EPSILON) * weight + bias
    assert_close(y, expected, like=x, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5, 2)])
def test_derivatives(implementation, backend, shape):
    x, g = normal(backend, *shape), normal(backend, *shape, seed=3)
    weight, bias = (normal(backend, 4, seed=seed) for seed in (1, 2))

    def f(given):
        y, _, _ = primitives.batch_norm(*given, EPSILON)
        return array_namespace(y).sum(y * g)

    assert anynet.check_gradients(f, (x, weight, bias))


def test_inference_scales_and_shifts(implementation, backend):
    x = normal(backend, 3, 4, 5, 2)
    mean, weight, bias = (normal(backend, 4, seed=seed) for seed in (1, 2, 3))
    variance = mean**2
    columns = [host(a)[:, None, None] for a in (mean, variance, weight, bias)]
    expected = (host(x) - columns[0]) / np.sqrt(columns[1] + EPSILON) * columns[2] + columns[3]
    y = primitives.scale_shift(x, mean, variance, weight, bias, EPSILON)
    assert_close(y, expected, like=x, rtol=1e-12, atol=1e-12)
