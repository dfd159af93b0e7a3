"""The dtypes of a backend, arrays of them, and comparisons with their tolerances."""

import math

import numpy as np
import pytest
from helpers import host

from anynet.array import array_namespace

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
#: Tolerances relative to the largest value: a few rounding errors each.
FLOATS = {"bfloat16": 2e-2, "float16": 4e-3, "float32": 1e-5, "float64": 1e-9}

#: The names that are tested on JAX, which compiles for every dtype and shape.
SAMPLE = """
    BatchNorm Embedding MultiHeadAttention gelu cosine cross_entropy mean_squared_error accuracy
    uint8 take mask
""".split()


def only_a_sample_on_jax(backend, name):
    if backend.name == "jax" and name not in SAMPLE:
        pytest.skip(reason="JAX compiles for too long; a sample of the names is tested")


def known(backend, dtypes):
    """Return the dtypes that the backend has."""
    return [name for name in dtypes if hasattr(backend.xp, name)]


def make_array(backend, values, dtype):
    return backend.xp.astype(backend.asarray(np.asarray(values)), getattr(backend.xp, dtype))


def precise(x):
    """Return any array as NumPy's float64."""
    xp = array_namespace(x)
    return host(xp.astype(x, xp.float64))


def assert_near(x, expected, dtype, largest=0.0):
    """Compare shape, dtype and values. The tolerance is relative to the largest value, or to
    `largest` if that is larger."""
    assert str(x.dtype).endswith(dtype)
    x, expected = precise(x), np.asarray(expected)
    assert x.shape == expected.shape
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=largest)
    np.testing.assert_allclose(x, expected, rtol=FLOATS[dtype], atol=FLOATS[dtype] * largest)


def weighted_sum(y, backend):
    """Return the sum of an array times weights. The weights are exact in every dtype."""
    xp = array_namespace(y)
    weights = (np.arange(math.prod(y.shape)) % 5 - 2.0).reshape(tuple(y.shape))
    return xp.sum(y * xp.astype(backend.asarray(weights), y.dtype))
