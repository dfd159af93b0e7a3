import math
import signal
from functools import partial

import numpy as np
import pytest
from helpers import assert_close, cells, host, normal

import anynet
from anynet import layers, losses, metrics, optimizers
from anynet.array import array_namespace, device
from anynet.data import Loader
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    DifferentiationError,
    NonFiniteError,
    ShapeError,
)
from anynet.training import (
    Epoch,
    History,
    on_rows,
    training_step,
)
from anynet.training.progress import Display


def blobs(backend, n=60, classes=3, seed=0):
    """Return points around the corners of a triangle."""
    generator = np.random.default_rng(seed)
    t = generator.integers(0, classes, n)
    corners = np.asarray([[0, 2], [2, -1], [-2, -1]])[:classes]
    x = corners[t] + generator.normal(size=(n, 2)) * 0.4
    return backend.asarray(x.astype("float32")), backend.asarray(t)


def network(backend, seed=0, classes=3):
    return layers.Sequential(
        layers.Linear(2, 16),
        layers.ReLU(),
        layers.Linear(16, classes),
        seed=seed,
        backend=backend,
    )


def test_fit_learns_and_records(backend):
    train, test = blobs(backend), blobs(backend, 30, seed=1)
    net = network(backend)
    history = anynet.fit(net, train, test, epochs=5, batch_size=16, progress=False)
    assert [epoch.number for epoch in history.epochs] == [1, 2, 3, 4, 5]
    assert len(history.losses) == 5 * 4
    assert history.epochs[0].loss == pytest.approx(np.mean(history.losses[:4]), rel=1e-6)
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert history.epochs[-1].test_score == anynet.evaluate(net, test) > 0.9
    assert history.epochs[-1].train_score == anynet.evaluate(net, train)
    assert not history.interrupted
    assert all(epoch.seconds > 0 for epoch in history.epochs)


def test_fit_without_test_data_metric_or_epochs(backend):
    net = network(backend)
    before = {name: host(p).copy() for name, p in net.parameters().items()}
    history = anynet.fit(net, blobs(backend), epochs=0, progress=False)
    assert history.epochs == history.losses == []
    assert all((host(p) == before[name]).all() for name, p in net.parameters().items())
    (epoch,) = anynet.fit(net, blobs(backend), metric=None, epochs=1, progress=False).epochs
    assert epoch.train_score is epoch.test_score is None


def test_fit_takes_one_hot_labels_and_another_loss(backend):
    x, t = blobs(backend)
    rows = anynet.functions.one_hot(t, 3)
    by_index = anynet.fit(network(backend), (x, t), epochs=1, progress=False)
    by_row = anynet.fit(network(backend), (x, rows), epochs=1, progress=False)
    np.testing.assert_allclose(by_row.losses, by_index.losses, rtol=1e-5)
    squares = anynet.fit(
        network(backend),
        (x, t),
        loss=losses.sum_of_squares,
        epochs=3,
        progress=False,
    )
    assert squares.losses[-1] < squares.losses[0]


def test_evaluate_counts_every_row_once(backend, monkeypatch):
    monkeypatch.setattr("anynet.training.sources.EVALUATION_BATCH", 7)
    net, (x, t) = network(backend), blobs(backend)
    expected = float(np.mean(np.argmax(host(net(x)), axis=1) == host(t)))
    assert anynet.evaluate(net, (x, t)) == pytest.approx(expected)


def test_same_seed_trains_alike_on_every_backend(backend):
    """Rounding differs between libraries, so losses agree within a tolerance."""
    runs = [
        anynet.fit(
            network(b, 3),
            blobs(b),
            epochs=25,
            batch_size=16,
            seed=5,
            progress=False,
        ).losses
        for b in ("numpy", backend)
        for b in [anynet.get_backend(b)]
    ]
    assert len(runs[0]) == 100
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-4)


def test_ctrl_c_keeps_the_network_and_the_history(backend):
    loader = Loader(*blobs(backend), batch_size=16)

    class Impatient(optimizers.SGD):
        def update(self, net, grads):
            super().update(net, grads)
            if self.updates == 6:
                raise KeyboardInterrupt

    net = network(backend)
    history = anynet.fit(net, loader, optimizer=Impatient(0.1), epochs=5, progress=False)
    assert history.interrupted
    assert len(history.epochs) == 1
    # The step that was cut off had its update, and its loss was not yet kept.
    assert len(history.losses) == 5
    assert anynet.evaluate(net, (loader.x, loader.t)) > 0.3


def test_nan_loss_stops_training(backend):
    net, (x, t) = network(backend), blobs(backend)
    stop = r"the loss became (nan|inf) in epoch \d, step \d+: lower the learning rate"
    with (
        np.errstate(all="ignore"),
        pytest.raises(NonFiniteError, match=stop),
    ):
        anynet.fit(
            net,
            (x * 1e18, t),
            optimizer=optimizers.SGD(1e20),
            epochs=3,
            progress=False,
        )


def test_error_has_the_history(backend):
    net, data = network(backend), blobs(backend)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as caught:
        anynet.fit(
            net,
            data,
            loss=lambda y, t: losses.cross_entropy(y, t) * math.nan,
            progress=False,
            epochs=2,
        )
    assert math.isnan(caught.value.history.losses[0])
    assert caught.value.history.epochs == []


@pytest.mark.parametrize("where", ["train", "test"])
def test_labels_out_of_range_raise_before_training(backend, where):
    net, good = network(backend), blobs(backend)
    x, t = blobs(backend)
    labels = host(t).copy()
    labels[-1] = 3
    bad = (x, backend.asarray(labels))
    before = {name: host(p).copy() for name, p in net.parameters().items()}
    pair = (bad, good) if where == "train" else (good, bad)
    with pytest.raises(
        DataError,
        match="a label is 3 and the network has 3 outputs: wanted labels 0 to 2",
    ):
        anynet.fit(net, *pair, progress=False)
    assert all((host(p) == before[name]).all() for name, p in net.parameters().items())


def test_negative_epochs_raise(backend):
    with pytest.raises(ValueError, match="epochs is -1: wanted 0 or more"):
        anynet.fit(network(backend), blobs(backend), epochs=-1)


def test_progress_shows_a_line_for_each_epoch(backend, capsys, monkeypatch):
    monkeypatch.setattr("anynet.training.run.READ_INTERVAL", 0.0)
    train = blobs(backend)
    history = anynet.fit(network(backend), train, train, epochs=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split() == "epoch loss train accuracy test accuracy seconds".split()
    for line, epoch in zip(lines[1:3], history.epochs, strict=True):
        assert line.split()[:4] == [
            str(epoch.number),
            f"{epoch.loss:.4f}",
            f"{epoch.train_score:.4f}",
            f"{epoch.test_score:.4f}",
        ]


def test_table_names_every_metric(backend, capsys):
    chosen = [metrics.F1("micro"), metrics.perplexity]
    history = anynet.fit(network(backend), blobs(backend), epochs=1, metric=chosen)
    (heading, line) = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert heading.split() == "epoch loss train f1_micro train perplexity seconds".split()
    scores = history.epochs[0].train_scores
    assert line.split()[2:4] == [
        f"{scores['f1_micro']:.4f}",
        f"{scores['perplexity']:.4f}",
    ]
    assert len(heading) == len(line)


def many(epochs):
    """Return the history of this many epochs."""
    history = History()
    for number in range(1, epochs + 1):
        scores = {"accuracy": 1 - 1 / number}
        history.epochs.append(Epoch(number, 1 / number, scores, scores, 0.5))
        history.losses += [1 / number] * 10
    return history


def test_history_prints_as_a_table():
    history = many(2)
    assert (
        str(history)
        == repr(history)
        == """
epoch    loss  train accuracy  test accuracy  seconds
    1  1.0000          0.0000         0.0000     0.50
    2  0.5000          0.5000         0.5000     0.50
""".strip()
    )
    assert cells(history._repr_html_()) == [
        line.split("  ")
        for line in """
epoch  loss  train accuracy  test accuracy  seconds
1  1.0000  0.0000  0.0000  0.50
2  0.5000  0.5000  0.5000  0.50
""".strip().splitlines()
    ]


@pytest.mark.parametrize("epochs", [20, 21, 10_000])
def test_long_history_prints_the_first_and_last_epochs(epochs):
    history = many(epochs)
    numbers = [line.split()[0] for line in str(history).splitlines()]
    last = [str(number) for number in range(epochs - 9, epochs + 1)]
    assert numbers == [
        "epoch",
        *"1 2 3 4 5 6 7 8 9 10".split(),
        *(["..."] if epochs > 20 else []),
        *last,
    ]
    assert [row[0] for row in cells(history._repr_html_())] == numbers


def test_histories_of_runs_without_metrics_print():
    """Without an epoch, interrupted, and with epochs that measured different metrics."""
    assert str(History()) == "no epochs"
    assert str(History(losses=[1.0, 2.0], interrupted=True)) == "no epochs\ninterrupted"
    assert (
        History(losses=[1.0], interrupted=True)._repr_html_()
        == "<p>no epochs</p><p>interrupted</p>"
    )
    mixed = History([Epoch(1, 1.0, {}, {}, 1.0), Epoch(2, 0.5, {}, {"<f1>": 0.25}, 1.0)])
    assert [line.split() for line in str(mixed).splitlines()] == [
        ["epoch", "loss", "test", "<f1>", "seconds"],
        ["1", "1.0000", "1.00"],
        ["2", "0.5000", "0.2500", "1.00"],
    ]
    assert "<f1>" not in mixed._repr_html_()
    assert cells(mixed._repr_html_()) == [
        ["epoch", "loss", "test <f1>", "seconds"],
        ["1", "1.0000", "", "1.00"],
        ["2", "0.5000", "0.2500", "1.00"],
    ]


def test_display_shows_every_step(monkeypatch):
    monkeypatch.setattr("anynet.training.run.READ_INTERVAL", 0.0)
    backend = anynet.get_backend("numpy")
    shown = []
    monkeypatch.setattr(
        Display,
        "show",
        lambda self, epoch, step, steps, loss: shown.append((epoch, step, loss)),
    )
    history = anynet.fit(
        network(backend),
        blobs(backend),
        epochs=2,
        batch_size=20,
        progress=False,
    )
    assert [(epoch, step) for epoch, step, _ in shown] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
        (2, 3),
    ]
    assert [loss for *_, loss in shown] == history.losses


def test_seed_shuffles_the_data(backend):
    x, t = blobs(backend)
    by_seed = anynet.fit(
        network(backend),
        (x, t),
        batch_size=20,
        seed=5,
        epochs=1,
        progress=False,
    )
    by_loader = anynet.fit(network(backend), Loader(x, t, 20, seed=5), epochs=1, progress=False)
    another = anynet.fit(
        network(backend),
        (x, t),
        batch_size=20,
        seed=6,
        epochs=1,
        progress=False,
    )
    assert by_seed.losses == by_loader.losses != another.losses


def test_step_on_rows_trains_on_these_rows(backend):
    x, t = blobs(backend)
    rows = backend.asarray([3, 1, 50])
    take = backend.xp.take
    step = training_step(losses.cross_entropy)
    found = on_rows(step)(network(backend), optimizers.SGD(0.1), x, t, rows)
    expected = step(
        network(backend),
        optimizers.SGD(0.1),
        take(x, rows, axis=0),
        take(t, rows, axis=0),
    )
    assert_close(found, host(expected), rtol=1e-6)


def column(xp, t):
    return xp.reshape(t, (-1, 1))


@pytest.mark.parametrize(
    ("loss", "outputs", "labels", "name"),
    [
        (losses.cross_entropy, 3, "classes", "accuracy"),
        (losses.cross_entropy, 3, "rows", "accuracy"),
        (
            partial(losses.cross_entropy, label_smoothing=0.1),
            3,
            "classes",
            "accuracy",
        ),
        (losses.hinge, 3, "classes", "accuracy"),
        (losses.multi_margin, 3, "classes", "accuracy"),
        (losses.sum_of_squares, 3, "classes", "accuracy"),
        (losses.sum_of_squares, 3, "rows", "r2_score"),
        (losses.mean_squared_error, 1, "column", "r2_score"),
        (losses.mean_absolute_error, 3, "rows", "r2_score"),
        (partial(losses.huber, delta=0.5), 1, "column", "r2_score"),
        (
            losses.binary_cross_entropy_with_logits,
            1,
            "bits",
            "binary_accuracy",
        ),
        (
            losses.binary_cross_entropy_with_logits,
            3,
            "rows",
            "binary_accuracy",
        ),
        (lambda y, t: losses.cross_entropy(y, t), 3, "classes", None),
        (
            lambda net, x, t: losses.cross_entropy(net(x), t),
            3,
            "classes",
            None,
        ),
        (losses.cosine, 3, "rows", None),
    ],
)
def test_loss_chooses_the_metric(backend, loss, outputs, labels, name):
    usual = (
        losses.cross_entropy,
        losses.mean_squared_error,
        losses.binary_cross_entropy_with_logits,
    )
    if backend.name == "jax" and loss not in usual:
        pytest.skip(reason="JAX compiles for too long")
    xp = backend.xp
    x, t = blobs(backend)
    given = {
        "classes": t,
        "rows": anynet.functions.one_hot(t, 3),
        "column": column(xp, x[:, 0] + x[:, 1]),
        "bits": xp.astype(column(xp, t > 1), xp.int32),
    }[labels]
    net = network(backend, classes=outputs)
    (epoch,) = anynet.fit(net, (x, given), (x, given), loss=loss, epochs=1, progress=False).epochs
    assert list(epoch.train_scores) == list(epoch.test_scores) == ([] if name is None else [name])
    assert epoch.train_score == epoch.test_score
    if name is not None:
        assert epoch.train_score == pytest.approx(
            host(getattr(metrics, name)(net(x), given)).item(), rel=1e-5
        )
        assert epoch.train_score < 1


def test_default_metric_ignores_the_rows_that_the_loss_ignores(backend):
    x, t = blobs(backend)
    xp = backend.xp
    for ignored, dtype in (
        (-100, xp.int64),
        (255, xp.uint8),
        (1, xp.int32),
    ):
        labels = xp.astype(
            xp.where(
                xp.arange(60, device=backend.device) % 2 == 0,
                t,
                ignored + 0 * t,
            ),
            dtype,
        )
        loss = partial(losses.cross_entropy, ignore_index=ignored)
        net = network(backend)
        (epoch,) = anynet.fit(net, (x, labels), loss=loss, epochs=1, progress=False).epochs
        counted = host(labels) != ignored
        right = host(net(x)).argmax(axis=1)[counted] == host(labels)[counted]
        assert epoch.train_score == pytest.approx(right.mean())


def test_f1_counts_all_rows(backend, monkeypatch):
    """Also by a function that is not one of ours."""
    monkeypatch.setattr("anynet.training.sources.EVALUATION_BATCH", 7)
    sklearn = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    net, (x, t) = network(backend), blobs(backend)

    def by_hand(y, t):
        return sklearn.f1_score(host(t), host(y).argmax(axis=1), average="macro")

    chosen = [metrics.f1, partial(metrics.recall, average="micro"), by_hand]
    (epoch,) = anynet.fit(net, (x, t), epochs=1, metric=chosen, progress=False).epochs
    expected = by_hand(net(x), t)
    recall = float(np.mean(host(net(x)).argmax(axis=1) == host(t)))
    assert expected != pytest.approx(
        np.mean([by_hand(net(x[i : i + 6, :]), t[i : i + 6]) for i in range(0, 60, 6)])
    )
    assert list(epoch.train_scores) == ["f1", "recall_micro", "by_hand"]
    assert list(epoch.train_scores.values()) == pytest.approx([expected, recall, expected])
    assert anynet.evaluate(net, (x, t), metrics.f1) == pytest.approx(expected)
    assert anynet.evaluate(net, (x, t), chosen) == epoch.train_scores


def test_loader_of_test_data_is_read_in_order(backend):
    """Its augmentation and its batches are not those of the evaluation."""
    train, (x, t) = blobs(backend), blobs(backend, 30, seed=1)
    loader = Loader(x, t, 7, drop_last=True, augment=lambda key, x: 0 * x)
    net = network(backend)
    (epoch,) = anynet.fit(net, train, loader, epochs=1, progress=False).epochs
    assert epoch.test_score == anynet.evaluate(net, (x, t))


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_trains(backend, name, compile):
    """Scores are sums in float32, and nothing fails after the first epoch."""
    dtype = getattr(backend.xp, name, None)
    if dtype is None:
        pytest.skip(reason=f"{backend.name} has no {name}")
    if backend.name == "jax" and not compile:
        pytest.skip(reason="JAX compiles each function for too long")
    x, t = blobs(backend)
    net = layers.Sequential(
        layers.Linear(2, 16),
        layers.BatchNorm(16),
        layers.ReLU(),
        layers.Linear(16, 3),
    )
    net.initialize(0, backend, dtype=dtype)
    history = anynet.fit(
        net,
        (backend.xp.astype(x, dtype), t),
        metric=[metrics.accuracy, metrics.f1, metrics.perplexity],
        epochs=4,
        batch_size=15,
        compile=compile,
        progress=False,
    )
    scores = history.epochs[-1].train_scores
    assert scores["accuracy"] > 0.9
    assert scores["f1"] > 0.9
    assert 1 <= scores["perplexity"] < 2
    assert len(history.losses) == 16


def test_invalid_metrics_raise(backend):
    net, data = network(backend), blobs(backend)
    with pytest.raises(
        ArgumentError,
        match="two metrics are called 'f1': set the attribute name of one",
    ):
        anynet.evaluate(net, data, [metrics.f1, metrics.F1()])
    with pytest.raises(ArgumentError, match=r"f1_none is of shape \(3,\): wanted a scalar"):
        anynet.evaluate(net, data, metrics.F1("none"))
    same = unchanged(net)
    with pytest.raises(ArgumentError, match=r"f1_none is of shape \(3,\): wanted a scalar"):
        anynet.fit(net, data, metric=metrics.F1("none"), progress=False)
    assert same()
    with pytest.raises(
        ArgumentTypeError,
        match=r"metric is 'f1': wanted one or several of anynet\.metrics, such as met",
    ):
        anynet.fit(net, data, metric="f1")
    with pytest.raises(ArgumentTypeError, match="metric is 1: wanted one or several of"):
        anynet.fit(net, data, metric=[1])


def test_fit_trains_on_sequences(backend):
    """Labels (N, length) of outputs (N, length, classes), some of them to be ignored."""
    rng = np.random.default_rng(0)
    codes = backend.asarray(rng.integers(0, 5, (12, 4)))
    t = np.where(rng.random((12, 4)) < 0.3, -1, host(codes))
    net = layers.Sequential(layers.Embedding(5, 8), layers.Linear(8, 5), seed=0, backend=backend)
    history = anynet.fit(
        net,
        (codes, backend.asarray(t)),
        epochs=5,
        loss=partial(losses.cross_entropy, ignore_index=-1),
        optimizer=optimizers.Adam(0.1),
        batch_size=4,
        progress=False,
    )
    assert history.epochs[-1].train_scores == {"accuracy": 1.0}


def unchanged(net):
    """Return a function that tells whether the network is as it is now."""
    before = {name: host(p).copy() for name, p in net.parameters().items()}
    return lambda: all((host(p) == before[name]).all() for name, p in net.parameters().items())


@pytest.mark.parametrize(
    ("loss", "outputs", "make", "error", "message"),
    [
        (
            losses.cross_entropy,
            3,
            lambda xp, t: column(xp, t),
            ShapeError,
            r"outputs of shape \(N, 3\) and the labels are of shape \(60, 1\): cross_entropy "
            "needs class indices of "
            r"shape \(N,\) or one-hot rows of \(N, 3\)",
        ),
        (
            losses.cross_entropy,
            3,
            lambda xp, t: xp.astype(t, xp.float32),
            DataError,
            r"dtype .*float32 and shape \(60,\): cross_entropy needs class indices of an integer "
            "dtype, by astype; .*"
            "mean_squared_error",
        ),
        (
            losses.cross_entropy,
            1,
            lambda xp, t: 0 * t,
            ShapeError,
            r"outputs of shape \(N, 1\).*cross_entropy needs a last layer with one output for "
            "each class.*"
            "binary_cross_entropy_with_logits",
        ),
        (
            losses.hinge,
            1,
            lambda xp, t: column(xp, 0 * t),
            ShapeError,
            "hinge needs a last layer with one output for",
        ),
        (
            losses.cross_entropy,
            3,
            lambda xp, t: t - 1,
            DataError,
            "a label is -1 .* wanted labels 0 to 2; .*ignore_i",
        ),
        (
            losses.sum_of_squares,
            3,
            lambda xp, t: t + 1,
            DataError,
            "a label is 3 .* or a last layer with 4 outputs",
        ),
        (
            losses.cross_entropy,
            3,
            lambda xp, t: xp.astype(t + 250, xp.uint8),
            DataError,
            "a label is 250 and",
        ),
        (
            losses.mean_squared_error,
            1,
            lambda xp, t: xp.astype(t, xp.float32),
            ShapeError,
            r"labels are of shape \(60,\): mean_squared_error needs labels of shape \(N, 1\): "
            r"reshape\(labels, \(-1, 1",
        ),
        (
            losses.huber,
            3,
            lambda xp, t: t,
            ShapeError,
            r"huber needs labels of shape \(N, 3\); for class indices there is cross_entropy",
        ),
        (
            losses.binary_cross_entropy_with_logits,
            1,
            lambda xp, t: column(xp, t),
            DataError,
            "a label is 2: binary_cross_entropy_with_logits needs labels in 0 … 1, 0 for no and 1 "
            "for yes",
        ),
        (
            losses.cross_entropy,
            3,
            lambda xp, t: xp.ones((60, 3), device=device(t)) * -1.5,
            DataError,
            "a label is -1.5: cross_entropy needs one-hot rows, .*mean_squared_error",
        ),
        (
            losses.binary_cross_entropy_with_logits,
            1,
            lambda xp, t: t,
            ShapeError,
            r"binary_cross_entropy_with_logits needs labels of shape \(N, 1\): reshape",
        ),
    ],
)
@pytest.mark.parametrize("where", ["train", "test"])
def test_labels_that_do_not_fit_the_loss_raise(backend, where, loss, outputs, make, error, message):
    xp, (x, t) = backend.xp, blobs(backend)
    net = network(backend, classes=outputs)
    good = {
        "cross_entropy": t if outputs > 1 else None,
        "sum_of_squares": t,
        "hinge": t if outputs > 1 else None,
    }.get(loss.__name__, xp.zeros((60, outputs), device=backend.device))
    if where == "test" and good is None:
        pytest.skip(reason="no labels fit")
    same = unchanged(net)
    bad = (x, make(xp, t))
    pair = (bad, None) if where == "train" else ((x, good), bad)
    with pytest.raises(error, match=message):
        anynet.fit(net, *pair, loss=loss, progress=False)
    assert same()


def test_network_without_an_axis_of_classes_raises(backend):
    """One output a row is not a batch of one example with N classes."""
    x, t = blobs(backend)

    class Squeezed(layers.Module):
        def __init__(self):
            self.inner = network(backend, classes=1)

        def forward(self, x):
            return self.inner(x)[:, 0]

    with pytest.raises(
        ShapeError,
        match=r"outputs of shape \(N,\) .*cross_entropy needs a last layer with one output",
    ):
        anynet.fit(Squeezed(), (x, 0 * t), progress=False)
    bits = backend.xp.astype(t > 0, backend.xp.float32)
    loss = losses.binary_cross_entropy_with_logits
    (epoch,) = anynet.fit(Squeezed(), (x, bits), loss=loss, epochs=1, progress=False).epochs
    assert 0 < epoch.train_scores["binary_accuracy"] <= 1


def test_outputs_that_are_not_rows_raise(backend):
    x, t = blobs(backend)

    class Other(layers.Module):
        def __init__(self, of_rows):
            self.inner = network(backend)
            self.of_rows = of_rows

        def forward(self, x):
            return self.of_rows(self.inner(x))

    flat = lambda y: backend.xp.reshape(y, (-1, 1))
    for of_rows, error, message in (
        (
            lambda y: (y, y),
            ArgumentError,
            r"gives a tuple: cross_entropy needs an array; .*loss\(net, x, t\)",
        ),
        (
            flat,
            ShapeError,
            r"outputs of shape \(3, 1\) .*cross_entropy needs one row of outputs for each row of x",
        ),
        (
            backend.xp.sum,
            ShapeError,
            r"outputs of shape \(\) .*cross_entropy needs one row of outputs",
        ),
    ):
        with pytest.raises(error, match=message):
            anynet.fit(Other(of_rows), (x, t), progress=False)


def test_metric_that_does_not_fit_raises_before_training(
    backend,
):
    x, t = blobs(backend)
    net = network(backend, classes=1)
    same = unchanged(net)
    loss = lambda y, t: losses.mean_squared_error(y[:, 0], array_namespace(y, t).astype(t, y.dtype))
    with pytest.raises(
        ShapeError,
        match=r"accuracy: outputs of shape \(1, 1\) are no choice among classes",
    ):
        anynet.fit(net, (x, t), loss=loss, metric=metrics.accuracy, progress=False)
    assert same()


@pytest.mark.parametrize("compile", [False, True])
def test_loss_of_three_arguments_takes_the_network(backend, compile):
    """Weight decay as a penalty, against PyTorch's."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    net, (x, t) = network(backend), blobs(backend)
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    with torch.no_grad():
        for p, ours in zip(theirs.parameters(), net.parameters().values(), strict=True):
            p.copy_(torch.tensor(host(ours).T.copy()))

    def loss(net, x, t):
        penalty = sum(array_namespace(w).sum(w**2) for w in net.parameters().values())
        return losses.cross_entropy(net(x), t) + 0.01 * penalty

    data = Loader(x, t, 20, shuffle=False)
    history = anynet.fit(
        net,
        data,
        loss=loss,
        optimizer=optimizers.SGD(0.1),
        epochs=4,
        compile=compile,
        progress=False,
    )
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    expected = []
    for step in range(12):
        rows = slice(step % 3 * 20, step % 3 * 20 + 20)
        inputs, labels = (
            torch.tensor(host(x)[rows]),
            torch.tensor(host(t)[rows]),
        )
        value = torch.nn.functional.cross_entropy(theirs(inputs), labels)
        value = value + 0.01 * sum((w**2).sum() for w in theirs.parameters())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        expected.append(value.item())
    np.testing.assert_allclose(history.losses, expected, rtol=1e-5)
    for p, ours in zip(theirs.parameters(), net.parameters().values(), strict=True):
        assert_close(ours, p.detach().numpy().T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("compile", [False, True])
def test_loss_that_closes_over_the_network_raises(backend, compile):
    """It would be a constant there: the penalty would be reported, and change nothing."""
    net, data = network(backend), blobs(backend)
    same = unchanged(net)

    def penalty():
        return sum(array_namespace(w).sum(w**2) for w in net.parameters().values())

    with pytest.raises(DifferentiationError, match=r"anynet\.fit takes loss\(net, x, t\)"):
        anynet.fit(
            net,
            data,
            loss=lambda y, t: losses.cross_entropy(y, t) + 0.5 * penalty(),
            compile=compile,
            progress=False,
        )
    assert same()


@pytest.mark.parametrize("compile", [False, True])
def test_loss_may_use_another_network(backend, compile):
    """Another network is a constant, and stays as it is."""
    net, teacher, data = (
        network(backend),
        network(backend, seed=1),
        blobs(backend),
    )
    same = unchanged(teacher)

    def loss(net, x, t):
        return losses.mean_squared_error(net(x), teacher(x))

    history = anynet.fit(
        net,
        data,
        loss=loss,
        optimizer=optimizers.Adam(0.02),
        epochs=20,
        batch_size=20,
        compile=compile,
        progress=False,
    )
    assert history.epochs[-1].loss < 0.1 * history.epochs[0].loss
    assert same()


def test_number_of_arguments_decides_how_a_loss_is_called(backend):
    net, data = network(backend), blobs(backend)
    with pytest.raises(
        ArgumentError,
        match=r"loss is <lambda>\(y\): wanted loss\(outputs, labels\) or loss\(net, x, t",
    ):
        anynet.fit(net, data, loss=lambda y: y)
    with pytest.raises(ArgumentError, match=r"loss is <lambda>\(a, b, c, d\)"):
        anynet.fit(net, data, loss=lambda a, b, c, d: a)
    runs = [
        anynet.fit(network(backend), data, loss=loss, epochs=1, progress=False).losses
        for loss in (
            losses.cross_entropy,
            lambda y, t, smoothing=0.0: losses.cross_entropy(y, t, label_smoothing=smoothing),
            lambda *both: losses.cross_entropy(*both),
            lambda net, x, t: losses.cross_entropy(net(x), t),
            partial(lambda scale, y, t: scale * losses.cross_entropy(y, t), 1.0),
        )
    ]
    for run in runs[1:]:
        np.testing.assert_allclose(run, runs[0], rtol=1e-6)


def normalized(backend):
    return layers.Sequential(
        layers.Linear(2, 8),
        layers.BatchNorm(8),
        layers.ReLU(),
        layers.Linear(8, 3),
        seed=0,
        backend=backend,
    )


def trained(backend, steps):
    """Return a network after this many steps over the blobs, in batches of 16 in order."""
    net, optimizer = normalized(backend), optimizers.Momentum(0.1)
    step = training_step(losses.cross_entropy)
    loader = Loader(*blobs(backend), batch_size=16)
    while steps:
        for x, t in loader:
            if steps:
                step(net, optimizer, x, t)
                steps -= 1
    return net


def same_state(net, expected):
    """Parameters and buffers are of one step."""
    theirs = expected.parameters() | expected.buffers()
    for name, value in (net.parameters() | net.buffers()).items():
        assert_close(value, host(theirs[name]), rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("pythons_handler")
@pytest.mark.parametrize("place", ["loss", "update", "layer"])
def test_ctrl_c_waits_for_the_end_of_the_step(backend, place):
    """The seventh step is done as a whole, wherever in it the signal comes."""
    calls = []

    def press():
        calls.append(1)
        if len(calls) == 7:
            signal.raise_signal(signal.SIGINT)

    class Pressing(optimizers.Momentum):
        def update(self, net, grads):
            if place == "update":
                press()
            super().update(net, grads)

    class Layer(layers.Module):
        def forward(self, x):
            if place == "layer" and self.training:
                press()
            return x

    def loss(y, t):
        if place == "loss":
            press()
        return losses.cross_entropy(y, t)

    net = normalized(backend)
    net.layers = [*net.layers, Layer()]
    loader = Loader(*blobs(backend), batch_size=16)
    history = anynet.fit(
        net,
        loader,
        loss=loss,
        optimizer=Pressing(0.1),
        epochs=5,
        progress=False,
    )
    assert history.interrupted
    assert len(history.losses) == 7
    assert len(history.epochs) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    same_state(net, trained(backend, 7))


@pytest.mark.usefixtures("pythons_handler")
@pytest.mark.parametrize("augmented", [False, True])
def test_ctrl_c_waits_for_the_end_of_a_compiled_step(backend, augmented):
    """Also where the device makes several steps at once: as many are done as there are losses."""
    calls = []

    def press(*_):
        calls.append(1)
        if len(calls) == 7:
            signal.raise_signal(signal.SIGINT)

    def augment(key, x):
        press()
        return x

    def rate(step):
        if not augmented:
            press()
        return 0.1

    net = normalized(backend)
    loader = Loader(
        *blobs(backend),
        batch_size=16,
        augment=augment if augmented else None,
    )
    history = anynet.fit(
        net,
        loader,
        optimizer=optimizers.Momentum(rate),
        epochs=9,
        compile=True,
        progress=False,
    )
    assert history.interrupted
    assert 1 <= len(history.epochs) < 9
    assert len(history.losses) >= 6
    same_state(net, trained(backend, len(history.losses)))


@pytest.mark.usefixtures("pythons_handler")
def test_second_ctrl_c_does_not_wait(backend):
    done = []

    def loss(y, t):
        signal.raise_signal(signal.SIGINT)
        done.append(1)
        signal.raise_signal(signal.SIGINT)
        done.append(2)
        return losses.cross_entropy(y, t)

    history = anynet.fit(network(backend), blobs(backend), loss=loss, progress=False)
    assert history.interrupted
    assert history.losses == []
    assert done == [1]


@pytest.mark.usefixtures("pythons_handler")
def test_handler_of_the_host_receives_ctrl_c(backend):
    """Its handler is called, training goes on, and it is there again after errors too."""
    calls = []
    own = lambda number, frame: calls.append(number)
    signal.signal(signal.SIGINT, own)

    def loss(y, t):
        signal.raise_signal(signal.SIGINT)
        return losses.cross_entropy(y, t)

    history = anynet.fit(
        network(backend),
        blobs(backend),
        loss=loss,
        epochs=2,
        batch_size=30,
        progress=False,
    )
    assert not history.interrupted
    assert len(history.epochs) == 2
    assert calls == [signal.SIGINT] * 4
    assert signal.getsignal(signal.SIGINT) is own

    def broken(y, t):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        anynet.fit(network(backend), blobs(backend), loss=broken, progress=False)
    assert signal.getsignal(signal.SIGINT) is own


@pytest.mark.parametrize("compile", [False, True])
def test_nan_stops_inside_an_epoch(backend, monkeypatch, compile):
    """Not only at its end: the third of twenty steps is the last."""
    monkeypatch.setattr("anynet.training.run.READ_INTERVAL", 0.0)
    x, t = blobs(backend)
    rate = lambda step: 0.1 if step < 2 else 1e38
    with (
        np.errstate(all="ignore"),
        pytest.raises(NonFiniteError, match=r"in epoch 1, step (3|4|5):") as caught,
    ):
        anynet.fit(
            network(backend),
            Loader(x, t, 3),
            optimizer=optimizers.SGD(rate),
            progress=False,
            compile=compile,
        )
    history = caught.value.history
    assert 3 <= len(history.losses) <= 6
    first = next(i for i, value in enumerate(history.losses, 1) if not math.isfinite(value))
    assert f"in epoch 1, step {first}:" in str(caught.value)


@pytest.mark.parametrize("compile", [False, True])
def test_fit_trains_on_augmented_batches(backend, compile):
    """`augment` is called with a key and the rows of each batch, in device loops, too."""
    x, t = blobs(backend)
    calls = []

    def augment(key, rows):
        calls.append((tuple(key.shape), tuple(rows.shape)))
        return rows * 0

    net = network(backend)
    history = anynet.fit(
        net,
        Loader(x, t, 16, augment=augment),
        epochs=2,
        optimizer=optimizers.SGD(0.5),
        compile=compile,
        progress=False,
    )
    key = tuple(anynet.random.key(0, backend).shape)
    assert calls == 2 * (3 * [(key, (16, 2))] + [(key, (12, 2))])
    # Of zeros nothing can be learned but how often each class comes.
    assert_close(net["layers.0.weight"], host(network(backend)["layers.0.weight"]))
    assert history.losses[-1] == pytest.approx(np.log(3), abs=0.2)


def test_losses_do_not_change_between_versions(backend):
    """Initial weights, shuffles, masks and steps of a seed, as they have always been."""
    net = layers.Sequential(
        layers.Linear(2, 8),
        layers.BatchNorm(8),
        layers.ReLU(),
        layers.Dropout(0.3),
        layers.Linear(8, 3),
        seed=1,
        backend=backend,
    )
    history = anynet.fit(
        net,
        blobs(backend),
        optimizer=optimizers.Adam(0.01),
        epochs=2,
        batch_size=16,
        seed=5,
        progress=False,
    )
    golden = [
        1.77703011,
        1.54420614,
        1.19060826,
        1.30076635,
        1.07267165,
        1.03437841,
        0.98926377,
        0.87055063,
    ]
    assert history.losses == pytest.approx(golden, rel=1e-4)


def test_step_never_waits_for_the_device(strictest):
    """The device has no masks and no data-dependent shapes, and reading a value raises."""
    net = network(strictest)
    x, t = (
        normal(strictest, 10, 2, dtype="float32"),
        strictest.asarray(np.arange(10) % 3),
    )
    optimizer = optimizers.SGD(0.1)
    step = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    values = []
    order = anynet.random.permutation(anynet.random.key(0, strictest), 10)
    for i in range(20):
        rows = order[i % 2 * 5 : i % 2 * 5 + 5]
        value, grads = step(
            net,
            strictest.xp.take(x, rows, axis=0),
            strictest.xp.take(t, rows, axis=0),
        )
        optimizer.update(net, grads)
        values.append(value)
    accuracy = anynet.metrics.accuracy(net(x), t)
    found = [host(value).item() for value in values]
    assert found[-1] < found[0]
    assert host(accuracy).item() > 0.3


def test_fit_writes_into_no_argument():
    """Inputs and parameters that cannot be written train as well: their memory is the user's."""
    backend = anynet.get_backend("numpy")
    net, (x, t) = network(backend), blobs(backend)
    x.flags.writeable = t.flags.writeable = False
    for parameter in net.parameters().values():
        parameter.flags.writeable = False
    step = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    for _ in range(3):
        value, grads = step(net, x, t)
        for g in grads.parameters().values():
            g.flags.writeable = False
        optimizers.SGD(0.1).update(net, grads)
        for parameter in net.parameters().values():
            parameter.flags.writeable = False
    assert np.isfinite(value)
