"""Rows of a table by index."""

import numpy as np
import pytest
from helpers import assert_close, checks_labels, host, normal

import anynet
from anynet import primitives
from anynet.array import array_namespace
from anynet.errors import DataError

INDICES = np.array([[3, 0, 3], [1, 3, 2]])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_values(implementation, backend, dtype):
    table = normal(backend, 5, 2)
    rows = primitives.embedding(table, backend.asarray(INDICES.astype(dtype)))
    assert_close(rows, host(table)[INDICES], like=table)


def test_gradient_adds_up_at_indices(implementation, backend):
    table, indices = normal(backend, 5, 2), backend.asarray(INDICES)
    g = normal(backend, 2, 3, 2, seed=1)
    f = lambda table: array_namespace(table).sum(primitives.embedding(table, indices) * g)
    expected = np.zeros((5, 2))
    np.add.at(expected, INDICES, host(g))
    assert_close(anynet.grad(f)(table), expected, like=table, rtol=1e-12)


@pytest.mark.parametrize("index", [5, -1])
def test_index_outside_the_table(implementation, backend, index):
    table, indices = normal(backend, 5, 2), backend.asarray(np.array([1, index]))
    if implementation == "kernel" and checks_labels(backend):
        with pytest.raises(DataError, match=f"index {index} is outside the table of 5 rows"):
            primitives.embedding(table, indices)
    else:
        rows = host(primitives.embedding(table, indices))
        assert np.isnan(rows).tolist() == [[False, False], [True, True]]
