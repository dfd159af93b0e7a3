"""A confusion matrix has the counts of scikit-learn's, and says which rows it leaves out."""

import io

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import data, layers, metrics, plotting
from anynet.errors import AnynetError

Figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib").Figure


def cells(axes):
    return np.asarray(axes.images[0].get_array())


def outputs_and_labels(rows=60, classes=4):
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=(rows, classes)).astype("float32")
    return outputs, generator.integers(0, classes, rows)


def test_counts_and_shares_are_those_of_scikit_learn(backend):
    reference = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    outputs, labels = outputs_and_labels()
    answers = outputs.argmax(axis=1)
    x, t = backend.asarray(outputs), backend.asarray(labels)
    wanted = reference.confusion_matrix(labels, answers)
    one_hot = backend.asarray(np.eye(4, dtype="float32")[labels])
    for axes in (
        plotting.confusion_matrix(x, t),
        plotting.confusion_matrix(backend.asarray(answers), one_hot),
        plotting.confusion_matrix(answers.tolist(), labels.tolist()),
        plotting.confusion_matrix(metrics.confusion_matrix(x, t)),
    ):
        np.testing.assert_array_equal(cells(axes), wanted)
        assert axes.get_xlabel() == "prediction"
    shares = reference.confusion_matrix(labels, answers, normalize="true")
    axes = plotting.confusion_matrix(x, t, normalize=True)
    np.testing.assert_allclose(cells(axes), shares)
    assert [text.get_text() for text in axes.texts] == [f"{x:.2f}" for x in shares.flatten()]


@pytest.mark.parametrize("compile", [False, True])
def test_network_and_data(backend, compile):
    net = layers.Sequential(layers.Linear(3, 4), seed=0, backend=backend)
    x, labels = outputs_and_labels(classes=3)
    x, t = backend.asarray(x), backend.asarray(labels)
    wanted = host(metrics.confusion_matrix(net(x), t))
    called = anynet.compile(lambda x: net(x)) if compile else net
    loader = data.Loader(x, t, batch_size=25, shuffle=False)
    for given in ((x, t), loader):
        axes = plotting.confusion_matrix(called, given, classes=["a", "b", "c", "d"])
        np.testing.assert_array_equal(cells(axes), wanted)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b", "c", "d"]


def test_rows_without_a_class_are_counted():
    outputs, labels = outputs_and_labels(10)
    outputs[0, 1] = np.nan
    labels[1] = -1
    wanted = "prediction (2 rows without a class are left out)"
    assert plotting.confusion_matrix(outputs, labels).get_xlabel() == wanted
    x = np.nan_to_num(outputs, nan=9.0)
    axes = plotting.confusion_matrix(lambda x: np.where(x == 9, np.nan, x), (x, labels))
    assert axes.get_xlabel() == wanted
    assert cells(axes).sum() == 8


@pytest.mark.parametrize("classes", [1, 30, 1000])
def test_few_and_many_classes(classes):
    labels = np.arange(2 * classes) % classes
    axes = plotting.confusion_matrix(labels, labels)
    np.testing.assert_array_equal(cells(axes), 2 * np.eye(classes))
    assert len(axes.texts) == (1 if classes == 1 else 0)
    axes.figure.savefig(io.BytesIO())


def test_label_that_does_not_occur_has_no_shares():
    axes = plotting.confusion_matrix([0, 1], [0, 0], normalize=True)
    assert [text.get_text() for text in axes.texts] == ["0.50", "0.50", "–", "–"]


def test_given_axes_are_used():
    axes = Figure().add_subplot()
    assert plotting.confusion_matrix([0], [0], ax=axes) is axes


@pytest.mark.parametrize(
    ("given", "named", "message"),
    [
        (([0, 1], [0]), {}, r"labels has shape \(1,\): wanted class indices \(2,\), or a row"),
        (([0.1, 0.9], [0, 1]), {}, "predictions has the dtype float32 and shape .*: wanted class"),
        ((np.zeros((2, 1)), [0, 1]), {}, r"predictions has shape \(2, 1\): wanted"),
        ((np.asarray(1), [0]), {}, r"predictions has shape \(\): wanted class indices"),
        (([-1], [0]), {}, "no row has both a label and a prediction, of 1: wanted one or more"),
        ((np.zeros(0, int), np.zeros(0, int)), {}, "no row has both a label .*, of 0"),
        (([0, 10**12], [0, 1]), {}, "class 1000000000000 is too large for a matrix: wanted class"),
        (([0, 1],), {}, r"an array of shape \(2,\) was given without labels: wanted labels"),
        ((np.eye(2),), {}, "a matrix of float64 was given without labels: wanted counts"),
        (([0, 3], [0, 1]), {"classes": ["a", "b"]}, "class 2 has no name among 2 names, a, b"),
        ((np.eye(2, dtype=int),), {"classes": "abc"}, "classes is 'abc': wanted the names"),
        ((np.eye(2, dtype=int),), {"classes": [*"abc"]}, "classes has 3 names, and the matrix 2 "),
        ((layers.ReLU(),), {}, r"ReLU was given without data: wanted confusion_matrix\(net, "),
        ((layers.ReLU, [0]), {}, "net is the class ReLU: wanted a network"),
        (([0], [0]), {"normalize": "true"}, "normalize is 'true': wanted True or False"),
        (("ab", [0]), {}, "predictions is 'ab': wanted an array"),
    ],
)
def test_wrong_arguments_raise(given, named, message):
    with pytest.raises(AnynetError, match=rf"^{message}"):
        plotting.confusion_matrix(*given, **named)
