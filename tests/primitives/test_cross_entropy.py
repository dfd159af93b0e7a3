"""Softmax and cross-entropy beside SciPy's functions."""

import numpy as np
import pytest
from helpers import assert_close, checks_labels, host, normal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import anynet
from anynet import functions, losses
from anynet.array import array_namespace
from anynet.errors import DataError, ShapeError


def expected_cross_entropy(logits, labels):
    log_p = special.log_softmax(logits.astype(np.float64), axis=-1)
    rows = labels if labels.ndim == logits.ndim else np.eye(logits.shape[-1])[labels]
    return -(rows * log_p).sum(axis=-1).mean(), (np.exp(log_p) - rows) / (
        logits.size / logits.shape[-1]
    )


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 6),
    classes=st.integers(1, 5),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1.0, 1e4]),
    dtype=st.sampled_from(["float32", "float64"]),
    one_hot=st.booleans(),
)
@pytest.mark.parametrize("name", ["numpy", "array_api_strict"])
def test_cross_entropy(name, n, classes, seed, scale, dtype, one_hot):
    backend = anynet.get_backend(name)
    rng = np.random.default_rng(seed)
    logits, labels = (
        (scale * rng.normal(size=(n, classes))).astype(dtype),
        rng.integers(0, classes, n),
    )
    t = np.eye(classes, dtype=dtype)[labels] if one_hot else labels
    x, t = backend.asarray(logits), backend.asarray(t)
    value, gradient = expected_cross_entropy(logits, host(t))
    rtol = 1e-5 if dtype == "float32" else 1e-12
    found, g = anynet.value_and_grad(losses.cross_entropy)(x, t)
    assert_close(found, value, like=x, rtol=rtol, atol=rtol)
    assert_close(g, gradient, like=x, rtol=rtol, atol=rtol)


def test_cross_entropy_second_derivative(implementation, backend):
    x, t = normal(backend, 4, 3), backend.asarray(np.array([0, 2, 1, 1]))
    norm = lambda x: array_namespace(x).sum(anynet.grad(losses.cross_entropy)(x, t) ** 2)
    assert anynet.check_gradients(norm, x)


def test_cross_entropy_of_one_row(implementation, backend):
    x = normal(backend, 3)
    value, _ = expected_cross_entropy(host(x), np.array(1))
    assert_close(losses.cross_entropy(x, backend.asarray(np.array(1))), value)


@pytest.mark.parametrize("label", [3, -1])
def test_label_out_of_range_raises_or_gives_nan(implementation, backend, label):
    x, t = normal(backend, 2, 3), backend.asarray(np.array([0, label]))
    if implementation == "kernel" and checks_labels(backend):
        with pytest.raises(
            DataError,
            match=f"label {label} is no class.*wanted labels 0 to 2",
        ):
            losses.cross_entropy(x, t)
    else:
        assert np.isnan(host(losses.cross_entropy(x, t)))


def test_labels_of_a_wrong_shape(backend):
    for loss in (
        losses.cross_entropy,
        losses.cross_entropy_of_probabilities,
        losses.sum_of_squares,
    ):
        wanted = r"\(4, 3\) were given with labels of shape \(3,\); wanted .*\(4,\) or .*\(4, 3\)"
        with pytest.raises(ShapeError, match=wanted):
            loss(normal(backend, 4, 3), backend.asarray([0, 1, 2]))


def test_losses_of_the_book(backend):
    # The worked example of chapter 4.2: the answer is 2, the network is fairly sure of it, then of
    # 7.
    t = backend.asarray(np.eye(10)[2])
    sure = backend.asarray(np.array([0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0]))
    wrong = backend.asarray(np.array([0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0]))
    assert float(losses.sum_of_squares(sure, t)) == pytest.approx(0.0975)
    assert float(losses.sum_of_squares(wrong, t)) == pytest.approx(0.5975)
    assert float(losses.cross_entropy_of_probabilities(sure, t)) == pytest.approx(
        0.510825457, rel=1e-8
    )
    assert float(losses.cross_entropy_of_probabilities(wrong, t)) == pytest.approx(
        2.302584092, rel=1e-8
    )


def test_labels_as_indices_and_as_rows_agree(backend):
    y, labels = (
        functions.softmax(normal(backend, 5, 3)),
        backend.asarray(np.array([0, 2, 1, 1, 0])),
    )
    rows = functions.one_hot(labels, 3, y.dtype)
    for loss in (
        losses.cross_entropy,
        losses.cross_entropy_of_probabilities,
        losses.sum_of_squares,
    ):
        assert_close(loss(y, labels), host(loss(y, rows)), rtol=1e-12)
    assert np.isfinite(host(losses.cross_entropy_of_probabilities(0 * y, labels)))


def test_one_hot(backend):
    rows = functions.one_hot(backend.asarray([1, 0, 5]), 3)
    np.testing.assert_array_equal(host(rows), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
