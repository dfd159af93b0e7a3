"""Epochs of a number of steps, and validation data that are a share of the rows."""

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, optimizers
from anynet.data import Loader
from anynet.errors import ArgumentError, ArgumentTypeError, DataError
from anynet.training.sources import split_rows


def data(backend, n=50):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, 2)).astype("float32")
    return backend.asarray(x), backend.asarray((x[:, 0] > 0).astype("int64"))


def network(backend):
    return layers.Sequential(layers.Linear(2, 2), seed=0, backend=backend)


def fit(backend, train, **named):
    return anynet.fit(network(backend), train, progress=False, **named)


def endless(backend):
    while True:
        yield from Loader(*data(backend), 20, shuffle=False)


def test_endless_generator_is_read_on(backend):
    expected = fit(backend, Loader(*data(backend), 20, shuffle=False), epochs=4)
    history = fit(backend, endless(backend), epochs=6, steps_per_epoch=2)
    assert history.losses == expected.losses
    assert [epoch.loss for epoch in history.epochs] == [
        pytest.approx(np.mean(history.losses[i : i + 2])) for i in range(0, 12, 2)
    ]


def test_generator_that_ends_too_early_raises(backend):
    batches = list(Loader(*data(backend), 20))
    history = anynet.History()
    with pytest.raises(
        DataError,
        match="train ended after 3 batches and steps_per_epoch is 2: wanted that many for each e",
    ):
        fit(backend, iter(batches), epochs=2, steps_per_epoch=2, history=history)
    assert (len(history.epochs), len(history.losses)) == (1, 3)
    # It has enough.
    assert len(fit(backend, iter(batches), epochs=1, steps_per_epoch=3).losses) == 3


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("kind", ["arrays", "loader", "list", "function"])
@pytest.mark.parametrize("steps", [2, 3, 5])
def test_data_that_end_begin_again(backend, kind, steps, compile):
    if compile and kind in ("list", "function"):
        pytest.skip(reason="the device makes single steps, as where it is not compiled")
    if backend.name == "jax" and not compile and steps != 2:
        pytest.skip(reason="JAX compiles each function for too long")
    x, t = data(backend)
    shuffle = kind in ("arrays", "loader")
    expected = fit(backend, Loader(x, t, 20, shuffle=shuffle), epochs=4).losses
    batches = [*Loader(x, t, 20, shuffle=False)]
    train = {
        "arrays": (x, t),
        "loader": Loader(x, t, 20),
        "list": batches,
        "function": lambda: iter(batches),
    }[kind]
    named = {"batch_size": 20} if kind == "arrays" else {}
    history = fit(
        backend,
        train,
        epochs=2,
        steps_per_epoch=steps,
        compile=compile,
        **named,
    )
    assert len(history.losses) == 2 * steps
    assert history.losses == pytest.approx(expected[: 2 * steps], rel=1e-5)


@pytest.mark.parametrize("compile", [False, True])
def test_history_goes_on_with_the_next_batch(backend, compile):
    x, t = data(backend)
    net, optimizer = network(backend), optimizers.SGD(0.1)
    named = {"batch_size": 20, "steps_per_epoch": 2, "compile": compile, "progress": False}
    history = anynet.fit(net, (x, t), optimizer=optimizer, epochs=1, **named)
    anynet.fit(net, (x, t), optimizer=optimizer, epochs=3, history=history, **named)
    expected = fit(backend, (x, t), optimizer=optimizers.SGD(0.1), epochs=2, batch_size=20)
    assert history.losses == pytest.approx(expected.losses, rel=1e-5)


def test_validation_split_leaves_rows_out(backend):
    """The seed chooses them, alike on every library, and each row is in one part."""
    index = np.arange(50)
    x, t = backend.asarray(index.astype("float32")), backend.asarray(index)
    train, validation = split_rows((x, t), 0.3, 7)
    assert len(host(train[1])) == 35
    assert sorted([*host(train[1]), *host(validation[1])]) == [*index]
    assert (host(train[0]) == host(train[1])).all()
    numpys = split_rows((index.astype("float32"), index), 0.3, 7)
    assert (host(validation[1]) == numpys[1][1]).all()
    assert not np.array_equal(split_rows((index, index), 0.3, 8)[1][1], numpys[1][1])
    x, t = data(backend)
    history = fit(backend, (x, t), validation_split=0.3, seed=7, epochs=1, batch_size=10)
    assert len(history.losses) == 4
    train, validation = split_rows((x, t), 0.3, 7)
    expected = fit(backend, train, test=validation, seed=7, epochs=1, batch_size=10)
    assert history.losses == expected.losses
    assert history.epochs[0].scores == expected.epochs[0].scores
    assert list(history.epochs[0].scores) == ["train accuracy", "test accuracy"]


def test_invalid_splits_and_steps_raise():
    backend = anynet.get_backend("numpy")
    rows = data(backend)
    for named, error, message in (
        ({"validation_split": 1.5}, ArgumentError, "validation_split is 1.5: wanted a share above"),
        ({"validation_split": 0}, ArgumentError, "validation_split is 0: wanted a share"),
        ({"validation_split": "20%"}, ArgumentTypeError, "validation_split is '20%'"),
        ({"validation_split": 0.001}, ArgumentError, "of 50 rows: wanted one row or more in each"),
        ({"validation_split": 0.2, "test": rows}, ArgumentError, "and test were given: wanted one"),
        ({"steps_per_epoch": 0}, ArgumentError, "steps_per_epoch is 0: wanted 1 or more"),
        ({"steps_per_epoch": 1.5}, ArgumentTypeError, "steps_per_epoch is 1.5: wanted a whole"),
    ):
        with pytest.raises(error, match=message):
            fit(backend, rows, **named)
    with pytest.raises(ArgumentError, match="which makes its own batches: pass arrays"):
        fit(backend, Loader(*rows), validation_split=0.2)
    with pytest.raises(ArgumentError, match="with steps_per_epoch a generator is read on"):
        fit(backend, endless(backend), epochs=2)
