"""Weights of rows, by laws and against scikit-learn."""

from functools import partial

import numpy as np
import pytest
from helpers import assert_close, host

import anynet
from anynet import layers, losses, optimizers
from anynet.data import Loader
from anynet.errors import ArgumentError, DataError, DTypeError, ShapeError
from anynet.training.weights import weighted

CLASSES = [
    losses.cross_entropy,
    partial(losses.cross_entropy, label_smoothing=0.1),
    losses.negative_log_likelihood,
    losses.cross_entropy_of_probabilities,
    losses.hinge,
    losses.multi_margin,
    losses.sum_of_squares,
    partial(losses.cross_entropy, reduction="sum"),
]
TARGETS = [
    losses.mean_squared_error,
    losses.mean_absolute_error,
    losses.huber,
    partial(losses.huber, delta=0.3),
    losses.binary_cross_entropy_with_logits,
    losses.kl_divergence,
    losses.cosine,
]


def outputs_and_labels(backend, loss, n=6):
    generator = np.random.default_rng(0)
    outputs = generator.uniform(0.1, 0.9, (n, 3)).astype("float32")
    labels = generator.integers(0, 3, n)
    if loss in TARGETS:
        labels = generator.dirichlet(np.ones(3), n).astype("float32")
    return backend.asarray(outputs), backend.asarray(labels)


def check_laws(backend, loss):
    outputs, labels = outputs_and_labels(backend, loss)
    ones = backend.xp.ones((6,), dtype=backend.xp.float32, device=backend.device)
    assert_close(weighted(loss)(outputs, labels, ones), host(loss(outputs, labels)), rtol=1e-5)
    counts = backend.asarray(np.asarray([2, 1, 0, 3, 1, 1], "float32"))
    rows = backend.asarray(np.asarray([0, 0, 1, 3, 3, 3, 4, 5]))
    take = backend.xp.take
    repeated = loss(take(outputs, rows, axis=0), take(labels, rows, axis=0))
    assert_close(weighted(loss)(outputs, labels, counts), host(repeated), rtol=1e-5)


@pytest.mark.parametrize("loss", [*CLASSES, *TARGETS])
def test_weights_of_one_change_nothing_and_of_two_repeat_rows(backend, loss):
    check_laws(backend, loss)


@pytest.mark.parametrize("settings", [{"ignore_index": 1}, {"weight": [0.5, 1, 3]}])
def test_ignored_labels_and_weights_of_classes_count_as_without_weights(backend, settings):
    loss = losses.cross_entropy
    if "weight" in settings:
        settings = {"weight": backend.asarray(np.asarray(settings["weight"], "float32"))}
    check_laws(backend, partial(loss, **settings))


def test_weights_of_a_sequence_repeat_it(backend):
    """The loss of a row is the mean over its elements."""
    generator = np.random.default_rng(1)
    outputs = backend.asarray(generator.normal(size=(3, 4, 5)).astype("float32"))
    labels = backend.asarray(generator.integers(0, 5, (3, 4)))
    weights = backend.asarray(np.asarray([2.0, 0.0, 1.0], "float32"))
    rows = backend.asarray(np.asarray([0, 0, 2]))
    take = backend.xp.take
    expected = losses.cross_entropy(take(outputs, rows, axis=0), take(labels, rows, axis=0))
    assert_close(
        weighted(losses.cross_entropy)(outputs, labels, weights), host(expected), rtol=1e-5
    )


def data(backend, n=60, noise=1.0):
    generator = np.random.default_rng(0)
    t = generator.integers(0, 3, n)
    x = np.asarray([[0, 2], [2, -1], [-2, -1]])[t] + generator.normal(size=(n, 2)) * noise
    weights = generator.integers(0, 3, n).astype("float32")
    return tuple(backend.asarray(value) for value in (x.astype("float32"), t, weights))


def network(backend):
    return layers.Sequential(layers.Linear(2, 3), seed=0, backend=backend)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("kind", ["arrays", "loader", "batches"])
def test_fit_with_weights_is_fit_with_repeated_rows(backend, compile, kind):
    """One step on all rows, of which those of weight 0 are left out."""
    if backend.name == "jax" and not compile:
        pytest.skip(reason="JAX compiles each function for too long")
    x, t, weights = data(backend)
    counts = host(weights).astype(int)
    rows = backend.asarray(np.repeat(np.arange(60), counts))
    take = backend.xp.take
    repeated = take(x, rows, axis=0), take(t, rows, axis=0)
    given, named = (x, t, weights), {"batch_size": 60}
    if kind == "loader":
        given, named = Loader(x, t, 60, weights=weights), {}
    elif kind == "batches":
        given, named = [(x, t, weights)], {}
    settings = {"epochs": 3, "compile": compile, "progress": False}
    net, expected = network(backend), network(backend)
    history = anynet.fit(net, given, **named, **settings)
    theirs = anynet.fit(expected, repeated, batch_size=rows.shape[0], **settings)
    assert history.losses == pytest.approx(theirs.losses, rel=1e-4)
    for name, p in net.parameters().items():
        assert_close(p, host(expected[name]), rtol=1e-4, atol=1e-6)
    # Metrics count all rows alike.
    if kind != "batches":
        assert history.epochs[-1].train_score == anynet.evaluate(net, (x, t))


def test_weighted_logistic_regression_agrees_with_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model", reason="compares with scikit-learn")
    backend = anynet.get_backend("numpy")
    x, t, weights = data(backend, noise=3.0)
    theirs = linear.LogisticRegression(C=1e6, tol=1e-8).fit(x, t, sample_weight=weights)
    net = network(backend)
    anynet.fit(
        net,
        (x, t, weights),
        optimizer=optimizers.Adam(0.05),
        batch_size=60,
        epochs=600,
        metric=None,
        compile=True,
        progress=False,
    )
    shares = anynet.functions.softmax(net(x))
    np.testing.assert_allclose(shares, theirs.predict_proba(x), atol=2e-3)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(59), DataError, "x has 60 rows and weights has 59: wanted the same number"),
        (np.ones((60, 2)), DataError, r"weights are of shape \(60, 2\): wanted one number"),
        (-np.ones(60), DataError, "a weight is -1: wanted 0 or more"),
        (np.full(60, np.nan), DataError, "weights are not finite"),
        (np.zeros(60), DataError, "all weights are 0: wanted one or more above 0"),
        (np.ones(60) * 1j, DTypeError, "weights are of dtype complex128: wanted real"),
        ((np.arange(60) == 3) * 1.0, DataError, "all weights of batch . of pass 1 are 0: leave"),
    ],
)
@pytest.mark.parametrize("kind", ["arrays", "loader", "batches"])
def test_invalid_weights_raise_before_training(weights, error, message, kind):
    backend = anynet.get_backend("numpy")
    x, t, _ = data(backend)
    net = network(backend)
    before = {name: host(p).copy() for name, p in net.parameters().items()}
    train = lambda: anynet.fit(net, (x, t, weights), batch_size=20, progress=False)
    if kind == "loader":
        train = lambda: anynet.fit(net, Loader(x, t, 20, weights=weights), progress=False)
    elif kind == "batches":
        batches = [(x, t, weights)]
        if "pass" in message:
            message = "batch 2 of train: all weights are 0"
            batches = [(x, t, t + 1.0), (x, t, 0.0 * t)]
        train = lambda: anynet.fit(net, batches, progress=False)
    with pytest.raises(error, match=message):
        train()
    if kind != "batches":
        assert all((host(p) == before[name]).all() for name, p in net.parameters().items())


def test_losses_that_cannot_be_weighted_raise_before_training():
    backend = anynet.get_backend("numpy")
    net, rows = network(backend), data(backend)
    for loss, error, message in (
        (lambda y, t: losses.cross_entropy(y, t), ArgumentError, "which has no reduction: wanted"),
        (
            lambda net, x, t: losses.cross_entropy(net(x), t),
            ArgumentError,
            r"wanted loss\(net, x, t, weights\)",
        ),
        (
            lambda net, x, t, scale=1.0: losses.cross_entropy(net(x), t),
            ArgumentError,
            r"wanted loss\(net, x, t, weights\)",
        ),
        (
            partial(losses.cross_entropy, reduction="none"),
            ArgumentError,
            "the loss has the reduction 'none'",
        ),
        (
            lambda y, t, reduction="mean": losses.cross_entropy(y, t),
            ShapeError,
            r"returns \(\) with reduction='none': wanted one loss for each row, \(20, …\)",
        ),
    ):
        with pytest.raises(error, match=message):
            anynet.fit(net, rows, loss=loss, batch_size=20, metric=None, progress=False)
    with pytest.raises(ArgumentError, match=r"loss\(net, x, t, weights\) is for data with weig"):
        anynet.fit(net, rows[:2], loss=lambda net, x, t, w: None, progress=False)


@pytest.mark.parametrize("compile", [False, True])
def test_loss_of_four_arguments_takes_the_weights(backend, compile):
    def own(net, x, t, weights):
        return weighted(losses.cross_entropy)(net(x), t, weights)

    runs = [
        anynet.fit(
            network(backend),
            data(backend),
            loss=loss,
            batch_size=20,
            epochs=2,
            compile=compile,
            progress=False,
        ).losses
        for loss in (own, losses.cross_entropy)
    ]
    assert runs[0] == pytest.approx(runs[1], rel=1e-6)
