"""Metrics beside scikit-learn's."""

import numpy as np
import pytest
from helpers import assert_close, host

import anynet
from anynet import functions, layers, metrics
from anynet.errors import ArgumentError, ShapeError

CLASSES = 5


@pytest.fixture(scope="module")
def sklearn():
    return pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")


def drawn(backend, seed=0, n=60):
    """Outputs and labels in which class 3 is never a label and class 4 never an answer."""
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(n, CLASSES)).astype("float32")
    outputs[:, 4] = -9
    labels = rng.choice([0, 1, 2, 4], size=n)
    return backend.asarray(outputs), backend.asarray(labels)


def test_accuracy(sklearn, backend):
    outputs, labels = drawn(backend)
    found = metrics.accuracy(outputs, labels)
    assert found.dtype == backend.xp.float32
    assert_close(found, sklearn.accuracy_score(host(labels), host(outputs).argmax(-1)), rtol=1e-6)
    assert_close(metrics.accuracy(outputs, functions.one_hot(labels, CLASSES)), host(found))


@pytest.mark.parametrize("k", range(1, CLASSES + 1))
def test_top_k_accuracy(sklearn, backend, k):
    outputs, labels = drawn(backend)
    found = metrics.top_k_accuracy(outputs, labels, k)
    expected = 1.0
    if k < CLASSES:
        expected = sklearn.top_k_accuracy_score(host(labels), host(outputs), k=k, labels=range(CLASSES))
    assert_close(found, expected, rtol=1e-6)
    assert found.dtype == backend.xp.float32
    assert_close(metrics.top_k_accuracy(outputs, functions.one_hot(labels, CLASSES), k), host(found))


def test_ties_and_what_is_not_a_number(backend):
    """The first of equal outputs is the answer; no output that is not a number is right, and no label that is none."""
    outputs = backend.asarray(np.array([[1.0, 1.0, 0.0], [np.nan, np.nan, np.nan], [3.0, 2.0, 1.0]]))
    found = lambda labels, k: float(host(metrics.top_k_accuracy(outputs, backend.asarray(np.array(labels)), k)))
    assert found([0, 0, 0], 1) == pytest.approx(2 / 3)
    assert found([1, 0, 0], 1) == pytest.approx(1 / 3)
    assert found([1, 0, 0], 2) == pytest.approx(2 / 3)
    assert found([3, 0, -1], 3) == 0


def test_confusion_matrix(sklearn, backend):
    outputs, labels = drawn(backend)
    found = metrics.confusion_matrix(outputs, labels)
    expected = sklearn.confusion_matrix(host(labels), host(outputs).argmax(-1), labels=range(CLASSES))
    np.testing.assert_array_equal(host(found), expected)
    assert backend.xp.isdtype(found.dtype, "integral")
    rows = functions.one_hot(labels, CLASSES)
    np.testing.assert_array_equal(host(metrics.confusion_matrix(outputs, rows)), expected)
    small = backend.xp.astype(labels, backend.xp.int8)
    np.testing.assert_array_equal(host(metrics.confusion_matrix(outputs, small)), expected)
    outside = backend.asarray(np.where(host(labels) == 2, -1, np.where(host(labels) == 1, CLASSES, host(labels))))
    expected[[1, 2], :] = 0
    np.testing.assert_array_equal(host(metrics.confusion_matrix(outputs, outside)), expected)


@pytest.mark.parametrize("average", ["macro", "micro", "none"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_scores(sklearn, backend, name, average):
    outputs, labels = drawn(backend)
    found = getattr(metrics, name)(outputs, labels, average)
    expected = getattr(sklearn, f"{name}_score")(
        host(labels),
        host(outputs).argmax(-1),
        labels=range(CLASSES),
        average=None if average == "none" else average,
        zero_division=0,
    )
    assert found.dtype == backend.xp.float32
    assert_close(found, expected, rtol=1e-6)


def test_the_host_waits_for_no_score(strictest):
    outputs, labels = drawn(strictest)
    for metric in (metrics.accuracy, metrics.top_k_accuracy, metrics.confusion_matrix, metrics.f1):
        metric(outputs, labels)


def test_a_score_in_training(backend):
    x, t = drawn(backend)
    net = layers.Sequential(layers.Linear(CLASSES, CLASSES), seed=0, backend=backend)
    history = anynet.fit(net, (x, t), epochs=1, metric=metrics.f1, progress=False)
    assert history.epochs[0].train_score == pytest.approx(float(host(metrics.f1(net(x), t))), rel=1e-6)


def test_what_cannot_be(backend):
    outputs, labels = drawn(backend)
    for k in (0, CLASSES + 1):
        with pytest.raises(ArgumentError, match=f"k is {k} and the outputs have 5 classes: wanted a number from 1 to"):
            metrics.top_k_accuracy(outputs, labels, k)
    with pytest.raises(ArgumentError, match="average is 'weighted': wanted 'macro', 'micro' or 'none'"):
        metrics.f1(outputs, labels, "weighted")
    with pytest.raises(ShapeError, match=r"\(60, 5\) were given with labels of shape \(3,\); wanted .*\(60,\) or"):
        metrics.confusion_matrix(outputs, labels[:3])
