"""Stacked and bidirectional recurrent layers: settings, states and dropout."""

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers
from anynet.array import array_namespace
from anynet.errors import ArgumentError, ArgumentTypeError, ShapeError

KINDS = [layers.RNN, layers.LSTM, layers.GRU]


@pytest.fixture(params=KINDS)
def kind(request, backend):
    if backend.name == "jax" and request.param is not layers.LSTM:
        pytest.skip(reason="JAX compiles for too long; one kind is tested")
    return request.param


def sequences(backend, *shape, dtype="float32"):
    return backend.asarray(np.random.default_rng(0).normal(size=shape).astype(dtype))


def test_reverse_direction_reads_from_the_end(backend, kind):
    """The second half of the outputs is a network of one direction on the flipped sequence."""
    net = kind(3, 2, bidirectional=True).initialize(0, backend)
    x = sequences(backend, 4, 6, 3)
    xp = array_namespace(x)
    one = kind(3, 2)
    one.cells = net.reverse_cells
    flipped = host(xp.flip(one(xp.flip(x, axis=1)), axis=1))
    np.testing.assert_allclose(host(net(x))[..., 2:], flipped, rtol=1e-6)


def test_layers_are_networks_one_after_the_other(backend, kind):
    net = kind(3, 2, layers=2).initialize(0, backend)
    x = sequences(backend, 4, 6, 3)
    first, second = kind(3, 2), kind(2, 2)
    first.cells, second.cells = net.cells[:1], net.cells[1:]
    np.testing.assert_array_equal(host(net(x)), host(second(first(x))))


def test_dropout_is_between_layers_in_training_only(backend):
    net = layers.GRU(3, 4, layers=2, dropout=0.5).initialize(0, backend)
    x = sequences(backend, 2, 5, 3)
    captured = anynet.capture(net, ["cells.*", "dropouts.0"])
    assert not (host(captured(x)[1]["dropouts.0"]) == 0).any()
    net.set_training(True)
    key = host(net["dropouts.0.key"])
    out, activations = captured(x)
    dropped = host(activations["dropouts.0"])
    first = host(activations["cells.0"][0])
    assert 0 < (dropped == 0).mean() < 1
    np.testing.assert_allclose(dropped[dropped != 0], 2 * first[dropped != 0], rtol=1e-6)
    np.testing.assert_array_equal(host(out), host(activations["cells.1"][0]))
    assert not np.array_equal(host(net["dropouts.0.key"]), key)


def test_empty_batch_and_dtypes(backend, kind):
    for name in ("float32", "float64"):
        dtype = getattr(backend.xp, name)
        net = kind(3, 2, layers=2, bidirectional=True).initialize(0, backend, dtype)
        out, state = net.run(sequences(backend, 0, 5, 3, dtype=name))
        assert tuple(out.shape) == (0, 5, 4)
        assert out.dtype == dtype
        for part in state if kind is layers.LSTM else [state]:
            assert tuple(part.shape) == (4, 0, 2)


def test_summary_and_freezing(backend):
    net = layers.Sequential(layers.LSTM(3, 2, layers=2), seed=0, backend=backend)
    table = anynet.summary(net, (5, 3))
    found = {row.path: row.multiply_adds for row in table.rows}
    assert found["layers.0.cells.0"] == 5 * (3 + 2) * 8
    assert found["layers.0.cells.1"] == 5 * (2 + 2) * 8
    net.freeze("layers.0.cells.0")
    loss = lambda net, x: array_namespace(x).sum(net(x))
    grads = anynet.grad(loss)(net, sequences(backend, 2, 5, 3))
    assert [*grads.parameters()] == [
        f"layers.0.cells.1.{name}"
        for name in ("input_weight", "hidden_weight", "input_bias", "hidden_bias")
    ]


def h(*shape):
    return np.zeros(shape, "float32")


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: layers.LSTM(3, 2, layers=0), ArgumentError, "layers is 0: wanted 1 or more"),
        (lambda: layers.GRU(3, 2, dropout=0.5), ArgumentError, "there is 1 layer: wanted layers=2"),
        (lambda: layers.GRU(3, 2, layers=2, dropout=1.5), ArgumentError, "rate is 1.5"),
        (lambda: layers.GRU(3, 2, bidirectional="no"), ArgumentTypeError, "bidirectional is 'no'"),
        (
            lambda: layers.RNN(3, 2, nonlinearity="gelu"),
            ArgumentError,
            "nonlinearity is 'gelu': wanted 'tanh' or 'relu'",
        ),
        (
            lambda: made(layers.GRU, h(1, 4, 2)),
            ShapeError,
            r"a state of shape \(1, 4, 2\): wanted \(4, 2\)",
        ),
        (
            lambda: made(layers.GRU, h(4, 2), layers=2),
            ShapeError,
            r"a state of shape \(4, 2\): wanted \(2, 4, 2\)",
        ),
        (
            lambda: made(layers.LSTM, (h(4, 2), h(3, 2))),
            ShapeError,
            r"a state of shape \(3, 2\): wanted \(4, 2\)",
        ),
        (
            lambda: made(layers.LSTM, h(4, 2)),
            ArgumentTypeError,
            r"an array of shape \(4, 2\): wanted a pair of arrays \(h, c\), each \(4, 2\)",
        ),
        (
            lambda: made(layers.GRU, (h(4, 2), h(4, 2))),
            ArgumentTypeError,
            "the state is a tuple of 2: wanted an array",
        ),
    ],
)
def test_wrong_settings_and_states(use, error, message):
    with pytest.raises(error, match=message):
        use()


def made(kind, state, **settings):
    return kind(3, 2, **settings).initialize(0, "numpy").run(h(4, 5, 3), state)
