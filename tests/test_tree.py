"""Trees of several structures, mapped and added together."""

from typing import NamedTuple

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import layers, losses, optimizers, tree
from anynet.errors import ArgumentError, ShapeError


class Pair(NamedTuple):
    first: object
    second: object


def test_map_of_several_trees(backend):
    x, y = normal(backend, 2), normal(backend, 3, seed=1)
    one = {"a": [x, (y, Pair(x, 3))], "name": "one", "none": None}
    other = {
        "a": [2 * x, (3 * y, Pair(4 * x, 5))],
        "name": "two",
        "none": None,
    }
    found = tree.map(lambda a, b, c: a + b - c, one, other, one)
    assert_close(found["a"][0], 2 * host(x), like=x)
    assert_close(found["a"][1][0], 3 * host(y))
    assert_close(found["a"][1][1].first, 4 * host(x))
    # Settings are those of the first.
    assert found["a"][1][1].second == 3
    assert found["name"] == "one"
    assert found["none"] is None


def test_add_accumulates_gradients(backend):
    """The mean of the gradients of two halves of a batch is that of the whole."""
    net = layers.Sequential(
        layers.Linear(4, 5),
        layers.Tanh(),
        layers.Linear(5, 3),
        seed=0,
        backend=backend,
    )
    net["layers.0"].freeze("bias")
    x, t = (
        normal(backend, 6, 4, dtype="float32"),
        backend.asarray(np.array([0, 1, 2] * 2)),
    )
    gradient = anynet.grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    together = tree.add(gradient(net, x[:3, ...], t[:3]), gradient(net, x[3:, ...], t[3:]))
    halved = tree.map(lambda g: g / 2, together)
    whole = gradient(net, x, t)
    for (path, found), (_, expected) in zip(tree.leaves(halved), tree.leaves(whole), strict=True):
        assert path != "layers.0.bias"
        assert_close(found, host(expected), rtol=1e-5, atol=1e-7)
    before = {path: host(p) for path, p in tree.leaves(net)}
    stepped = tree.map(lambda p, g: p if g is None else p - g, net, halved)
    optimizers.SGD(1.0).update(net, whole)
    for (path, p), (_, expected) in zip(tree.leaves(stepped), tree.leaves(net), strict=True):
        assert_close(p, host(expected), rtol=1e-5, atol=1e-6)
        assert (path == "layers.0.bias") == np.array_equal(host(p), before[path])


def test_map_calls_once_for_a_tied_leaf(backend):
    linear = layers.Linear(3, 3)
    net = layers.Sequential(linear, linear, seed=0, backend=backend)
    calls = []
    found = tree.map(lambda a, b: (calls.append(1), a + b)[1], net, net)
    assert len(calls) == 2
    assert found["layers.0.weight"] is found["layers.1.weight"]
    assert_close(found["layers.0.weight"], 2 * host(net["layers.0.weight"]))
    apart = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend=backend)
    with pytest.raises(
        ArgumentError,
        match=r"layers\.1\.weight is tied in the first, and two arrays in another",
    ):
        tree.add(net, apart)


def test_trees_of_different_structure_raise(backend):
    x = normal(backend, 2)
    for one, other, message in (
        (
            {"a": x},
            {"a": x, "b": x},
            r"the first has \['a'\] in one and \['a', 'b'\] in another",
        ),
        ([x], [x, x], "the first has 1 in one and 2 in another"),
        (
            {"a": [x]},
            {"a": (x,)},
            "a is a list in one and a tuple in another",
        ),
        ({"a": x}, {"a": [x]}, "a is a .* in one and a list in another"),
        ({"a": None}, {"a": x}, "a is a NoneType in one and a"),
        (
            layers.Tanh(),
            layers.ReLU(),
            "the first is a Tanh in one and a ReLU in another",
        ),
    ):
        with pytest.raises(ArgumentError, match=message):
            tree.add(one, other)
    with pytest.raises(ShapeError, match=r"shapes \(2,\) and \(3,\) are at the same place"):
        tree.add([x], [normal(backend, 3)])


def test_none_counts_as_zero_in_add(backend):
    x = normal(backend, 2)
    assert tree.add({"a": None}, {"a": None})["a"] is None
    assert_close(tree.add([x], [None], [x])[0], 2 * host(x), like=x)
    assert tree.add([x])[0] is x


class State:
    """A node whose parts are not tied, as the state of an optimizer is."""

    tree_node = True

    def __init__(self, first, second):
        self.first = first
        self.second = second


class Holding(layers.Module):
    """A module ties its own arrays, and not those of a state that it holds."""

    def __init__(self, state):
        self.state = state


@pytest.mark.parametrize("inside", [lambda state: state, lambda state: [state], Holding])
def test_lists_and_dicts_tie_nothing(backend, inside):
    x = normal(backend, 2)
    state = State([x, x], State(x, x))
    whole = inside(state)
    count = iter(range(1, 9))
    found = tree.map(lambda leaf: leaf + next(count), whole)
    for i, (_, leaf) in enumerate(tree.leaves(found)):
        assert_close(leaf, host(x) + i + 1)
    assert tree.ties(whole) == {}
    pairs = tree.pairs(whole, found)
    for i, (holder, name, leaf, other) in enumerate(pairs):
        assert leaf is x
        holder[name] = other * i
    for i, (_, leaf) in enumerate(tree.leaves(whole)):
        assert_close(leaf, i * (host(x) + i + 1))
    assert len(pairs) == 4


def test_network_twice_in_a_list_has_two_gradients(backend):
    net, x = (
        layers.Sequential(layers.Linear(3, 3), seed=0, backend=backend),
        normal(backend, 5, 3, dtype="float32"),
    )
    grads = anynet.grad(
        lambda nets: losses.mean_squared_error(nets[0](x), x) + 2 * nets[1]["layers.0.bias"][0]
    )([net, net])
    assert_close(grads[1]["layers.0.bias"], [2, 0, 0])
    with pytest.raises(
        ArgumentError,
        match="a Sequential is part of two networks in one list or dict",
    ):
        optimizers.SGD(0.1).update([net, net], grads)


def test_unflatten(backend):
    """Leaves come in order, one for each tied leaf, in copies of the modules."""
    shared = layers.Linear(2, 2)
    net = layers.Sequential(
        shared,
        layers.ReLU(),
        layers.Linear(2, 3),
        shared,
        seed=0,
        backend=backend,
    )
    given = {"net": net, "rest": ([backend.asarray(1.0)], "setting", None)}
    leaves = [x for _, x in tree.leaves(given)]
    assert len(leaves) == 5
    found = tree.unflatten(given, range(5))
    assert found["rest"] == ([4], "setting", None)
    assert [
        found["net"][path] for path in ("layers.0.weight", "layers.0.bias", "layers.2.weight")
    ] == [0, 1, 2]
    assert found["net"][3] is found["net"][0] is not shared
    assert type(found["net"]) is layers.Sequential
    assert all(
        x is y for (_, x), y in zip(tree.leaves(tree.unflatten(given, leaves)), leaves, strict=True)
    )
    untied = [net[2], (net[2]["weight"],)]
    found = tree.unflatten(untied, "abc")
    assert (found[0]["weight"], found[0]["bias"], found[1]) == (
        "a",
        "b",
        ("c",),
    )


def test_children_of_every_kind_of_tree():
    linear = layers.Linear(2, 3, bias=False)
    kinds = {
        "module": (linear, ["weight", "bias"]),
        "dict": ({"a": 1, 2: 3}, ["a", 2]),
        "list": ([4, 5], [0, 1]),
        "tuple": ((4, 5), [0, 1]),
        "named tuple": (Pair(4, 5), ["first", "second"]),
        "setting": ("text", []),
        "array": (np.ones(2), []),
    }
    for value, names in kinds.values():
        assert [name for name, _ in tree.children(value)] == names


def test_paths_of_leaves_and_modules_agree_and_lead_there(backend):
    class Net(layers.Module):
        def __init__(self):
            self.named = Pair(layers.Linear(2, 2), [layers.Linear(2, 2)])
            self.by_index = {0: layers.Linear(2, 2)}

    net = Net().initialize(0, backend)
    for path, x in tree.leaves(net):
        assert net[path] is x
        assert path.rpartition(".")[0] in dict(tree.modules(net))
    for path, module in net.modules()[1:]:
        assert net[path] is module
    net["named.first"] = net["by_index.0"] = tanh = layers.Tanh()
    assert net.named.first is net.by_index[0] is tanh
    assert isinstance(net.named, Pair)


def test_own_leaves_leave_modules_out(backend):
    x, y = normal(backend, 2), normal(backend, 3)
    value = [x, {"a": y}, layers.Linear(2, 2).initialize(0, backend), "text"]
    assert [path for path, _ in tree.own_leaves(value, "own")] == ["own.0", "own.1.a"]
    assert [path for path, _ in tree.own_leaves(x, "own")] == ["own"]
