"""Callbacks that watch a value: early stopping, best weights, and the file of the best epoch."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import callbacks, layers, metrics, optimizers
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.training import Epoch, History


def data(backend, n=40):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, 2)).astype("float32")
    return backend.asarray(x), backend.asarray((x[:, 0] > 0).astype("int64"))


def network(backend):
    return layers.Sequential(
        layers.Linear(2, 4), layers.BatchNorm(4), layers.Linear(4, 2), seed=0, backend=backend
    )


def follow(callback, values, name="test accuracy"):
    """Return the number of the epoch in which a callback stops a run with these values."""
    history = History()
    run = SimpleNamespace(history=history, epoch=0, is_stopping=False)
    run.stop = lambda: setattr(run, "is_stopping", True)
    callback.on_train_begin(run)
    for number, value in enumerate(values, 1):
        if run.is_stopping:
            break
        run.epoch = number
        part, _, metric = name.partition(" ")
        scores = {metric: value}
        loss = value if name == "loss" else 1.0
        parts = ({}, scores) if part == "test" else (scores if part == "train" else {}, {})
        history.epochs.append(Epoch(number, loss, *parts, 1.0))
        callback.on_epoch_end(run)
    return len(history.epochs)


@pytest.mark.parametrize(
    ("values", "named", "name", "epochs", "best"),
    [
        ([0.1, 0.3, 0.2, 0.3, 0.4], {"patience": 2}, "test accuracy", 4, 2),
        ([0.1, 0.3, 0.2, 0.3, 0.4], {"patience": 3}, "test accuracy", 5, 5),
        ([3.0, 2.0, 2.5, 2.0], {"patience": 2}, "loss", 4, 2),
        ([3.0, 2.0, 2.5, 2.0], {"patience": 2, "mode": "max"}, "loss", 3, 1),
        ([3.0, 2.9, 2.85, 2.0], {"patience": 2, "min_delta": 0.5}, "loss", 3, 1),
        ([5.0, 4.0, 4.5, 4.5], {"patience": 2}, "train perplexity", 4, 2),
        ([0.5, math.nan, math.nan, 0.9], {"patience": 2}, "test f1_micro", 3, 1),
        ([math.nan, 0.2, 0.1, 0.3], {"patience": 2}, "test recall", 4, 4),
        ([0.5, 0.4, 0.6, 0.6, 0.1], {"patience": 2}, "test cross_entropy", 4, 2),
        ([1.0, 2.0, 1.0, 3.0], {"patience": 3, "mode": "max"}, "test own", 4, 4),
    ],
)
def test_early_stopping_follows_its_value(values, named, name, epochs, best):
    chosen = {} if name.startswith("test a") else {"monitor": name}
    stopping = callbacks.EarlyStopping(**chosen, **named)
    assert follow(stopping, values, name) == epochs
    assert stopping.best_epoch == best
    assert stopping.best == values[best - 1]
    # A new run begins anew.
    assert follow(stopping, values, name) == epochs


def test_stopped_run_stays_stopped_and_a_state_goes_on():
    backend = anynet.get_backend("numpy")
    first = callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
    net = network(backend)
    history = anynet.fit(net, data(backend), epochs=9, callbacks=[first], progress=False)
    assert len(history.epochs) == 2
    second = callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
    second.load_state_dict(first.state_dict())
    named = {"epochs": 9, "progress": False, "history": history}
    anynet.fit(net, data(backend), callbacks=[second], **named)
    assert len(history.epochs) == 2
    anynet.fit(net, data(backend), callbacks=[callbacks.EarlyStopping("loss", 1)], **named)
    assert len(history.epochs) > 2
    with pytest.raises(ArgumentError, match="the state of EarlyStopping lacks 'bad'"):
        second.load_state_dict({"best": 1.0, "best_epoch": 2})
    assert second.state_dict() == first.state_dict()


@pytest.mark.parametrize("compile", [False, True])
def test_best_weights_are_those_of_the_best_epoch(backend, compile):
    """Parameters and buffers, which score what the history says."""
    best = callbacks.BestWeights("loss")
    kept = {}

    def keep(run):
        arrays = run.net.parameters() | run.net.buffers()
        kept[run.epoch] = {name: host(x).copy() for name, x in arrays.items()}

    net = network(backend)
    history = anynet.fit(
        net,
        data(backend),
        optimizer=optimizers.SGD(lambda step: 0.5 if step < 4 else 50.0),
        batch_size=20,
        epochs=4,
        callbacks=[best, callbacks.LambdaCallback(on_epoch_end=keep)],
        compile=compile,
        progress=False,
    )
    values = [epoch.loss for epoch in history.epochs]
    number = int(np.argmin(values)) + 1
    assert 1 <= number < 4
    assert (best.best, best.best_epoch) == (min(values), number)
    for name, x in (net.parameters() | net.buffers()).items():
        np.testing.assert_array_equal(host(x), kept[number][name])


def test_tied_arrays_stay_tied_with_the_best_weights(backend):
    net = layers.Sequential(layers.Linear(2, 2), layers.Linear(2, 2), seed=0, backend=backend)
    net.layers[1].weight = net.layers[0].weight
    before = anynet.tree.ties(net)
    assert before
    best = callbacks.BestWeights("loss")
    anynet.fit(net, data(backend), epochs=2, callbacks=[best], compile=True, progress=False)
    assert anynet.tree.ties(net) == before


def test_state_of_best_weights_goes_on(backend):
    best, other = callbacks.BestWeights("loss"), callbacks.BestWeights("loss")
    net = network(backend)
    history = anynet.fit(net, data(backend), epochs=2, callbacks=[best], progress=False)
    other.load_state_dict(best.state_dict())
    expected = {name: host(x).copy() for name, x in net.parameters().items()}
    other.best = -1.0
    anynet.fit(net, data(backend), epochs=3, history=history, callbacks=[other], progress=False)
    assert all((host(x) == expected[name]).all() for name, x in net.parameters().items())


def test_best_epoch_is_saved(backend, tmp_path):
    path = tmp_path / "best.safetensors"
    net = network(backend)
    best = callbacks.SaveBest(path, "train accuracy")
    history = anynet.fit(net, data(backend), epochs=4, callbacks=[best], progress=False)
    scores = [epoch.train_score for epoch in history.epochs]
    texts = anynet.checkpoint.metadata(path)
    assert texts["epoch"] == str(int(np.argmax(scores)) + 1)
    assert texts["train accuracy"] == repr(max(scores))
    loaded = network(backend)
    anynet.checkpoint.load(loaded, path)
    assert anynet.evaluate(loaded, data(backend)) == max(scores)


def test_invalid_settings_and_names_raise():
    for named, error, message in (
        ({"monitor": metrics.accuracy}, ArgumentTypeError, "wanted 'loss' or the name of a score"),
        ({"mode": "largest"}, ArgumentError, "mode is 'largest': wanted 'auto', 'min' or 'max'"),
        ({"min_delta": -1}, ArgumentError, "min_delta is -1: wanted a finite number"),
        ({"patience": 0}, ArgumentError, "patience is 0: wanted 1 or more"),
    ):
        with pytest.raises(error, match=message):
            callbacks.EarlyStopping(**named)
    backend = anynet.get_backend("numpy")
    history = History()
    named = {"epochs": 3, "progress": False, "history": history}
    wrong = callbacks.EarlyStopping("test acuracy")
    with pytest.raises(
        ArgumentError, match=r"'test acuracy' \(did you mean 'test accuracy'\?\): w"
    ):
        anynet.fit(network(backend), data(backend), data(backend), callbacks=[wrong], **named)
    assert len(history.epochs) == 1

    def own(outputs, labels):
        return 1.0

    best = callbacks.BestWeights("train own")
    with pytest.raises(
        ArgumentError, match="'train own' is a score of your own: wanted mode='min'"
    ):
        anynet.fit(network(backend), data(backend), metric=own, callbacks=[best], progress=False)


@pytest.mark.parametrize(
    "state", [{"best": "0.5", "best_epoch": 1}, {"best": 0.5, "best_epoch": -1}]
)
def test_state_with_other_values(state):
    callback = callbacks.BestWeights()
    with pytest.raises((ArgumentError, ArgumentTypeError), match="best"):
        callback.load_state_dict({**callback.state_dict(), **state})
    assert callback.best is None
    assert callback.best_epoch == 0
