"""Averaged weights, schedules that follow a score, and parameters that become NaN, in `fit`."""

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import callbacks, layers, losses, optimizers
from anynet.array import array_namespace
from anynet.errors import ArgumentError, NonFiniteError
from anynet.optimizers import schedules
from anynet.training import History


def data(backend, n=40):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, 2)).astype("float32")
    return backend.asarray(x), backend.asarray((x[:, 0] > 0).astype("int64"))


def network(backend):
    return layers.Sequential(
        layers.Linear(2, 4), layers.BatchNorm(4), layers.Linear(4, 2), seed=0, backend=backend
    )


def fit(net, backend, optimizer, **named):
    settings = {"batch_size": 10, "epochs": 3, "progress": False, "metric": "auto"}
    return anynet.fit(net, data(backend), optimizer=optimizer, **(settings | named))


def arrays_of(net):
    return {name: host(x).copy() for name, x in (net.parameters() | net.buffers()).items()}


def same(one, other):
    assert one.keys() == other.keys()
    for name, x in one.items():
        np.testing.assert_allclose(x, other[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("compile", [False, True])
def test_scores_and_the_result_are_those_of_the_averages(backend, compile):
    """The training is that without averages, and a later call goes on with its weights."""
    plain, averaged = network(backend), network(backend)
    seen = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda run: seen.append(arrays_of(run.net)))
    losses_of_plain = fit(plain, backend, optimizers.SGD(0.1), compile=compile).losses
    optimizer = optimizers.ExponentialAverage(optimizers.SGD(0.1), 0.9)
    history = fit(averaged, backend, optimizer, callbacks=[look], compile=compile)
    assert history.losses == pytest.approx(losses_of_plain, rel=1e-5)
    assert optimizer.swapped
    same(seen[-1], arrays_of(averaged))
    assert history.epochs[-1].train_score == anynet.evaluate(averaged, data(backend))
    optimizer.swap(averaged)
    same(arrays_of(averaged), arrays_of(plain))
    optimizer.swap(averaged)
    longer = network(backend)
    expected = fit(longer, backend, optimizers.SGD(0.1), epochs=4, compile=compile)
    fit(averaged, backend, optimizer, epochs=4, history=history, compile=compile)
    assert history.losses == pytest.approx(expected.losses, rel=1e-4)
    assert optimizer.swapped


def test_averages_inside_of_other_wrappers_and_before_they_begin():
    backend = anynet.get_backend("numpy")
    late = optimizers.StochasticAverage(optimizers.SGD(0.1), start=1000)
    net = network(backend)
    fit(net, backend, optimizers.Clipping(late, max_norm=1.0))
    assert not late.swapped
    inside = optimizers.ExponentialAverage(optimizers.SGD(0.1), 0.9)
    fit(net, backend, optimizers.Clipping(inside, max_norm=1.0))
    assert inside.swapped


def test_best_weights_are_averages():
    backend = anynet.get_backend("numpy")
    net, seen = network(backend), {}
    best = callbacks.BestWeights("train accuracy")
    look = lambda run: seen.update({run.epoch: arrays_of(run.net)})
    optimizer = optimizers.ExponentialAverage(optimizers.SGD(0.1), 0.9)
    given = [best, callbacks.LambdaCallback(on_epoch_end=look)]
    fit(net, backend, optimizer, callbacks=given)
    same(arrays_of(net), seen[best.best_epoch])
    # The weights of training are still there.
    optimizer.swap(net)
    plain = network(backend)
    fit(plain, backend, optimizers.SGD(0.1))
    same(arrays_of(net), arrays_of(plain))


def test_ctrl_c_leaves_the_averages_in_the_network():
    backend = anynet.get_backend("numpy")

    def interrupt(run):
        if run.updates == 6:
            raise KeyboardInterrupt

    for moment in ("on_step_end", "on_epoch_end"):
        optimizer = optimizers.ExponentialAverage(optimizers.SGD(0.1), 0.9)
        given = [callbacks.LambdaCallback(**{moment: interrupt})]
        history = fit(network(backend), backend, optimizer, callbacks=given, epochs=2)
        assert history.interrupted == (moment == "on_step_end")
        assert optimizer.swapped


@pytest.mark.parametrize("inside", ["alone", "wrapped", "group", "joined", "warm-up", "rest"])
def test_plateau_follows_its_score(inside):
    """Whether it is among the callbacks or not, once for each epoch."""
    backend = anynet.get_backend("numpy")
    rates = []
    for is_callback in (False, True):
        plateau = schedules.Plateau(0.1, mode="max", factor=0.5, patience=0)
        optimizer = optimizers.SGD(plateau)
        if inside == "wrapped":
            optimizer = optimizers.Clipping(optimizer, max_norm=1.0)
        elif inside == "group":
            optimizer = optimizers.Groups(("layers.0", optimizer), optimizers.SGD(0.1))
        elif inside == "joined":
            optimizer = optimizers.SGD(schedules.Joined((0.1, plateau), (5,)))
        elif inside == "warm-up":
            optimizer = optimizers.SGD(schedules.Warmup(plateau, 5))
        elif inside == "rest":
            optimizer = optimizers.Muon(0.1, rest=optimizer)
        given = [plateau] if is_callback else []
        fit(network(backend), backend, optimizer, callbacks=given)
        rates.append(plateau(0))
    assert rates == [0.025, 0.025]


def test_schedule_that_ends_too_early_raises_before_training():
    backend = anynet.get_backend("numpy")
    net = network(backend)
    before = arrays_of(net)
    optimizer = optimizers.SGD(schedules.Cosine(0.1, 8))
    with pytest.raises(ArgumentError, match=r"Cosine\(.*\) ends with step 8"):
        fit(net, backend, optimizer)
    same(arrays_of(net), before)
    assert optimizer.updates == 0
    history = fit(net, backend, optimizer, epochs=2)
    with pytest.raises(ArgumentError, match=r"Cosine\(.*\) ends with step 8"):
        fit(net, backend, optimizer, epochs=3, history=history)
    assert len(history.epochs) == 2


@pytest.mark.parametrize("compile", [False, True])
def test_gradient_that_is_nan_raises_at_the_end_of_the_epoch(backend, compile):
    """The loss is finite, and its last gradient is not."""
    x, t = data(backend)
    net = network(backend)

    def loss(net, x, t):
        root = array_namespace(x).sum(net(x)[:1, :1] * 0.0) ** 0.5
        return losses.cross_entropy(net(x), t) + root

    history = History()
    with (
        np.errstate(all="ignore"),
        pytest.raises(NonFiniteError, match=r"the parameter layers\..* is|has values .* epoch 1"),
    ):
        anynet.fit(
            net,
            (x, t),
            loss=loss,
            batch_size=40,
            epochs=2,
            history=history,
            compile=compile,
            progress=False,
        )
    assert np.isfinite(history.losses).all()
    assert history.epochs == []
