"""Additions at indices."""

import numpy as np
import pytest
from helpers import host

from anynet.primitives.indexing import getitem, index_add, put, scatter_add, sum_to


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_index_add_equals_a_loop(backend, dtype):
    """Kernel and reference equal a loop, for repeated and for negative indices."""
    g = np.random.default_rng(0).normal(size=(2, 5, 3)) * (1 + 2j if dtype == "complex128" else 1)
    g = g.astype(dtype)
    indices = np.array([1, -1, 1, 0, 1])
    expected = np.zeros((2, 4, 3), dtype)
    for i, place in enumerate(indices):
        expected[:, place, :] += g[:, i, :]
    of_each = np.random.default_rng(1).integers(-4, 4, size=(2, 5, 3))
    scattered = np.zeros((2, 4, 3), dtype)
    for i, j, k in np.ndindex(2, 5, 3):
        scattered[i, of_each[i, j, k], k] += g[i, j, k]
    for function in (index_add, index_add.reference):
        found = function(backend.asarray(g), backend.asarray(indices), 1, 4)
        np.testing.assert_allclose(host(found), expected, rtol=1e-5)
    for function in (scatter_add, scatter_add.reference):
        found = function(backend.asarray(g), backend.asarray(of_each), 1, 4)
        np.testing.assert_allclose(host(found), scattered, rtol=1e-5)


def test_compiled_steps_call_the_functions_in_a_reference():
    """A reference with brackets is the exception: it would call its primitive again."""
    assert sum_to.inlined
    assert index_add.inlined
    assert scatter_add.inlined
    assert not getitem.inlined
    assert not put.inlined
