"""The states of optimizers, from which another optimizer goes on."""

import numpy as np
import pytest
from helpers import host, normal

import anynet
from anynet import layers, losses, optimizers
from anynet.errors import ArgumentError, ShapeError
from anynet.optimizers import schedules
from anynet.training import training_step

MAKERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.Momentum(0.1, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01),
    "schedule": lambda: optimizers.AdamW(schedules.Cosine(0.1, 20), weight_decay=0.1),
}


def network(backend):
    return layers.Sequential(
        layers.Linear(4, 5),
        layers.Tanh(),
        layers.Linear(5, 3),
        seed=0,
        backend=backend,
    )


def train(backend, net, optimizer, steps, compiled):
    step = training_step(losses.mean_squared_error)
    step = anynet.compile(step) if compiled else step
    x, t = normal(backend, 6, 4), normal(backend, 6, 3, seed=1)
    for _ in range(steps):
        step(net, optimizer, x, t)


def assert_same(backend, arrays, others):
    """XLA may round the last bit otherwise in another program."""
    assert arrays.keys() == others.keys()
    tolerance = 1e-6 if backend.name == "jax" else 0
    for path, x in arrays.items():
        np.testing.assert_allclose(host(x), host(others[path]), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", MAKERS)
def test_optimizer_goes_on_from_a_state(backend, name, compiled):
    net, first = network(backend), MAKERS[name]()
    train(backend, net, first, 3, compiled)
    state, other = first.state_dict(), net.map(lambda x: x + 0)
    train(backend, net, first, 4, compiled)
    second = MAKERS[name]()
    second.load_state_dict(state)
    assert second.updates == 3
    train(backend, other, second, 4, compiled)
    assert second.updates == first.updates == 7
    assert_same(backend, other.parameters(), net.parameters())
    assert repr(second) == repr(first)


WRAPPERS = {
    "accumulation": lambda: optimizers.Accumulation(optimizers.SGD(0.1), steps=3),
    "exponential": lambda: optimizers.ExponentialAverage(optimizers.SGD(0.1), decay=0.5),
    "stochastic": lambda: optimizers.StochasticAverage(optimizers.SGD(0.1)),
}


def in_reverse(state):
    if isinstance(state, dict):
        return {key: in_reverse(state[key]) for key in reversed(state)}
    return state


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapper_goes_on_from_a_state_in_another_order(backend, name, compiled):
    # Square matrices, because arrays of other shapes than their parameters raise.
    first_net = layers.Sequential(
        layers.Linear(4, 4),
        layers.Tanh(),
        layers.Linear(4, 4),
        seed=0,
        backend=backend,
    )
    first, second = WRAPPERS[name](), WRAPPERS[name]()
    step = training_step(lambda y, t: (y**2).mean())
    step = anynet.compile(step) if compiled else step
    x = normal(backend, 6, 4)
    step(first_net, first, x, x)
    second.load_state_dict(in_reverse(first.state_dict()))
    second_net = first_net.map(lambda array: array + 0)
    for net, optimizer in ((first_net, first), (second_net, second)):
        for _ in range(3):
            step(net, optimizer, x, x)
        if hasattr(optimizer, "swap"):
            optimizer.swap(net)
    assert_same(backend, second_net.parameters(), first_net.parameters())


@pytest.mark.parametrize("name", ["exponential", "stochastic"])
def test_averages_of_a_state_in_another_order_are_swapped(backend, name):
    net = {"b": normal(backend, 2), "a": normal(backend, 2, seed=1)}
    first, second = WRAPPERS[name](), WRAPPERS[name]()
    first.update(net, dict(net))
    first.swap(net)
    averages = dict(net)
    second.load_state_dict(in_reverse(first.state_dict()))
    second.swap(net)
    second.swap(net)
    for path in averages:
        np.testing.assert_array_equal(host(net[path]), host(averages[path]))


def test_state_has_parameters_that_missed_updates(backend):
    net, first = {"a": normal(backend, 2), "b": normal(backend, 2)}, optimizers.Adam(0.1)
    first.update(net, {"a": normal(backend, 2), "b": None})
    assert first.state_dict()["state"]["b"] == {}
    second = optimizers.Adam(0.1)
    second.load_state_dict(first.state_dict())
    nets = dict(net), dict(net)
    for own, optimizer in zip(nets, (first, second), strict=True):
        optimizer.update(own, {"a": None, "b": normal(backend, 2)})
        optimizer.update(own, {"a": normal(backend, 2), "b": normal(backend, 2)})
    for path in net:
        np.testing.assert_array_equal(host(nets[0][path]), host(nets[1][path]))


def test_state_has_a_learning_rate_that_was_assigned():
    first, second = optimizers.SGD(0.5), optimizers.SGD(0.5)
    first.learning_rate = 0.25
    second.load_state_dict(first.state_dict())
    assert second.learning_rate == 0.25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("updates"), "the state of Adam lacks 'updates'"),
        (lambda state: state.update(more=1), "the state of Adam has an unknown 'more'"),
        (lambda state: state.update(updates=-1), "the updates of Adam is -1: wanted"),
        (lambda state: state.update(updates=True), "the updates of Adam is True: wanted"),
        (lambda state: state.update(learning_rate=-0.1), "learning_rate is -0.1: wanted"),
        (lambda state: state["state"]["w"].pop("mean"), "of Adam for w lacks 'mean'"),
        (
            lambda state: state["state"]["w"].update(mean=np.ones(3)),
            "the slots of Adam for w have the shapes",
        ),
        (lambda state: state["state"]["w"].update(mean=1.0), "wanted arrays of one shape"),
    ],
)
def test_state_of_another_kind_raises_and_changes_nothing(change, message):
    net, optimizer = {"w": np.ones(2)}, optimizers.Adam(0.1)
    optimizer.update(net, {"w": np.ones(2)})
    state = optimizer.state_dict()
    optimizer.update(net, {"w": np.ones(2)})
    change(state)
    before = optimizer.state
    with pytest.raises(ArgumentError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.state is before
    assert optimizer.updates == 2


def test_state_that_is_no_dict_raises():
    with pytest.raises(ArgumentError, match="the state of SGD is None: wanted a dict"):
        optimizers.SGD(0.1).load_state_dict(None)


def test_state_of_a_schedule_needs_a_schedule():
    state = optimizers.SGD(0.1).state_dict()
    with pytest.raises(ArgumentError, match="is a schedule without a state: Cosine"):
        optimizers.SGD(schedules.Cosine(0.1, 3)).load_state_dict(state)


def test_state_of_another_network_raises_at_the_update():
    first, second = optimizers.Momentum(0.1), optimizers.Momentum(0.1)
    first.update({"w": np.ones(2)}, {"w": np.ones(2)})
    second.load_state_dict(first.state_dict())
    with pytest.raises(ShapeError, match=r"w is of shape \(3,\), its state of \(2,\)"):
        second.update({"w": np.ones(3)}, {"w": np.ones(3)})
