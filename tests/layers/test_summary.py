"""The table of a network, beside known values and the multiply-adds that PyTorch counts."""

import re

import numpy as np
import pytest
from examples_of_layers import EXAMPLES, example
from helpers import cells, normal

import anynet
from anynet import autodiff, layers
from anynet.array import array_namespace
from anynet.errors import ArgumentError, DataError, ShapeError


def convolutional(backend=None, seed=0):
    return layers.Sequential(
        layers.Conv2d(1, 30, 5),
        layers.BatchNorm(30),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Linear(30 * 12 * 12, 10),
        seed=seed,
        backend=backend,
    )


def test_outputs_and_multiply_adds(backend):
    table = anynet.summary(convolutional(backend), (1, 28, 28))
    found = [(row.kind, row.outputs, row.count, row.multiply_adds) for row in table.rows]
    image, row = (1, 30, 12, 12), (1, 4320)
    assert found == [
        ("Conv2d", ((1, 30, 24, 24),), 30 * 25 + 30, 30 * 24 * 24 * 25),
        ("BatchNorm", ((1, 30, 24, 24),), 60, 0),
        ("ReLU", ((1, 30, 24, 24),), 0, 0),
        ("MaxPool2d", (image,), 0, 0),
        ("Flatten", (row,), 0, 0),
        ("Dropout", (row,), 0, 0),
        ("Linear", ((1, 10),), 43_210, 43_200),
    ]
    assert table.outputs == ((1, 10),)
    assert table.multiply_adds == 432_000 + 43_200
    assert (
        anynet.summary(layers.Linear(784, 50).initialize(0, backend), (784,)).multiply_adds
        == 39_200
    )


def test_text_with_an_input_shape():
    net = layers.Sequential(
        layers.Linear(784, 50),
        layers.BatchNorm(50),
        layers.ReLU(),
        layers.Linear(50, 10),
        seed=0,
    )
    net.freeze("layers.0.weight").freeze("layers.3")
    lines = str(anynet.summary(net, (784,))).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [re.split(" {2,}", line.strip()) for line in lines] == [
        ["layer", "kind", "parameters", "output", "count", "multiply-adds"],
        [
            "layers.0",
            "Linear",
            "weight (784, 50) frozen, bias (50,)",
            "(N, 50)",
            "39,250",
            "39,200",
        ],
        [
            *("layers.1", "BatchNorm"),
            "weight (50,), bias (50,), running_mean (50,) buffer, running_variance (50,) buffer",
            *("(N, 50)", "100", "0"),
        ],
        ["layers.2", "ReLU", "(N, 50)", "0", "0"],
        [
            "layers.3",
            "Linear",
            "weight (50, 10) frozen, bias (10,) frozen",
            "(N, 10)",
            "510",
            "500",
        ],
        ["total", "(N, 10)", "39,860", "39,700"],
        ["trained", "150"],
        ["frozen", "39,710"],
        ["buffers", "100"],
    ]


def test_html_has_the_same_cells():
    table = anynet.summary(convolutional(), (1, 28, 28))
    rows = cells(table._repr_html_())
    assert rows[0] == [
        "layer",
        "kind",
        "parameters",
        "output",
        "count",
        "multiply-adds",
    ]
    assert [" ".join(row).split() for row in rows] == [
        line.split() for line in str(table).splitlines()
    ]
    # Each cell of the total stands below its title.
    assert rows[-2] == [
        "total",
        "",
        "",
        "(N, 10)",
        f"{table.count:,}",
        f"{table.multiply_adds:,}",
    ]
    assert "output" not in convolutional()._repr_html_()


def test_totals(backend):
    net = convolutional(backend).freeze("layers.1")
    table = anynet.summary(net)
    assert table.count == sum(int(np.prod(p.shape)) for p in net.parameters().values())
    assert table.buffers == sum(int(np.prod(p.shape)) for p in net.buffers().values())
    assert (table.frozen, table.trained) == (60, table.count - 60)


class Own(layers.Module):
    """A layer of a user's own: products in the standard's functions, another layer called twice,
    arrays in a list."""

    def __init__(self, backend):
        self.factors = [
            normal(backend, 6, 2, dtype="float32"),
            normal(backend, 2, 5, dtype="float32"),
        ]
        self.inner = layers.Linear(5, 3)

    def forward(self, x):
        left, right = self.factors
        xp = array_namespace(x, left)
        y = x @ xp.matmul(left, right)
        z = self.inner(y * self.inner(y)[:, :1])
        return {
            "z": z,
            "all": (
                xp.vecdot(y, y),
                xp.tensordot(y, right, axes=((1,), (1,))),
            ),
        }


def test_user_layer(backend):
    table = anynet.summary(Own(backend).initialize(0, backend), (6,))
    assert [(row.path, row.kind, row.outputs, row.multiply_adds) for row in table.rows] == [
        (
            "(network)",
            "Own",
            ((1, 3), (1,), (1, 2)),
            6 * 2 * 5 + 6 * 5 + 5 + 5 * 2,
        ),
        ("inner", "Linear", ((1, 3),), 2 * 15),
    ]
    assert table.rows[0].shapes == {
        "factors.0": (6, 2),
        "factors.1": (2, 5),
    }
    assert "(N, 3), (N,), (N, 2)" in str(table)


def test_summary_changes_nothing_in_the_network(backend):
    net = layers.Sequential(layers.ReLU(), layers.BatchNorm(5), layers.Dropout(0.5)).initialize(
        0, backend
    )
    net.layers[1].set_training(True)

    def state():
        return [
            (type(m), {name: id(value) for name, value in vars(m).items()})
            for _, m in net.modules()
        ]

    before = state()
    anynet.summary(net, (5,))
    with pytest.raises(ShapeError, match=r"layers\.1: .*wanted 5 features"):
        anynet.summary(net, (4,))
    assert state() == before


class Recomputed(layers.Module):
    def __init__(self):
        self.block = layers.Sequential(layers.Linear(4, 3), layers.Tanh())
        self.last = layers.Linear(4, 2)

    def forward(self, x):
        slopes = autodiff.vjp(lambda x: self.block(x), x)[1](autodiff.remat(self.block)(x))[0]
        return self.last(slopes)


class Transposes(layers.Module):
    """A convolution, and its gradients by weights and images."""

    def __init__(self):
        self.conv = layers.Conv2d(2, 3, (2, 4), bias=False)

    def forward(self, x):
        y, pullback = autodiff.vjp(lambda net, x: net(x), self.conv, x)
        return pullback(y)[1]


def test_gradients_of_a_convolution_count(backend):
    """Each way back multiplies every element of the cotangent with every weight, as the convolution
    does."""
    table = anynet.summary(Transposes().initialize(0, backend), (2, 5, 7))
    assert table.multiply_adds == 3 * (3 * 4 * 4) * (2 * 2 * 4)


def test_recomputation_and_differentiation_count(backend):
    table = anynet.summary(Recomputed().initialize(0, backend), (4,))
    found = {row.path: (row.outputs, row.multiply_adds) for row in table.rows}
    # The way back is a product of the network's own.
    assert found["block.layers.0"] == (((1, 3),), 2 * 12)
    assert found["(network)"] == (((1, 2),), 12)
    assert found["last"] == (((1, 2),), 8)


@autodiff.primitive(lambda xp, out, x: lambda g: g)
def gram(x):
    xp = array_namespace(x)
    return xp.matmul(x, xp.matrix_transpose(x))


class Gram(layers.Module):
    def forward(self, x):
        return gram(x)


def test_user_primitives(backend):
    """A network without parameters runs on the default backend."""
    net = layers.Sequential(layers.Linear(3, 3), Gram(), seed=0, backend=backend)
    assert anynet.summary(net, (5, 3)).rows[1].multiply_adds == 5 * 5 * 3
    assert anynet.summary(Gram(), (5, 3)).multiply_adds == 5 * 5 * 3


def test_embedding_takes_integer_zeros(backend):
    net = layers.Sequential(layers.Embedding(7, 3), layers.Linear(3, 2), seed=0, backend=backend)
    table = anynet.summary(net, (4,), dtype=backend.xp.int32)
    assert [row.outputs for row in table.rows] == [
        ((1, 4, 3),),
        ((1, 4, 2),),
    ]
    assert [row.multiply_adds for row in table.rows] == [0, 24]
    with pytest.raises(
        DataError,
        match=r"^layers\.0: indices of .*float32 were given: wanted integers",
    ):
        anynet.summary(net, (4,))


def test_uninitialized_network_stays_uninitialized():
    net = convolutional(seed=None)
    assert anynet.summary(net, (1, 28, 28)).multiply_adds == 432_000 + 43_200
    assert isinstance(net.layers[0].weight, layers.Uninitialized)


def test_input_shape_that_does_not_fit_raises(backend):
    net = convolutional(backend)
    with pytest.raises(
        ArgumentError,
        match=r"input_shape is 784: wanted that of one input, such as \(784,\)",
    ):
        anynet.summary(net, 784)
    with pytest.raises(
        ShapeError,
        match=r"^layers\.6: input of shape \(1, 3000\) does not fit",
    ):
        anynet.summary(net, (1, 24, 24))


def summary_of(name, net, x):
    return anynet.summary(
        net,
        tuple(x.shape[1:]),
        dtype=x.dtype if name == "Embedding" else None,
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_layer(backend, name):
    net, x = example(name, backend, "float32", batch=1)
    table = summary_of(name, net, x)
    assert table.outputs == (tuple(net(x).shape),)
    assert all(row.outputs for row in table.rows)


@pytest.mark.parametrize("name", EXAMPLES)
def test_multiply_adds_match_torch(name):
    counter = pytest.importorskip("torch.utils.flop_counter", reason="needs torch").FlopCounterMode(
        display=False
    )
    net, x = example(name, anynet.get_backend("torch"), "float32", batch=1)
    with counter:
        net(x)
    table = summary_of(name, net, x)
    # PyTorch counts multiplications and additions apart, and no pools.
    pools = {"AvgPool1d": 2 * 2 * 2, "AvgPool2d": 2 * 2 * 2 * 4}
    assert table.multiply_adds == pools.get(name, counter.get_total_flops() / 2)
