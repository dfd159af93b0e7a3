"""Groups: optimizers for parts of a network."""

import copy
import pickle

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import layers, losses, optimizers
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    AttributeNameError,
    DTypeError,
    ShapeError,
)
from anynet.optimizers import SGD, Adam, Clipping, Groups, Momentum, Muon


def small(backend, *, tied=False):
    net = layers.Sequential(
        layers.Linear(3, 3),
        layers.BatchNorm(3),
        layers.ReLU(),
        layers.Linear(3, 3),
        seed=0,
        backend=backend,
    )
    if tied:
        net[3].weight = net[0].weight
    return net


def gradients(net, backend):
    x = normal(backend, 4, 3, dtype="float32")
    return anynet.grad(lambda net, x: losses.mean_squared_error(net(x), x))(net, x)


def change_of(backend, optimizer, *, tied=False):
    """Return by how much each parameter changes in an update, in learning rates of SGD."""
    net = small(backend, tied=tied)
    before = {path: host(x) for path, x in net.parameters().items()}
    grads = gradients(net, backend)
    optimizer.update(net, grads)
    paths = dict(anynet.tree.leaves(grads))
    changes = {}
    for path, x in net.parameters().items():
        if path not in paths:
            continue
        step, gradient = before[path] - host(x), host(paths[path])
        changes[path] = round(float(np.sum(step * gradient) / np.sum(gradient**2)), 3)
    return changes


@pytest.mark.parametrize(
    ("where", "members"),
    [
        ("layers.0", {"layers.0.weight", "layers.0.bias"}),
        ("layers.0.weight", {"layers.0.weight"}),
        ("*.bias", {"layers.0.bias", "layers.1.bias", "layers.3.bias"}),
        ("layers.[13]", {"layers.1.weight", "layers.1.bias", "layers.3.weight", "layers.3.bias"}),
        (
            lambda path, parameter: parameter.ndim == 2,
            {"layers.0.weight", "layers.3.weight"},
        ),
        (lambda path, parameter: False, set()),
    ],
)
def test_group_has_the_parameters_at_a_path_or_of_a_function(backend, where, members):
    changes = change_of(backend, Groups((where, SGD(0.5)), SGD(0.25)))
    assert len(changes) == 6
    assert {path for path, change in changes.items() if change == 0.5} == members
    assert {path for path, change in changes.items() if change == 0.25} == {*changes} - members


def test_first_group_that_matches_wins_and_none_freezes(backend):
    groups = Groups(
        ("layers.0.bias", None),
        ("layers.0", SGD(0.5)),
        ("*.bias", SGD(0.125)),
        None,
    )
    assert change_of(backend, groups) == {
        "layers.0.weight": 0.5,
        "layers.0.bias": 0.0,
        "layers.1.weight": 0.0,
        "layers.1.bias": 0.125,
        "layers.3.weight": 0.0,
        "layers.3.bias": 0.125,
    }


@pytest.mark.parametrize("where", ["layers.0", "layers.3", "layers.3.weight"])
def test_tied_parameter_belongs_to_the_group_of_any_of_its_paths(backend, where):
    changes = change_of(backend, Groups((where, SGD(0.5)), SGD(0.25)), tied=True)
    assert changes["layers.0.weight"] == 0.5


def test_frozen_parameters_have_a_path(backend):
    net = small(backend).freeze("layers.0")
    before = host(net[0].weight)
    optimizer = Groups(("layers.0", Adam(0.5)), SGD(0.25))
    optimizer.update(net, gradients(net, backend))
    np.testing.assert_array_equal(host(net[0].weight), before)
    assert optimizer.updates == 1


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            ("layer.0",),
            r"'layer.0' matches no parameter \(did you mean 'layers.0'\?\): .* at l",
        ),
        (("layers.2",), r"'layers.2' matches no parameter"),
        (
            (
                "layers.0",
                "",
            ),
            r"'' matches no parameter",
        ),
        (("layers.1.running_mean",), r"matches no parameter"),
        (("layers.1.running_meen",), r"matches no parameter"),
        (("*.biases",), r"matches no parameter"),
        (("layers", "layers.0"), r"all parameters at 'layers.0' belong to earlier groups"),
    ],
)
def test_path_without_parameters_raises_and_changes_nothing(backend, groups, message):
    net, optimizer = small(backend), Groups(*[(where, SGD(0.5)) for where in groups], SGD(0.5))
    before = {path: host(x) for path, x in net.parameters().items()}
    with pytest.raises(ArgumentError, match=message):
        optimizer.update(net, gradients(net, backend))
    for path, x in net.parameters().items():
        np.testing.assert_array_equal(host(x), before[path])
    assert optimizer.updates == 0


def test_error_in_one_group_changes_nothing_in_another():
    optimizer = Groups(("a", Adam(0.5)), ("b", Momentum(lambda step: -1.0)), Adam(0.5))
    net = {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)}
    with pytest.raises(ArgumentError, match="the schedule gives the learning rate"):
        optimizer.update(net, {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)})
    assert [x.tolist() for x in net.values()] == [[1, 1]] * 3
    assert [x.updates for x in optimizer.optimizers] == [0, 0, 0]
    assert optimizer.optimizers[0].state == {}
    with pytest.raises(ShapeError, match="the gradient of c has shape"):
        optimizer.update(net, {"a": np.ones(2), "b": None, "c": np.ones(3)})
    mixed = {"a": np.ones(2), "c": np.ones(2, complex)}
    with pytest.raises(DTypeError, match="Adam: a parameter of complex128"):
        Groups(("a", SGD(0.5)), Adam(0.5)).update(mixed, mixed)
    assert mixed["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Groups(), "Groups has no arguments: wanted pairs"),
        (lambda: Groups(("a", SGD(0.1))), r"the last argument, .* is \('a', SGD"),
        (lambda: Groups(SGD(0.1), SGD(0.2)), r"group 0 is SGD\(0.1, .*: wanted a pair such as"),
        (lambda: Groups(("a", SGD), SGD(0.1)), "the optimizer of group 0 is the class SGD"),
        (lambda: Groups(("a", 0.1), SGD(0.1)), "the optimizer of group 0 is 0.1: wanted one"),
        (lambda: Groups((3, SGD(0.1)), SGD(0.1)), "group 0 is for 3: wanted a path"),
        (
            lambda: Groups((lambda path: 1, SGD(0.1)), SGD(0.1)),
            "group 0 is for .*: wanted a path",
        ),
        (lambda: Groups({}), r"the last argument, .* is {}: wanted one such as"),
        (lambda: Muon(rest={}), r"rest is {}: wanted one such as"),
    ],
)
def test_arguments_of_another_type_raise(make, message):
    with pytest.raises(ArgumentTypeError, match=message):
        make()


def test_one_optimizer_in_two_groups_raises():
    optimizer = SGD(0.1)
    with pytest.raises(ArgumentError, match="one optimizer is in two groups"):
        Groups(("a", optimizer), optimizer)


def test_update_of_a_subclass_is_called(backend):
    class Halved(Adam):
        """Halves the gradients and counts."""

        calls = 0

        def update(self, net, grads):
            type(self).calls += 1
            super().update(net, anynet.tree.map(lambda g: g / 2, grads))

    class Plain:
        """Has nothing but an update."""

        def update(self, net, grads):
            net["c"] = net["c"] - grads["c"]
            assert grads["a"] is None

    net = {path: normal(backend, 2) for path in "abc"}
    grads = {path: normal(backend, 2) for path in "abc"}
    Groups(("a", Halved(0.1)), ("c", Plain()), SGD(0.5)).update(net, grads)
    assert Halved.calls == 1
    assert_close(net["b"], 0.5 * host(grads["b"]), rtol=1e-6)
    assert_close(net["c"], 0 * host(grads["c"]))
    state = Groups(("c", Plain()), None).state_dict()
    assert state == {"0": None, "rest": None}


def test_averages_inside_of_groups_raise():
    average = optimizers.Clipping(optimizers.ExponentialAverage(SGD(0.1), 0.9), max_norm=1.0)
    for make in (lambda: Groups(("a", average), SGD(0.1)), lambda: Muon(rest=average)):
        with pytest.raises(ArgumentError, match="put the average around all groups"):
            make()


def test_schedules_of_all_groups_are_checked_before_a_run():
    short = optimizers.schedules.Cosine(0.1, 3)
    for optimizer in (
        Groups(("layers.0", Adam(short)), SGD(0.1)),
        Groups(("layers.0", None), Muon(0.1, rest=Adam(short))),
        Muon(short),
    ):
        optimizer.check_schedule(3)
        with pytest.raises(ArgumentError, match="step 4"):
            optimizer.check_schedule(5)


def test_attributes_are_read_only():
    optimizer = Groups(("a", SGD(0.1)), SGD(0.2))
    with pytest.raises(AttributeNameError, match="Groups has no attribute 'learning_rate'"):
        optimizer.learning_rate = 0.5
    with pytest.raises(AttributeNameError, match=r"Groups\.rest was assigned, and can only be"):
        optimizer.rest = SGD(0.1)
    assert not hasattr(optimizer, "learning_rate")
    assert repr(pickle.loads(pickle.dumps(optimizer))) == repr(copy.deepcopy(optimizer))


def test_text_shows_settings_and_no_addresses():
    def is_bias(path, parameter):
        return path.endswith("bias")

    optimizer = Groups(("a", None), (is_bias, SGD(0.1)), SGD(lambda step: 0.2))
    assert repr(optimizer) == (
        "Groups(('a', None), (is_bias, SGD(0.1, weight_decay=0.0)), "
        "SGD(<lambda>, weight_decay=0.0))"
    )


def nested(rate=0.1):
    inner = Groups(("layers.0.weight", Momentum(rate)), Clipping(Adam(rate), max_norm=0.5))
    return Clipping(Groups(("layers.0", inner), ("layers.3", Muon(rate)), SGD(rate)), max_norm=1.0)


@pytest.mark.parametrize("compiled", [False, True])
def test_nested_groups_resume_from_their_state(backend, compiled):
    def step(net, optimizer, grads):
        optimizer.update(net, grads)

    step = anynet.compile(step) if compiled else step
    net, optimizer = small(backend), nested()
    grads = gradients(net, backend)
    for _ in range(2):
        step(net, optimizer, grads)
    other, again = net.map(lambda x: x), nested()
    state = optimizer.state_dict()
    again.load_state_dict(copy.deepcopy(state) if backend.name == "numpy" else state)
    for _ in range(2):
        step(net, optimizer, grads)
        step(other, again, grads)
    for path, x in net.parameters().items():
        assert_close(other.parameters()[path], host(x), like=x, rtol=1e-6, atol=1e-7)


def test_state_of_other_groups_raises_and_changes_nothing():
    net = {"a": np.ones(1), "b": np.ones(1)}
    optimizer = Groups(("a", SGD(0.5)), Adam(0.5))
    optimizer.update(net, {"a": np.ones(1), "b": np.ones(1)})
    state = optimizer.state_dict()
    other = Groups(("a", SGD(0.5)), Momentum(0.5))
    with pytest.raises(ArgumentError, match="Momentum for b"):
        other.load_state_dict(state)
    assert [x.updates for x in other.optimizers] == [0, 0]
    with pytest.raises(ArgumentError, match="the state of Groups lacks 'rest'"):
        optimizer.load_state_dict({"0": None})
    with pytest.raises(ArgumentError, match="the state of Groups has an unknown '1'"):
        optimizer.load_state_dict({**state, "1": None})
    frozen = Groups(("a", None), Adam(0.5))
    with pytest.raises(ArgumentError, match="None has no state, and was given a dict"):
        frozen.load_state_dict(state)


def test_groups_train_with_fit():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype("float32")
    t = (x[:, 0] > 0).astype("int64")
    for compiled in (False, True):
        net = small("numpy")
        before = net[0].weight.copy()
        optimizer = Groups(("layers.0", None), ("*.bias", SGD(0.1)), Muon(0.05))
        history = anynet.fit(
            net,
            (x, t),
            optimizer=optimizer,
            epochs=20,
            batch_size=16,
            compile=compiled,
            progress=False,
        )
        assert history.epochs[-1].train_score > 0.8
        np.testing.assert_array_equal(net[0].weight, before)


def test_muon_updates_the_rest_with_its_own_optimizer(backend):
    def train(optimizer, rate=None):
        net = {"w": normal(backend, 3, 2), "b": normal(backend, 2, seed=1)}
        grads = {"w": normal(backend, 3, 2, seed=2), "b": normal(backend, 2, seed=3)}
        optimizer.update(net, grads)
        if rate is not None:
            optimizer.learning_rate = rate
        optimizer.update(net, grads)
        return net, grads

    start = host(normal(backend, 2, seed=1))
    net, grads = train(Muon(0.1, rest=SGD(0.5)))
    assert_close(net["b"], start - host(grads["b"]), rtol=1e-6)
    own = {"b": normal(backend, 2, seed=1)}
    adamw = optimizers.AdamW(0.1, weight_decay=0.1)
    adamw.update(own, {"b": grads["b"]})
    adamw.learning_rate = 0.2
    adamw.update(own, {"b": grads["b"]})
    assert_close(train(Muon(0.1), 0.2)[0]["b"], host(own["b"]), rtol=1e-6)


def test_settings_that_are_assigned_to_muon_hold_for_all_parameters():
    nets = [{"w": np.ones((2, 2)), "b": np.ones(2)} for _ in range(2)]
    grads = {"w": np.eye(2), "b": np.ones(2)}
    assigned = Muon(0.1, weight_decay=0.0)
    assigned.weight_decay = 0.5
    for net, optimizer in zip(nets, (assigned, Muon(0.1, weight_decay=0.5)), strict=True):
        optimizer.update(net, grads)
    np.testing.assert_array_equal(nets[0]["w"], nets[1]["w"])
    np.testing.assert_array_equal(nets[0]["b"], nets[1]["b"])
