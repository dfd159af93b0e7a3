"""A Sequential is a sequence of layers. Parts of a network are replaced by path or index."""

import copy
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, losses, optimizers
from anynet.array import array_namespace
from anynet.errors import (
    ArgumentTypeError,
    DTypeError,
    MixedArraysError,
    NotInitializedError,
    PathError,
    ShapeError,
)


def made(backend):
    return layers.Sequential(
        layers.Linear(4, 3),
        layers.ReLU(),
        layers.Linear(3, 2),
        seed=0,
        backend=backend,
    )


class Blocks(layers.Module):
    def __init__(self):
        self.first = layers.Linear(4, 3)
        self.blocks = [layers.Linear(3, 3), layers.ReLU()]
        self.pair = (layers.ReLU(), layers.Tanh())
        self.heads = {"a": layers.Linear(3, 2)}

    def forward(self, x):
        x = self.first(x)
        for block in (*self.blocks, *self.pair):
            x = block(x)
        return self.heads["a"](x)


def test_sequential_is_a_sequence_of_its_layers(backend):
    net = made(backend)
    kinds = [layers.Linear, layers.ReLU, layers.Linear]
    assert isinstance(net, Sequence)
    assert len(net) == 3
    assert [type(layer) for layer in net] == kinds
    assert [type(layer) for layer in reversed(net)] == kinds[::-1]
    assert net[0] is net.layers[0]
    assert net[-1] is net[2] is net[np.int64(2)]
    assert net[1] in net
    assert layers.ReLU() not in net
    assert net.index(net[1]) == 1
    assert "layers.0.weight" in net
    assert "layers.1.weight" not in net
    assert net["layers.0.weight"] is net[0].weight


def test_slice_shares_layers(backend):
    net = made(backend)
    part = net[:2]
    assert type(part) is layers.Sequential
    assert part[0] is net[0]
    x = backend.asarray(np.ones((5, 4), np.float32))
    assert host(part(x)).tolist() == host(net[1](net[0](x))).tolist()
    assert len(net[5:]) == 0

    def loss(net):
        y = net[:2](x)
        return y.__array_namespace__().sum(y)

    grads = anynet.grad(loss)(net)
    assert float(host(grads[0].bias).sum()) > 0
    assert not host(grads[2].bias).any()


def test_empty_network_is_true():
    assert layers.Sequential()
    assert Blocks()


def test_layers_are_replaced_inserted_and_deleted(backend):
    net = made(backend)
    last = layers.Linear(3, 5)
    net[-1] = last
    assert net[2] is last
    net["layers.1"] = tanh = layers.Tanh()
    assert net[1] is tanh
    net.append(layers.Softmax())
    net.insert(0, layers.Identity())
    del net[0]
    net[1:2] = [layers.ReLU(), layers.Dropout()]
    assert [type(layer).__name__ for layer in net] == [
        "Linear",
        "ReLU",
        "Dropout",
        "Linear",
        "Softmax",
    ]
    net.initialize(0)
    assert net(backend.asarray(np.ones((6, 4), np.float32))).shape == (6, 5)
    assert len(copy.deepcopy(net)) == len(pickle.loads(pickle.dumps(net))) == 5


def test_new_layer_is_initialized_like_its_network(
    backend,
):
    net = layers.Sequential(
        layers.Linear(3, 3),
        layers.ReLU(),
        seed=0,
        backend=backend,
        dtype=backend.xp.float64,
    )
    net.append(layers.Linear(3, 3))
    net.initialize(0)
    old, new = net[0].weight, net[2].weight
    assert type(new) is type(old)
    assert new.dtype == old.dtype
    assert not (host(old) == host(new)).any()


def test_compiled_step_uses_a_replaced_layer(backend):
    net = made(backend)
    step = anynet.compile(lambda net, x: net(x))
    x = backend.asarray(np.ones((5, 4), np.float32))
    step(net, x)
    net[2] = layers.Linear(3, 2).initialize(7, backend)
    assert host(step(net, x)) == pytest.approx(host(net(x)))


@pytest.mark.parametrize("index", [3, -4, 10**9])
def test_index_out_of_range_raises(index):
    net = made("numpy")
    message = rf"no layer has the index {index}; the network has 3"
    for use in (
        net.__getitem__,
        net.__delitem__,
        lambda i: net.__setitem__(i, layers.ReLU()),
    ):
        with pytest.raises(IndexError, match=message):
            use(index)


def test_value_that_is_no_layer_raises():
    net = made("numpy")
    for wrong, shown in (
        (3, "3"),
        (layers.ReLU, "the class ReLU: wanted a layer, as ReLU"),
        ("relu", "'relu'"),
    ):
        for use in (
            lambda x: net.__setitem__(0, x),
            lambda x: net.__setitem__("layers.0", x),
            lambda x: net.insert(0, x),
            layers.Sequential,
        ):
            with pytest.raises(ArgumentTypeError, match=rf"layers\.0 is {shown}"):
                use(wrong)
    with pytest.raises(
        ArgumentTypeError,
        match=r"a list is given as Sequential\(\*layers\)",
    ):
        layers.Sequential([layers.ReLU()])
    with pytest.raises(
        ArgumentTypeError,
        match=r"indexed by 1\.5: wanted the index of a layer, a slice",
    ):
        net[1.5]
    assert len(net) == 3


def test_indexing_a_module_that_is_no_sequence_raises():
    net = Blocks()
    for use in (
        lambda: net[0],
        lambda: net[:2],
        lambda: list(net),
        lambda: net.__setitem__(0, 1),
        lambda: 1 in net,
    ):
        with pytest.raises(
            ArgumentTypeError,
            match=r"a Blocks was indexed by .*or iterated over.* net\['first'\]",
        ):
            use()
    with pytest.raises(TypeError, match=r"Blocks' has no len"):
        len(net)


def test_replacing_layers_by_path():
    net = Blocks().initialize(0, "numpy")
    net["blocks.1"] = net["pair.0"] = net["heads.a"] = tanh = layers.Tanh()
    assert net.blocks[1] is net.pair[0] is net.heads["a"] is tanh
    assert len(net.pair) == 2
    with pytest.raises(ArgumentTypeError, match=r"blocks\.1 is 'relu': wanted a layer"):
        net["blocks.1"] = "relu"


def test_replacing_an_array_checks_shape_dtype_and_library(backend):
    net = made(backend)
    xp = backend.xp
    zeros = backend.asarray(np.zeros((4, 3), np.float32))
    wrong = [
        (
            xp.permute_dims(zeros, (1, 0)),
            ShapeError,
            r"of shape \(3, 4\): wanted \(4, 3\)",
        ),
        (
            xp.astype(zeros, xp.float64),
            DTypeError,
            r"of float64: wanted float32, as xp\.astype\(x, xp\.float32\)",
        ),
        (
            xp.astype(zeros, xp.int32),
            DTypeError,
            "of int32: wanted float32",
        ),
        (
            [[1.0]],
            ArgumentTypeError,
            r"was assigned \[\[1\.0\]\]: wanted an array of shape \(4, 3\)",
        ),
        (1.0, ArgumentTypeError, r"was assigned 1\.0: wanted an array"),
    ]
    for value, error, message in wrong:
        with pytest.raises(
            error,
            match=r"layers\.0\.weight was assigned .*" + message.removeprefix("was assigned "),
        ):
            net["layers.0.weight"] = value
    net["layers.0.weight"] = zeros
    assert net[0].weight is zeros
    if backend.name != "numpy":
        with pytest.raises(
            MixedArraysError,
            match=f"of another library or device: arrays of {backend.name} .*numpy",
        ):
            net["layers.0.weight"] = np.zeros((4, 3), np.float32)


def test_replacing_an_uninitialized_parameter(backend):
    net = layers.Sequential(layers.Linear(4, 3))
    with pytest.raises(ShapeError, match=r"of shape \(3,\): wanted \(4, 3\)"):
        net["layers.0.weight"] = backend.asarray(np.zeros(3))
    net["layers.0.weight"] = weight = backend.asarray(np.zeros((4, 3)))
    assert net[0].weight is weight


def test_misspelt_path_suggests_the_nearest():
    net = layers.Sequential(*(layers.Linear(2, 2) for _ in range(30)), seed=0)
    with pytest.raises(PathError) as caught:
        net["layers.3.wieght"]
    message = str(caught.value)
    assert message.startswith(
        "nothing at 'layers.3.wieght' (did you mean 'layers.3.weight'?); parameters"
    )
    assert message.endswith("layers.9.bias and 40 more")


def test_layers_attribute_changes_the_network(backend):
    """A head is replaced in one line, and drawn like the rest of the network."""
    net = layers.Sequential(
        layers.Linear(4, 3),
        layers.ReLU(),
        layers.Linear(3, 2),
        seed=0,
        backend=backend,
        dtype=backend.xp.float64,
    )
    first = net[0].weight
    net.layers[-1] = layers.Linear(3, 5)
    x = backend.asarray(np.ones((6, 4)))
    with pytest.raises(NotInitializedError, match=r"layers\.2: .*call initialize"):
        net(x)
    assert net.initialize(seed=1) is net
    assert net[0].weight is first
    assert net[2].weight.dtype == backend.xp.float64
    assert tuple(net(x).shape) == (6, 5)
    assert [*net.parameters()][-1] == "layers.2.bias"


def test_layers_attribute_is_a_list():
    net = made("numpy")
    own = net.layers
    old = list(net)
    assert len(own) == 3
    assert own == old
    assert own == tuple(old)
    assert own != old[:2]
    assert own[1] is old[1]
    assert own[:2] == old[:2]
    assert old[0] in own
    assert layers.Linear(4, 3) not in own
    assert own.index(old[2]) == 2
    own.append(layers.Softmax())
    own.insert(0, layers.Identity())
    own[1:2] = [layers.Linear(4, 4), old[0]]
    del own[0]
    own += [layers.Tanh()]
    assert [type(own.pop()).__name__ for _ in range(2)] == ["Tanh", "Softmax"]
    kinds = [type(layer).__name__ for layer in net.layers]
    assert kinds == ["Linear", "Linear", "ReLU", "Linear"]
    assert repr(own) == repr(list(net))
    net.layers = [*net.layers, layers.Tanh()]
    assert len(net) == len(own) == 5
    net.layers = reversed(old)
    assert own == old[::-1]


def test_frozen_network_with_a_new_head_trains_the_head_only(backend):
    net = made(backend).freeze()
    net.layers[-1] = layers.Linear(3, 5)
    net.initialize(seed=1)
    before = {path: host(x).copy() for path, x in net.parameters().items()}
    x = backend.asarray(np.ones((6, 4), np.float32))
    t = backend.asarray(np.arange(6) % 5)
    loss = lambda net, x, t: losses.cross_entropy(net(x), t)
    optimizers.Adam(0.1).update(net, anynet.grad(loss)(net, x, t))
    changed = [path for path, x in net.parameters().items() if (host(x) != before[path]).any()]
    assert changed == ["layers.2.weight", "layers.2.bias"]


def test_state_of_an_old_head_raises(backend):
    net, optimizer = made(backend), optimizers.Adam(0.1)
    x = backend.asarray(np.ones((6, 4), np.float32))
    step = anynet.grad(lambda net, x: array_namespace(net(x)).sum(net(x)))
    optimizer.update(net, step(net, x))
    net.layers[-1] = layers.Linear(3, 5)
    net.initialize(seed=1)
    with pytest.raises(ShapeError, match=r"layers\.2\.weight is of shape \(3, 5\), its state of"):
        optimizer.update(net, step(net, x))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda net: net.layers.__setitem__(-1, layers.Linear),
            ArgumentTypeError,
            r"layers\.2 is the class Linear: wanted a layer, as Linear\(…\)",
        ),
        (
            lambda net: net.layers.append("relu"),
            ArgumentTypeError,
            r"layers\.3 is 'relu': wanted a layer",
        ),
        (
            lambda net: net.layers.__setitem__(3, layers.ReLU()),
            PathError,
            "no layer has the index 3; the network has 3",
        ),
        (
            lambda net: net.layers.__setitem__(slice(0, 1), 3),
            ArgumentTypeError,
            r"layers slice\(0, 1, None\) were assigned 3: wanted a list of layers",
        ),
        (
            lambda net: net.__setitem__(slice(None, None, 2), [layers.ReLU()]),
            ArgumentTypeError,
            "were assigned .*: wanted a list of layers .*size 1 to extended slice of size 2",
        ),
        (lambda net: net.layers[7], PathError, "no layer has the index 7"),
        (lambda net: net.layers["0"], ArgumentTypeError, r"wanted .* as net\['layers\.0'\]"),
        (
            lambda net: setattr(net, "layers", layers.ReLU()),
            ArgumentTypeError,
            r"layers was assigned ReLU\(\): wanted a list of layers",
        ),
        (
            lambda net: setattr(net, "layers", 3),
            ArgumentTypeError,
            "layers was assigned 3: wanted a list",
        ),
    ],
)
def test_wrong_changes_of_layers_raise(change, error, message):
    net = made("numpy")
    old = list(net)
    with pytest.raises(error, match=message):
        change(net)
    assert net.layers == old


def test_subclass_without_layers():
    class Broken(layers.Sequential):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match="Broken has no attribute 'layers'"):
        Broken()(np.ones(3))
