import html.parser

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import initializers, layers, tree
from anynet.errors import MixedArraysError, NotInitializedError, ShapeError


def network(backend=None, seed=0, **settings):
    return layers.Sequential(
        layers.Linear(4, 3),
        layers.ReLU(),
        layers.Linear(3, 2),
        seed=seed,
        backend=backend,
        **settings,
    )


class Residual(layers.Module):
    """A user's network with a list, a dict, a setting and an array."""

    def __init__(self):
        self.blocks = [layers.Linear(4, 4), layers.Tanh()]
        self.heads = {"out": network(seed=None)}
        self.strength = 0.5
        self.shift = layers.parameter((4,), initializers.ones)

    def forward(self, x):
        h = x
        for block in self.blocks:
            h = block(h)
        return self.heads["out"](x + self.strength * h + self.shift)


def test_sequential_output(backend):
    net = network(backend, dtype=backend.xp.float64)
    x = normal(backend, 5, 4)
    w1, b1, w2, b2 = (host(p) for p in net.parameters().values())
    assert_close(net(x), np.maximum(host(x) @ w1 + b1, 0) @ w2 + b2, like=x)
    assert_close(net(x[0, ...]), host(net(x))[0])


def test_parameters_have_paths_in_definition_order(backend):
    net = Residual().initialize(0, backend)
    assert list(net.parameters()) == [
        "blocks.0.weight",
        "blocks.0.bias",
        "heads.out.layers.0.weight",
        "heads.out.layers.0.bias",
        "heads.out.layers.2.weight",
        "heads.out.layers.2.bias",
        "shift",
    ]
    assert [path for path, _ in net.modules()][:3] == [
        "",
        "blocks.0",
        "blocks.1",
    ]
    assert_close(net["shift"], np.ones(4))
    assert net["heads.out.layers.1"] is net.heads["out"].layers[1]
    assert net["strength"] == 0.5
    for path in ("heads.in", "blocks.7", "strength.x"):
        with pytest.raises(
            KeyError,
            match=r"nothing at .*; parameters and buffers are at blocks\.0\.weight, ",
        ):
            net[path]


def test_user_network_trains(backend):
    net = Residual().initialize(0, backend)
    x, t = (
        normal(backend, 8, 4, dtype="float32"),
        backend.asarray([0, 1] * 4),
    )
    history = anynet.fit(net, (x, t), epochs=30, batch_size=8, progress=False)
    assert history.losses[-1] < 0.5 * history.losses[0]


def test_initialize_draws_only_uninitialized_parameters(backend):
    net = Residual()
    net.blocks[0].weight = own = normal(backend, 4, 4, dtype="float32")
    net.initialize(3, backend)
    assert net.blocks[0].weight is own
    with pytest.raises(ValueError, match="is initialized already"):
        net.initialize()
    other = network(backend, dtype=backend.xp.float64)
    assert all(p.dtype == backend.xp.float64 for p in other.parameters().values())
    assert np.any(host(other.layers[0].weight)[:3, :2] != host(other.layers[2].weight)[:3, :2])


def test_same_seed_gives_same_weights_on_every_backend(backend):
    reference = network("numpy", seed=7)
    for path, ours in network(backend, 7).parameters().items():
        assert host(ours).tobytes() == host(reference[path]).tobytes(), path
    assert (
        host(network(backend, 8).layers[0].weight).tobytes()
        != host(reference.layers[0].weight).tobytes()
    )


def test_linear_without_bias(backend):
    net = layers.Linear(4, 3, bias=False).initialize(0, backend)
    x = normal(backend, 2, 4, dtype="float32")
    assert list(net.parameters()) == ["weight"]
    assert_close(net(x), host(x) @ host(net.weight), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "initializer",
    [initializers.normal(), initializers.xavier, initializers.he],
)
def test_initializer_sets_the_spread(backend, initializer):
    weight = host(layers.Linear(300, 200, initializer=initializer).initialize(0, backend).weight)
    wanted = {
        initializers.xavier: np.sqrt(2 / 500),
        initializers.he: np.sqrt(2 / 300),
    }.get(initializer, 0.01)
    assert weight.std() == pytest.approx(wanted, rel=0.02)


def test_shape_error_names_path_and_remedy(backend):
    net = network(backend)
    with pytest.raises(
        ShapeError,
        match=r"^layers\.0: input of shape \(5, 3\) .* \(4, 3\): wanted \(…, 4\)$",
    ):
        net(normal(backend, 5, 3))
    with pytest.raises(ShapeError, match=r"flattened to \(5, 4\) it would"):
        net(normal(backend, 5, 2, 2))
    with pytest.raises(ShapeError, match=r"input of shape \(\) does not fit"):
        net(backend.asarray(1.0))
    nested = Residual().initialize(0, backend)
    nested.heads["out"].layers[2].weight = normal(backend, 5, 2)
    with pytest.raises(ShapeError, match=r"^heads\.out\.layers\.2: input of shape \(6, 3\)"):
        nested(normal(backend, 6, 4))
    with pytest.raises(ShapeError, match=r"^layers\.0: input"):
        anynet.grad(lambda net, x: tree.map(lambda y: y, net(x)))(net, normal(backend, 5, 3))


def test_mixed_arrays_error_names_layer_and_libraries(backend):
    other = "array_api_strict" if backend.name == "numpy" else "numpy"
    with pytest.raises(
        MixedArraysError,
        match=r"^layers\.0: affine: arrays of .* and .* met in one call; .*asarray",
    ):
        network(other)(normal(backend, 5, 4))


def test_call_of_an_uninitialized_network_raises(backend):
    with pytest.raises(
        NotInitializedError,
        match=r"^layers\.0: Linear.* is not initialized: call initialize",
    ):
        network(seed=None)(normal(backend, 5, 4))


def test_value_that_is_no_layer_raises(backend):
    with pytest.raises(TypeError, match=r"layers\.1 is 'relu': wanted a layer"):
        layers.Sequential(layers.Linear(4, 3), "relu")
    with pytest.raises(
        ValueError,
        match="unknown activation 'rely'; there are elu, gelu, hard_sigmoid, identity",
    ):
        layers.activation("rely")
    with pytest.raises(NotImplementedError, match="Module defines no forward"):
        layers.Module()(normal(backend, 1))


def test_repr():
    assert repr(network("numpy")) == (
        "Sequential(\n"
        "  layers=[\n"
        "    0: Linear(weight=(4, 3), bias=(3,)),\n"
        "    1: ReLU(),\n"
        "    2: Linear(weight=(3, 2), bias=(2,)),\n"
        "  ],\n"
        ")"
    )
    assert repr(network(seed=None)) == repr(network("numpy"))


def test_summary():
    table = anynet.summary(network("numpy"))
    assert table.count == 4 * 3 + 3 + 3 * 2 + 2
    rows = [line.split(maxsplit=2) for line in str(table).splitlines()]
    assert rows == [
        ["layer", "kind", "parameters                count"],
        ["layers.0", "Linear", "weight (4, 3), bias (3,)     15"],
        ["layers.1", "ReLU", "0"],
        ["layers.2", "Linear", "weight (3, 2), bias (2,)      8"],
        ["total", "23"],
    ]
    assert len({len(line) for line in str(table).splitlines()}) == 1
    assert "(network)" in str(anynet.summary(layers.Linear(2, 2)))


def test_html_is_balanced_and_has_the_same_cells():
    class Cells(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.cells = [], []

        def handle_starttag(self, tag, attrs):
            self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

        def handle_data(self, data):
            self.cells.append(data)

    parser = Cells()
    parser.feed(network(seed=None)._repr_html_())
    assert not parser.open
    assert parser.cells[:7] == [
        "layer",
        "kind",
        "parameters",
        "count",
        "layers.0",
        "Linear",
        "weight (4, 3), bias (3,)",
    ]
    assert parser.cells[-2:] == ["total", "23"]


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_activation_layers_match_functions(backend, name):
    x = normal(backend, 3, 4)
    assert_close(
        layers.activation(name)(x),
        host(getattr(anynet.functions, name)(x)),
        like=x,
    )
