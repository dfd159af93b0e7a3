"""Another call of `fit` with the same loss and shapes uses the programs of the first one."""

import gc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from weakref import ref

import numpy as np
import pytest

import anynet
from anynet import layers, losses, optimizers
from anynet.compiler import compiled_step
from anynet.errors import CompilationError, DifferentiationError
from anynet.training import programs


@pytest.fixture
def recordings(monkeypatch):
    """Count the recordings of compiled steps, beginning with none kept."""
    monkeypatch.setattr(programs, "_kept", [])
    calls = []
    record = compiled_step.record

    def counted(*args):
        calls.append(1)
        return record(*args)

    monkeypatch.setattr(compiled_step, "record", counted)
    return calls


def network(backend, seed=0):
    return layers.Sequential(
        layers.Linear(4, 8), layers.ReLU(), layers.Linear(8, 3), seed=seed, backend=backend
    )


def data(backend):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(50, 4)).astype("float32")
    return backend.asarray(x), backend.asarray(generator.integers(0, 3, 50))


def fit(net, rows, **named):
    settings = {"epochs": 2, "batch_size": 20, "compile": True, "progress": False}
    return anynet.fit(net, rows, **(settings | named))


@pytest.mark.parametrize("another", ["network", "optimizer", "data"])
def test_second_call_records_nothing(backend, recordings, another):
    net, optimizer, rows = network(backend), optimizers.SGD(0.1), data(backend)
    fit(net, rows, optimizer=optimizer)
    before = len(recordings)
    assert before > 0
    eager, expected = network(backend, 1), network(backend, 1)
    eager_optimizer = optimizers.SGD(0.1)
    if another == "network":
        net = eager
    elif another == "optimizer":
        optimizer = optimizers.SGD(0.3)
        eager_optimizer = optimizers.SGD(0.3)
    else:
        rows = tuple(x + 0 for x in rows)
    if net is not eager:
        for name, p in net.parameters().items():
            expected[name] = p + 0
    history = fit(net, rows, optimizer=optimizer)
    assert len(recordings) == before
    # The losses are those of this network, optimizer and data.
    uncompiled = fit(expected, rows, optimizer=eager_optimizer, compile=False)
    assert history.losses == pytest.approx(uncompiled.losses, rel=1e-5)
    assert optimizer.updates == (6 if another == "optimizer" else 12)


def test_new_adam_with_another_rate_records_its_first_step_only(backend, recordings):
    """The first step creates the state."""
    fit(network(backend), data(backend), optimizer=optimizers.Adam(0.1))
    before = len(recordings)
    net, adam = network(backend), optimizers.Adam(0.01)
    history = fit(net, data(backend), optimizer=adam)
    assert len(recordings) == before + 1
    uncompiled = fit(
        network(backend), data(backend), optimizer=optimizers.Adam(0.01), compile=False
    )
    assert history.losses == pytest.approx(uncompiled.losses, rel=1e-5)
    assert adam.updates == 6


@pytest.mark.parametrize("kind", ["partial", "method"])
def test_losses_that_are_made_again_record_nothing(backend, recordings, kind):
    class Task:
        def __init__(self):
            self.smoothing = 0.1

        def loss(self, y, t):
            return losses.cross_entropy(y, t, label_smoothing=self.smoothing)

    task = Task()

    def make(smoothing):
        task.smoothing = smoothing
        if kind == "method":
            return task.loss
        return partial(losses.cross_entropy, label_smoothing=smoothing)

    fit(network(backend), data(backend), loss=make(0.1))
    before = len(recordings)
    first = fit(network(backend), data(backend), loss=make(0.1)).losses
    assert len(recordings) == before
    # Another setting is another program.
    second = fit(network(backend), data(backend), loss=make(0.5)).losses
    assert len(recordings) > before
    expected = fit(network(backend), data(backend), loss=make(0.5), compile=False).losses
    assert second == pytest.approx(expected, rel=1e-5)
    assert second[0] != pytest.approx(first[0], rel=1e-3)


def test_loss_that_reaches_the_network_raises_in_a_later_call(recordings):
    """Its program for a teacher does not fit a call where the teacher is the network itself."""
    backend = anynet.get_backend("numpy")
    teacher = network(backend, 1)

    def loss(net, x, t):
        return losses.mean_squared_error(net(x), teacher(x))

    net = network(backend)
    fit(net, data(backend), loss=loss)
    teacher = net
    with pytest.raises((DifferentiationError, CompilationError)):
        fit(net, data(backend), loss=loss)


def distillation(teacher):
    return lambda net, x, t: losses.mean_squared_error(net(x), teacher(x))


def test_programs_keep_no_network_optimizer_or_loss(recordings):
    backend = anynet.get_backend("numpy")
    net, optimizer, teacher = network(backend), optimizers.Adam(0.01), network(backend, 1)

    loss = distillation(teacher)
    fit(net, data(backend), loss=loss, optimizer=optimizer)
    fit(net, data(backend), optimizer=optimizer)
    kept = [ref(x) for x in (net, optimizer, teacher, loss)]
    assert programs._kept
    del net, optimizer, teacher, loss
    gc.collect()
    assert [x() for x in kept] == [None] * 4


def test_few_programs_are_kept(recordings):
    backend = anynet.get_backend("numpy")
    for size in range(3, 20):
        fit(network(backend), data(backend), batch_size=size, epochs=1)
    assert len(programs._kept) == programs.KEPT


def test_threads_train_at_once(recordings):
    """Each has programs of its own, and the losses of a run alone."""
    backend = anynet.get_backend("numpy")
    expected = fit(network(backend), data(backend), epochs=20).losses
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(fit, network(backend), data(backend), epochs=20) for _ in range(8)]
    for run in runs:
        assert run.result().losses == pytest.approx(expected, rel=1e-5)
