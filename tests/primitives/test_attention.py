"""Softmax over the allowed scores, beside SciPy's softmax."""

import numpy as np
import pytest
from helpers import assert_close, checks_labels, host, normal
from scipy import special

import anynet
from anynet import primitives
from anynet.array import array_namespace
from anynet.errors import DataError

ALLOWED = np.array([[True, False, True, True], [False, True, False, False]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(implementation, backend, dtype):
    scores = normal(backend, 3, 2, 4, dtype=dtype)
    expected = special.softmax(np.where(ALLOWED, host(scores), -np.inf), axis=-1)
    weights = primitives.masked_softmax(scores, backend.asarray(ALLOWED))
    assert_close(weights, expected, like=scores, rtol=1e-5)


def test_derivatives(implementation, backend):
    scores, g, allowed = normal(backend, 2, 4), normal(backend, 2, 4), backend.asarray(ALLOWED)
    f = lambda scores: array_namespace(scores).sum(
        primitives.masked_softmax(scores, allowed) ** 2 * g
    )
    assert anynet.check_gradients(f, scores)


def test_row_without_an_allowed_key(implementation, backend):
    scores, allowed = normal(backend, 2, 4), ALLOWED.copy()
    allowed[1] = False
    if implementation == "kernel" and checks_labels(backend):
        with pytest.raises(DataError, match=r"row \(1,\) of the mask"):
            primitives.masked_softmax(scores, backend.asarray(allowed))
    else:
        # NumPy warns of 0 / 0.
        with np.errstate(invalid="ignore"):
            weights = host(primitives.masked_softmax(scores, backend.asarray(allowed)))
        assert np.isnan(weights[1]).all()
        assert np.isfinite(weights[0]).all()
