"""Runs that end early and go on from their checkpoint, as if they had not ended."""

import os
import re
import signal
from functools import partial

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import callbacks, data, layers, losses, optimizers, tree
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    NonFiniteError,
)
from anynet.optimizers import schedules
from anynet.training import History, checkpoint

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(28, 1, 6, 6)).astype("float32")
T = GENERATOR.integers(0, 3, 28)
PATH = "run.safetensors"


def network(backend="numpy", dtype="float32", seed=1):
    return layers.Sequential(
        layers.Conv2d(1, 2, 3),
        layers.BatchNorm(2),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Linear(2 * 4 * 4, 3),
        seed=seed,
        backend=backend,
        dtype=dtype,
    )


class Killed(Exception):
    pass


class KillAt(callbacks.Callback):
    """Ends the run with an error, as if the process had been killed."""

    def __init__(self, updates):
        self.updates = updates

    def on_step_end(self, run):
        if run.updates == self.updates:
            raise Killed


def fit(net, path, backend="numpy", dtype="float32", **settings):
    backend = anynet.get_backend(backend)
    x, t = backend.asarray(X.astype(dtype)), backend.asarray(T)
    train = data.Loader(x, t, 8, seed=3, augment=data.random_affine(shift=1.0))
    settings = {
        "optimizer": optimizers.Adam(schedules.Cosine(0.01, 60)),
        "epochs": 3,
        "progress": False,
        **settings,
    }
    return anynet.fit(net, train, (x, t), checkpoint=path, **settings)


def killed(net, path, at, **settings):
    with pytest.raises(Killed):
        fit(net, path, callbacks=[KillAt(at)], **settings)


def same_bits(net, other):
    leaves = zip(tree.leaves(net), tree.leaves(other), strict=True)
    for (path, a), (_, b) in leaves:
        np.testing.assert_array_equal(host(a), host(b), path)


def same_history(history, other):
    assert history.losses == other.losses
    assert [epoch.loss for epoch in history.epochs] == [epoch.loss for epoch in other.epochs]
    assert [epoch.scores for epoch in history.epochs] == [epoch.scores for epoch in other.epochs]


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("every", [None, 1, 3])
def test_killed_run_goes_on_bit_for_bit(tmp_path, compile, every):
    whole = network()
    history = fit(whole, None, compile=compile)
    for at in (1, 4, 6, 8, 11):
        path = tmp_path / str(at) / PATH
        killed(network(), path, at, checkpoint_every=every, compile=compile)
        # The values of a network that goes on do not matter.
        net = network(seed=at if path.exists() else 1)
        other = fit(net, path, checkpoint_every=every, compile=compile)
        same_bits(net, whole)
        same_history(other, history)
        names = sorted(os.listdir(path.parent))
        assert names == ["run.previous.safetensors", PATH]


OPTIMIZERS = {
    "plateau": lambda: optimizers.Momentum(schedules.Plateau(0.1, patience=0, threshold=1.0)),
    "muon": lambda: optimizers.Muon(0.01),
    "groups": lambda: optimizers.Groups(("layers.0", optimizers.Lion(1e-3)), optimizers.SGD(0.1)),
    "clipping and accumulation": lambda: optimizers.Clipping(
        optimizers.Accumulation(optimizers.Adam(schedules.Cosine(0.01, 12)), steps=3),
        max_norm=0.5,
    ),
    "exponential average": lambda: optimizers.ExponentialAverage(optimizers.Adam(0.01), 0.9),
    "stochastic average": lambda: optimizers.StochasticAverage(optimizers.Adam(0.01), 2, 3),
}


def dense_run(path, maker, **settings):
    """Return the network, the optimizer and the history of a run."""
    net, optimizer = dense("numpy", "float32"), OPTIMIZERS[maker]()
    train = X.reshape(-1, 36), T
    settings = {"batch_size": 8, "epochs": 3, "progress": False, **settings}
    history = anynet.fit(
        net,
        settings.pop("train", train),
        settings.pop("test", train),
        optimizer=optimizer,
        checkpoint=path,
        **settings,
    )
    return net, optimizer, history


def same_runs(run, other):
    same_bits(run[0], other[0])
    states = [dict(tree.leaves(result[1].state_dict())) for result in (run, other)]
    same_bits(*states)
    same_history(run[2], other[2])


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("maker", OPTIMIZERS)
def test_every_kind_of_optimizer_goes_on(tmp_path, maker, compile):
    whole = dense_run(None, maker, compile=compile)
    for at, every in ((5, 1), (6, None), (11, 2)):
        path, settings = tmp_path / f"{at}.safetensors", {"compile": compile}
        with pytest.raises(Killed):
            dense_run(path, maker, checkpoint_every=every, callbacks=[KillAt(at)], **settings)
        same_runs(dense_run(path, maker, checkpoint_every=every, **settings), whole)


def batches():
    x = X.reshape(-1, 36)
    return [(x[i : i + 8], T[i : i + 8]) for i in (0, 8, 16)]


def one_by_one():
    yield from batches()


WEIGHTS = np.linspace(0.5, 1.5, 28, dtype="float32")

#: Data that need not have a position, and arguments.
DATA = {
    "weights": {"train": (X.reshape(-1, 36), T, WEIGHTS)},
    "validation split": {"validation_split": 0.3, "test": None},
    "steps of a loader": {"steps_per_epoch": 3},
    "steps of a list": {"train": batches(), "batch_size": None, "steps_per_epoch": 4},
    "steps of a function": {"train": one_by_one, "batch_size": None, "steps_per_epoch": 4},
    "callbacks": {},
}


@pytest.mark.parametrize("name", DATA)
def test_every_kind_of_data_goes_on(tmp_path, name):
    def own():
        return [callbacks.BestWeights("loss"), callbacks.EarlyStopping("loss")]

    def run(path, extra=()):
        given = [*(own() if name == "callbacks" else []), *extra]
        return dense_run(path, "plateau", callbacks=given, **settings)

    settings = DATA[name]
    whole = run(None)
    for at in (3, 5, 8):
        path = tmp_path / f"{at}.safetensors"
        with pytest.raises(Killed):
            run(path, [KillAt(at)])
        same_runs(run(path), whole)


def test_more_epochs_go_on_with_a_finished_run(tmp_path):
    whole, net = network(), network()
    history = fit(whole, None)
    fit(net, tmp_path / PATH, epochs=1)
    other = fit(net, tmp_path / PATH, epochs=3)
    same_bits(net, whole)
    same_history(other, history)
    assert [epoch.number for epoch in other.epochs] == [1, 2, 3]


def test_finished_run_returns_its_history_at_once(tmp_path, capsys):
    first, second = network(), network(seed=5)
    history = fit(first, tmp_path / PATH)
    content = (tmp_path / PATH).read_bytes()
    other = fit(second, tmp_path / PATH, callbacks=[KillAt(1)], progress=True)
    assert "run.safetensors: the run is complete, with 3 epochs" in capsys.readouterr().out
    same_history(other, history)
    same_bits(second, first)
    assert (tmp_path / PATH).read_bytes() == content


def test_one_line_says_where_the_run_goes_on(tmp_path, capsys):
    killed(network(), tmp_path / PATH, 7, checkpoint_every=2)
    fit(network(), tmp_path / PATH, checkpoint_every=2, progress=True)
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "run.safetensors: going on with epoch 2 after step 2"


def dense(backend, dtype):
    """Return a network that JAX compiles quickly."""
    return layers.Sequential(
        layers.Linear(36, 6),
        layers.BatchNorm(6),
        layers.ReLU(),
        layers.Dropout(0.3),
        layers.Linear(6, 3),
        seed=1,
        backend=backend,
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("second", ["numpy", "torch"])
def test_run_goes_on_on_another_library(backend, tmp_path, second, dtype):
    """The checkpoint is written on the backend of the test. ci/kill_resume.py tests all pairs."""
    pytest.importorskip(second, reason=f"needs {second}")
    first = backend.name
    if first not in ("numpy", "torch", "jax") or first == second:
        pytest.skip("another one of three libraries writes the checkpoint")

    def run(name, path, **settings):
        own = anynet.get_backend(name)
        x, t = own.asarray(X.reshape(-1, 36).astype(dtype)), own.asarray(T)
        settings |= {"optimizer": optimizers.Adam(schedules.Cosine(0.01, 60)), "epochs": 15}
        # JAX compiles a loop for each number of steps, which takes a minute.
        settings |= {"batch_size": 8, "checkpoint": path, "compile": first != "jax"}
        settings |= {"metric": None}
        return anynet.fit(dense(name, dtype), (x, t), progress=False, **settings)

    whole = run(first, None)
    with pytest.raises(Killed):
        run(first, tmp_path / PATH, checkpoint_every=5, callbacks=[KillAt(9)])
    other = run(second, tmp_path / PATH)
    rtol = 1e-3 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(other.losses[:55], whole.losses[:55], rtol=rtol)


@pytest.mark.parametrize("every", [None, 2])
def test_ctrl_c_writes_a_checkpoint(tmp_path, every):
    class Interrupt(callbacks.Callback):
        def on_step_end(self, run):
            if run.updates == 5:
                signal.raise_signal(signal.SIGINT)

    whole, net = network(), network()
    history = fit(whole, None)
    cut = fit(net, tmp_path / PATH, checkpoint_every=every, callbacks=[Interrupt()])
    assert cut.interrupted
    assert len(cut.losses) == 5
    other = fit(net, tmp_path / PATH, checkpoint_every=every, callbacks=[callbacks.Callback()])
    assert not other.interrupted
    same_bits(net, whole)
    same_history(other, history)


class Count(callbacks.Callback):
    """Counts steps, and begins again with each run and each epoch."""

    def on_train_begin(self, run):
        self.steps = 0

    def on_epoch_begin(self, run):
        self.of_epoch = 0
        # Not twice for one epoch.
        if not callable(run.optimizer.learning_rate):
            run.optimizer.learning_rate /= 2

    def on_step_end(self, run):
        self.steps += 1
        self.of_epoch += 1

    def state_dict(self):
        return {"steps": self.steps, "of_epoch": self.of_epoch}

    def load_state_dict(self, state):
        self.steps, self.of_epoch = state["steps"], state["of_epoch"]


def test_callbacks_go_on_with_their_state(tmp_path):
    def settings():
        return {"optimizer": optimizers.Momentum(0.1), "checkpoint_every": 3}

    whole, count = network(), Count()
    history = fit(whole, None, optimizer=optimizers.Momentum(0.1), callbacks=[count])
    with pytest.raises(Killed):
        fit(network(), tmp_path / PATH, callbacks=[Count(), KillAt(8)], **settings())
    net, other = network(), Count()
    found = fit(net, tmp_path / PATH, callbacks=[other], **settings())
    assert vars(other) == vars(count)
    same_bits(net, whole)
    same_history(found, history)


class LowerMomentum(callbacks.Callback):
    def on_step_end(self, run):
        if run.updates == 4:
            run.optimizer.momentum = 0.5


def test_settings_that_a_callback_changed_go_on(tmp_path):
    def settings(*others):
        return {"optimizer": optimizers.Momentum(0.1), "callbacks": [LowerMomentum(), *others]}

    whole, net = network(), network()
    fit(whole, None, **settings())
    with pytest.raises(Killed):
        fit(network(), tmp_path / PATH, checkpoint_every=5, **settings(KillAt(6)))
    fit(net, tmp_path / PATH, checkpoint_every=5, **settings())
    same_bits(net, whole)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of the size of a file")
def test_full_disk_ends_the_run_and_keeps_the_checkpoint(tmp_path):
    import resource

    limits, history = resource.getrlimit(resource.RLIMIT_FSIZE), History()
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    class Fill(callbacks.Callback):
        def on_step_end(self, run):
            if run.updates == 6:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))

    try:
        with pytest.raises(OSError, match=r"run\.safetensors was not written .*File too large"):
            fit(
                network(),
                tmp_path / PATH,
                checkpoint_every=2,
                callbacks=[Fill()],
                history=history,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(history.losses) == 6
    whole, net = network(), network()
    fit(whole, None)
    fit(net, tmp_path / PATH)
    same_bits(net, whole)


def test_callbacks_of_another_type_begin_again(tmp_path):
    with pytest.raises(Killed):
        fit(network(), tmp_path / PATH, callbacks=[KillAt(5)], checkpoint_every=4)
    count = Count()
    fit(
        network(),
        tmp_path / PATH,
        callbacks=[count],
        checkpoint_every=4,
        optimizer=optimizers.Adam(schedules.Cosine(0.01, 60)),
    )
    assert count.steps == 12 - 4


class Stop(callbacks.Callback):
    def __init__(self, updates):
        self.updates = updates

    def on_step_end(self, run):
        if run.updates == self.updates:
            run.stop()


@pytest.mark.parametrize("every", [None, 1])
def test_run_that_a_callback_ended_is_complete(tmp_path, every, capsys):
    first, second = network(), network(seed=2)
    history = fit(first, tmp_path / PATH, callbacks=[Stop(6)], checkpoint_every=every)
    assert len(history.losses) == 6
    other = fit(
        second,
        tmp_path / PATH,
        callbacks=[Stop(6)],
        checkpoint_every=every,
        progress=True,
    )
    assert "a callback ended the run after epoch 2" in capsys.readouterr().out
    same_history(other, history)
    same_bits(second, first)


def test_other_settings_raise_with_both_values(tmp_path):
    killed(network(), tmp_path / PATH, 6, checkpoint_every=2)
    content = (tmp_path / PATH).read_bytes()
    smooth = partial(losses.cross_entropy, label_smoothing=0.1)
    for settings, message in (
        (
            {"loss": smooth},
            "loss is anynet.losses.cross_entropy(label_smoothing=0.1) here and "
            "anynet.losses.cross_entropy in the file",
        ),
        ({"optimizer": optimizers.SGD(0.1)}, "optimizer is SGD(0.1"),
        ({"compile": True}, "compile is True here and False in the file"),
        ({"metric": None}, "metric is None here and 'auto' in the file"),
    ):
        net, history = network(), History()
        before = net.map(lambda x: x + 0)
        with pytest.raises(ArgumentError, match=re.escape(message)):
            fit(net, tmp_path / PATH, history=history, **settings)
        same_bits(net, before)
        assert history.losses == []
    assert (tmp_path / PATH).read_bytes() == content


def test_other_data_and_networks_raise(tmp_path):
    killed(network(), tmp_path / PATH, 6, checkpoint_every=2)
    settings = {"optimizer": optimizers.Adam(schedules.Cosine(0.01, 60)), "progress": False}
    augment = data.random_affine(shift=2.0)
    for net, train, message in (
        (
            network(),
            data.Loader(X[:20], T[:20], 4, augment=augment),
            r"train.rows is 20 here and 28 in the file; "
            r"train.batch_size is 4 here and 8 in the file; "
            r"train.seed is 0 here and 3 in the file",
        ),
        (
            layers.Sequential(layers.Flatten(), layers.Linear(36, 3), seed=0),
            data.Loader(X, T, 8, seed=3, augment=data.random_affine(shift=1.0)),
            r"net.layers.0 is anynet.layers.pool.Flatten\(\) here and .*Conv2d\(weight=float32",
        ),
    ):
        with pytest.raises(ArgumentError, match=message):
            anynet.fit(net, train, checkpoint=tmp_path / PATH, **settings)


def test_other_stages_of_an_augmentation_raise(tmp_path):
    for shift, is_other in ((1, False), (1, False), (2, True)):
        augment = data.compose(data.random_shift(shift), data.random_flip())
        train = data.Loader(X, T, 8, augment=augment)
        settings = {"epochs": 1, "progress": False, "checkpoint": tmp_path / PATH}
        if not is_other:
            anynet.fit(network(), train, **settings)
            continue
        with pytest.raises(ArgumentError, match=r"padding=2.* here and .*padding=1.* in the file"):
            anynet.fit(network(), train, **settings)


def test_other_mixed_precision_raises(tmp_path):
    fit(network(), tmp_path / PATH, precision=anynet.MixedPrecision("float16"))
    for policy, message in (
        (anynet.MixedPrecision("bfloat16"), r"MixedPrecision\('bfloat16', loss_scale=None\) here"),
        (anynet.MixedPrecision("float16", loss_scale=8.0), r"loss_scale=8.0\) here and .*dynamic"),
        (anynet.MixedPrecision("float16", keep=["layers.0"]), r"keep=\('layers.0',\), .* here"),
    ):
        with pytest.raises(ArgumentError, match=message):
            fit(network(), tmp_path / PATH, precision=policy)


def test_values_that_are_not_finite_are_never_written(tmp_path):
    class Spoil(callbacks.Callback):
        def on_step_end(self, run):
            if run.updates == 5:
                run.net["layers.5.bias"] = run.net["layers.5.bias"] * np.nan

    history = History()
    with pytest.raises(NonFiniteError, match=r"the parameter layers\.5\.bias has") as caught:
        fit(
            network(),
            tmp_path / PATH,
            callbacks=[Spoil()],
            checkpoint_every=1,
            history=history,
        )
    assert caught.value.history is history
    net = network(seed=9)
    anynet.load(net, tmp_path / PATH)
    assert all(np.isfinite(p).all() for p in net.parameters().values())
    assert len(fit(net, tmp_path / PATH, checkpoint_every=1).losses) == 12


def test_damaged_file_names_the_previous_one(tmp_path):
    fit(network(), tmp_path / PATH)
    path = tmp_path / PATH
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        DataError,
        match=r"damaged.*run\.previous\.safetensors is the checkpoint before it: rename it to run",
    ):
        fit(network(), path)
    os.replace(tmp_path / "run.previous.safetensors", path)
    whole, net = network(), network()
    fit(whole, None)
    fit(net, path)
    same_bits(net, whole)


def test_missing_file_beside_a_previous_one_raises(tmp_path):
    fit(network(), tmp_path / PATH)
    (tmp_path / PATH).unlink()
    with pytest.raises(DataError, match=r"does not exist, and run\.previous\.safetensors does"):
        fit(network(), tmp_path / PATH)


def test_file_of_a_network_is_not_that_of_a_run(tmp_path):
    anynet.save(network(), tmp_path / PATH)
    with pytest.raises(DataError, match="is not the checkpoint of a run"):
        fit(network(), tmp_path / PATH)


def test_load_reads_the_network_of_a_run(backend, tmp_path):
    net = network()
    net["layers.1.bias"] = net["layers.1.weight"]
    fit(net, tmp_path / PATH, epochs=1)
    other = network(backend)
    anynet.load(other, tmp_path / PATH)
    same_bits(other, net)


def test_iterable_goes_on_at_the_end_of_an_epoch(tmp_path):
    batches = [(X[i : i + 8], T[i : i + 8]) for i in (0, 8, 16)]
    settings = {"optimizer": optimizers.Adam(0.01), "epochs": 3, "progress": False}
    whole, net = network(), network()
    history = anynet.fit(whole, batches, **settings)
    settings |= {"checkpoint": tmp_path / PATH, "checkpoint_every": 1}
    with pytest.raises(Killed):
        anynet.fit(
            network(),
            batches,
            callbacks=[KillAt(5)],
            **settings | {"optimizer": optimizers.Adam(0.01)},
        )
    assert checkpoint.read(tmp_path / PATH)["history.losses"].shape == (3,)
    other = anynet.fit(net, batches, **settings | {"optimizer": optimizers.Adam(0.01)})
    same_bits(net, whole)
    same_history(other, history)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint": 3}, "checkpoint is 3: wanted a file"),
        ({"checkpoint_every": 3}, "checkpoint_every is 3 without checkpoint"),
        ({"checkpoint": PATH, "checkpoint_every": 0}, "checkpoint_every is 0: wanted 1 or more"),
        ({"checkpoint": "."}, "which is no file"),
    ],
)
def test_invalid_arguments_raise(tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=message):
        anynet.fit(network(), (X, T), progress=False, **settings)
    assert os.listdir(tmp_path) == []


def test_optimizer_without_a_state_raises_before_training(tmp_path):
    class Plain:
        def update(self, net, grads):
            raise AssertionError

    for optimizer in (Plain(), optimizers.Clipping(Plain(), max_norm=1.0)):
        with pytest.raises(ArgumentTypeError, match="has no state_dict"):
            fit(network(), tmp_path / PATH, optimizer=optimizer)
    assert os.listdir(tmp_path) == []


def test_history_of_another_run_raises(tmp_path):
    fit(network(), tmp_path / PATH, epochs=1)
    with pytest.raises(ArgumentError, match=r"history has 2 losses, and .* does not begin with"):
        fit(network(), tmp_path / PATH, history=History([], [1.0, 2.0]))
