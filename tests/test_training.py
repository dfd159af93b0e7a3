import math

import numpy as np
import pytest
from helpers import host, numbers

import anynet
from anynet import layers, losses, optimizers, training
from anynet.data import Loader
from anynet.errors import DataError, NonFiniteError


def blobs(backend, n=60, classes=3, seed=0):
    """Return points around the corners of a triangle."""
    generator = np.random.default_rng(seed)
    t = generator.integers(0, classes, n)
    corners = np.asarray([[0, 2], [2, -1], [-2, -1]])[:classes]
    x = corners[t] + generator.normal(size=(n, 2)) * 0.4
    return backend.asarray(x.astype("float32")), backend.asarray(t)


def network(backend, seed=0, classes=3):
    return layers.Sequential(
        layers.Linear(2, 16), layers.ReLU(), layers.Linear(16, classes), seed=seed, backend=backend
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


def test_one_hot_labels_and_another_loss(backend):
    x, t = blobs(backend)
    rows = anynet.functions.one_hot(t, 3)
    by_index = anynet.fit(network(backend), (x, t), epochs=1, progress=False)
    by_row = anynet.fit(network(backend), (x, rows), epochs=1, progress=False)
    np.testing.assert_allclose(by_row.losses, by_index.losses, rtol=1e-5)
    squares = anynet.fit(network(backend), (x, t), loss=losses.sum_of_squares, epochs=3, progress=False)
    assert squares.losses[-1] < squares.losses[0]


def test_evaluate_counts_every_row_once(backend, monkeypatch):
    monkeypatch.setattr(training, "EVALUATION_BATCH", 7)
    net, (x, t) = network(backend), blobs(backend)
    expected = float(np.mean(np.argmax(host(net(x)), axis=1) == host(t)))
    assert anynet.evaluate(net, (x, t)) == pytest.approx(expected)


def test_the_same_seed_trains_alike_on_every_backend(backend):
    """A hundred steps; rounding differs between libraries, so the losses agree, they are not equal."""
    runs = [
        anynet.fit(network(b, 3), blobs(b), epochs=25, batch_size=16, seed=5, progress=False).losses
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


def test_a_loss_that_is_no_number_stops(backend):
    net, (x, t) = network(backend), blobs(backend)
    stop = r"the loss became (nan|inf) in epoch \d, step \d+: lower the learning rate"
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match=stop):
        anynet.fit(net, (x * 1e18, t), optimizer=optimizers.SGD(1e20), epochs=3, progress=False)


def test_the_error_carries_the_history(backend):
    net, data = network(backend), blobs(backend)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as caught:
        anynet.fit(net, data, loss=lambda y, t: losses.cross_entropy(y, t) * math.nan, progress=False, epochs=2)
    assert math.isnan(caught.value.history.losses[0])
    assert caught.value.history.epochs == []


@pytest.mark.parametrize("where", ["train", "test"])
def test_labels_out_of_range_are_found_before_anything_changes(backend, where):
    net, good = network(backend), blobs(backend)
    x, t = blobs(backend)
    labels = host(t).copy()
    labels[-1] = 3
    bad = (x, backend.asarray(labels))
    before = {name: host(p).copy() for name, p in net.parameters().items()}
    pair = (bad, good) if where == "train" else (good, bad)
    with pytest.raises(DataError, match="a label is 3 and the network has 3 outputs: wanted labels 0 to 2"):
        anynet.fit(net, *pair, progress=False)
    assert all((host(p) == before[name]).all() for name, p in net.parameters().items())


def test_a_negative_number_of_epochs(backend):
    with pytest.raises(ValueError, match="epochs is -1: wanted 0 or more"):
        anynet.fit(network(backend), blobs(backend), epochs=-1)


def test_progress_shows_a_line_for_each_epoch(backend, capsys, monkeypatch):
    monkeypatch.setattr(training, "LOOK_INTERVAL", 0.0)
    train = blobs(backend)
    history = anynet.fit(network(backend), train, train, epochs=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split() == ["epoch", "loss", "train", "test", "seconds"]
    for line, epoch in zip(lines[1:3], history.epochs, strict=True):
        assert line.split()[:4] == [
            str(epoch.number), f"{epoch.loss:.4f}", f"{epoch.train_score:.4f}", f"{epoch.test_score:.4f}"
        ]  # fmt: skip


def test_a_step_never_waits_for_the_device(strictest):
    """On the second device, without masks and data-dependent shapes, with reading numbers forbidden."""
    net = network(strictest)
    x, t = numbers(strictest, 10, 2, dtype="float32"), strictest.asarray(np.arange(10) % 3)
    optimizer = optimizers.SGD(0.1)
    step = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    values = []
    order = anynet.random.permutation(anynet.random.key(0, strictest), 10)
    for i in range(20):
        rows = order[i % 2 * 5 : i % 2 * 5 + 5]
        value, grads = step(net, strictest.xp.take(x, rows, axis=0), strictest.xp.take(t, rows, axis=0))
        optimizer.update(net, grads)
        values.append(value)
    accuracy = anynet.metrics.accuracy(net(x), t)
    found = [host(value).item() for value in values]
    assert found[-1] < found[0]
    assert host(accuracy).item() > 0.3


def test_nothing_given_is_written_into():
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
