import numpy as np
import pytest

import anynet
from anynet import callbacks, layers, optimizers
from anynet.data import Loader
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.training import History


def data(backend, n=50):
    generator = np.random.default_rng(0)
    t = generator.integers(0, 3, n)
    x = np.eye(3, 2)[t] + generator.normal(size=(n, 2)) * 0.1
    return backend.asarray(x.astype("float32")), backend.asarray(t)


def network(backend):
    return layers.Sequential(layers.Linear(2, 3), seed=0, backend=backend)


class Log(callbacks.Callback):
    def __init__(self):
        self.moments = []
        self.losses = []

    def on_train_begin(self, run):
        self.moments.append(("train begin", run.epoch, run.step))

    def on_epoch_begin(self, run):
        self.moments.append(("epoch begin", run.epoch, run.step))

    def on_step_end(self, run):
        self.moments.append(("step end", run.epoch, run.step))
        self.losses.append(run.loss)
        assert run.updates == len(self.losses)

    def on_epoch_end(self, run):
        self.moments.append(("epoch end", run.epoch, run.step))
        assert len(run.history.epochs) == run.epoch

    def on_train_end(self, run):
        self.moments.append(("train end", run.epoch, run.step))


@pytest.mark.parametrize("compile", [False, True])
def test_moments_come_in_order(backend, compile):
    log = Log()
    history = anynet.fit(
        network(backend),
        data(backend),
        batch_size=20,
        epochs=2,
        callbacks=[log],
        compile=compile,
        progress=False,
    )
    steps = [[("step end", epoch, step) for step in (1, 2, 3)] for epoch in (1, 2)]
    assert log.moments == [
        ("train begin", 0, 0),
        ("epoch begin", 1, 0),
        *steps[0],
        ("epoch end", 1, 3),
        ("epoch begin", 2, 0),
        *steps[1],
        ("epoch end", 2, 3),
        ("train end", 2, 3),
    ]
    assert log.losses == history.losses


@pytest.mark.parametrize("compile", [False, True])
def test_callback_reads_the_network_of_every_fourth_step(backend, compile):
    """Also where the device makes many steps at once."""

    class Weights(callbacks.Callback):
        every = 4

        def __init__(self):
            self.updates = []

        def on_step_end(self, run):
            if run.updates % self.every == 0:
                self.updates.append((run.updates, run.optimizer.updates))

    weights = Weights()
    anynet.fit(
        network(backend),
        data(backend),
        batch_size=5,
        epochs=2,
        callbacks=[weights],
        compile=compile,
        progress=False,
    )
    assert weights.updates == [(n, n) for n in (4, 8, 12, 16, 20)]


@pytest.mark.parametrize("compile", [False, True])
def test_stop_ends_the_run_after_the_step(backend, compile):
    class Stop(callbacks.Callback):
        every = 1

        def on_step_end(self, run):
            if run.updates == 4:
                run.stop()

    loader = Loader(*data(backend), 20)
    history = anynet.fit(
        network(backend),
        loader,
        epochs=5,
        callbacks=[Stop()],
        compile=compile,
        progress=False,
    )
    assert len(history.losses) == 4
    assert [epoch.number for epoch in history.epochs] == [1, 2]
    assert history.epochs[1].loss == history.losses[3]
    assert history.epochs[1].train_score is not None
    # The next run begins a new epoch.
    assert (loader.epoch, loader.next_batch) == (2, 0)


@pytest.mark.parametrize("moment", ["on_train_begin", "on_step_end", "on_epoch_end"])
def test_error_of_a_callback_keeps_its_type_and_says_the_moment(backend, moment):
    def fail(run):
        if moment != "on_step_end" or run.step == 2:
            raise ZeroDivisionError("by hand")

    broken = callbacks.Callback()
    setattr(broken, moment, fail)
    history = History()
    with pytest.raises(ZeroDivisionError, match="by hand") as caught:
        anynet.fit(
            network(backend),
            data(backend),
            batch_size=20,
            callbacks=[broken],
            history=history,
            progress=False,
        )
    assert f"in {moment} of the callback Callback" in caught.value.__notes__[-1]
    losses, epochs = {"on_train_begin": (0, 0), "on_step_end": (2, 0)}.get(moment, (3, 1))
    assert (len(history.losses), len(history.epochs)) == (losses, epochs)


def test_ctrl_c_ends_the_run_with_its_last_moment(backend):
    class Impatient(Log):
        def on_epoch_end(self, run):
            raise KeyboardInterrupt

    log = Impatient()
    history = anynet.fit(network(backend), data(backend), callbacks=[log], progress=False)
    assert history.interrupted
    assert log.moments[-1][0] == "train end"


@pytest.mark.parametrize("compile", [False, True])
def test_history_goes_on(backend, compile):
    """Three epochs and two more are five: the same batches, numbers and losses."""

    def fit(net, optimizer, epochs, history=None):
        return anynet.fit(
            net,
            data(backend),
            optimizer=optimizer,
            batch_size=20,
            epochs=epochs,
            history=history,
            compile=compile,
            progress=False,
        )

    whole = fit(network(backend), optimizers.SGD(0.1), 5)
    net, optimizer = network(backend), optimizers.SGD(0.1)
    history = fit(net, optimizer, 3)
    assert fit(net, optimizer, 5, history) is history
    assert [epoch.number for epoch in history.epochs] == [1, 2, 3, 4, 5]
    assert history.losses == pytest.approx(whole.losses, rel=1e-5)
    # Nothing is left to do.
    assert len(fit(net, optimizer, 5, history).losses) == 15


def test_invalid_callbacks_raise(backend):
    net, rows = network(backend), data(backend)
    for given, message in (
        ("log", "callbacks is 'log': wanted a list"),
        (Log(), "callbacks is a Log: wanted a list"),
        ([Log], "a callback is the class Log: wanted an object"),
        ([print], "a callback is the function print: wanted an object"),
    ):
        with pytest.raises(ArgumentTypeError, match=message):
            anynet.fit(net, rows, callbacks=given, progress=False)
    with pytest.raises(ArgumentTypeError, match="history is 3: wanted the History"):
        anynet.fit(net, rows, history=3, progress=False)


def test_method_that_no_moment_has():
    with pytest.raises(
        ArgumentError, match=r"Log has a method on_batch_end.* wanted on_train_begin"
    ):
        type("Log", (callbacks.Callback,), {"on_batch_end": lambda self, run: None})
