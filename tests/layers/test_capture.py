"""The outputs of the layers inside a network."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, losses
from anynet.array import array_namespace
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    NotInitializedError,
    PathError,
    StateError,
)


def network(backend):
    return layers.Sequential(
        layers.Linear(4, 3),
        layers.Tanh(),
        layers.Sequential(layers.BatchNorm(3), layers.Dropout(0.5)),
        layers.Linear(3, 2),
        seed=0,
        backend=backend,
    )


def images(backend, rows=5):
    values = np.random.default_rng(0).normal(size=(rows, 4))
    return backend.asarray(values.astype("float32"))


class Twice(layers.Module):
    """A network that calls one layer twice and never calls another."""

    def __init__(self):
        self.inner = layers.Linear(4, 4)
        self.unused = layers.Linear(4, 4)

    def forward(self, x):
        return self.inner(self.inner(x))


class InPlace(layers.Module):
    """A network that writes into the output of its layer."""

    def __init__(self):
        self.inner = layers.Linear(4, 3)

    def forward(self, x):
        y = self.inner(x)
        y += 1.0
        return y


class Recomputed(layers.Module):
    def __init__(self):
        self.inner = layers.Linear(4, 3)

    def forward(self, x):
        return anynet.autodiff.remat(self.inner)(x)


class Nested(layers.Module):
    """A network that captures activations itself, and returns them."""

    def __init__(self):
        self.body = layers.Sequential(layers.Linear(4, 3), layers.Tanh())

    def forward(self, x):
        return anynet.capture(self.body, ["layers.0"])(x)


def test_activations_are_the_outputs_of_the_layers(backend):
    net, x = network(backend), images(backend)
    captured = anynet.capture(net, ["layers.0", "layers.2.layers.0", ""])
    for rows in (5, 2, 0):
        out, activations = captured(x[:rows, ...])
        assert [*activations] == ["layers.0", "layers.2.layers.0", ""]
        first = net[0](x[:rows, ...])
        np.testing.assert_array_equal(host(activations["layers.0"]), host(first))
        after = host(net[2][0](net[1](first)))
        np.testing.assert_array_equal(host(activations["layers.2.layers.0"]), after)
        np.testing.assert_array_equal(host(activations[""]), host(out))
        np.testing.assert_array_equal(host(out), host(net(x[:rows, ...])))


def test_network_is_as_before(backend):
    net = network(backend)
    before = {path: dict(vars(module)) for path, module in net.modules()}
    anynet.capture(net, ["layers.0", "layers.1"])(images(backend))
    assert {path: dict(vars(module)) for path, module in net.modules()} == before
    with pytest.raises(ValueError, match=r"layers\.0"):
        anynet.capture(net, ["layers.0"])(backend.asarray(np.ones((2, 7), "float32")))
    assert {path: dict(vars(module)) for path, module in net.modules()} == before


def test_patterns_and_predicates():
    net, x = network("numpy"), np.ones((2, 4), "float32")
    captured = anynet.capture(net, ["layers.?", "layers.2.*"])
    assert [*captured(x)[1]] == [
        *(f"layers.{i}" for i in range(4)),
        *(f"layers.2.layers.{i}" for i in range(2)),
    ]
    linear = anynet.capture(net, lambda path, module: isinstance(module, layers.Linear))
    assert [*linear(x)[1]] == ["layers.0", "layers.3"]
    assert anynet.capture(net, [])(x)[1] == {}


def test_path_with_the_characters_of_a_pattern():
    class Heads(layers.Module):
        def __init__(self):
            self.heads = {"a[0]": layers.Linear(4, 3), "a0": layers.Linear(4, 3)}

        def forward(self, x):
            return [head(x) for head in self.heads.values()]

    net, x = Heads().initialize(0, "numpy"), np.ones((2, 4), "float32")
    assert [*anynet.capture(net, ["heads.a[0]"])(x)[1]] == ["heads.a[0]"]
    assert [*anynet.capture(net, ["heads.a?"])(x)[1]] == ["heads.a0"]


def test_shared_module_stays_tied_and_uninitialized_raises(backend):
    """Arrays are shared with the network, so a tied weight has one gradient, the sum."""
    net, x = Twice().initialize(0, backend), images(backend)
    net.unused.weight = net.inner.weight

    def loss(net, x):
        out, activations = anynet.capture(net, ["inner"])(x)
        xp = array_namespace(out)
        return xp.sum(out) + xp.sum(activations["inner"][0] ** 2)

    def plain(net, x):
        first = net.inner(x)
        out = net.inner(first)
        xp = array_namespace(out)
        return xp.sum(out) + xp.sum(first**2)

    found, expected = (anynet.grad(f)(net, x).parameters() for f in (loss, plain))
    assert [*found] == [*expected] == ["inner.weight", "inner.bias", "unused.bias"]
    for path in ("inner.weight", "inner.bias"):
        np.testing.assert_allclose(host(found[path]), host(expected[path]), rtol=1e-5)
    with pytest.raises(NotInitializedError, match="inner"):
        anynet.capture(Twice(), ["inner"])(x)


def test_threads_capture_the_same_network():
    net = network("numpy")
    inputs = [np.full((3, 4), i, "float32") for i in range(40)]
    captured = anynet.capture(net, ["layers.0"])
    with ThreadPoolExecutor(4) as pool:
        results = [*pool.map(captured, inputs)]
    for x, (out, activations) in zip(inputs, results, strict=True):
        np.testing.assert_array_equal(activations["layers.0"], net[0](x))
        np.testing.assert_array_equal(out, net(x))


def test_layer_that_runs_twice_has_a_list(backend):
    net, x = Twice().initialize(0, backend), images(backend)
    out, activations = anynet.capture(net, ["inner"])(x)
    first, second = activations["inner"]
    np.testing.assert_array_equal(host(first), host(net.inner(x)))
    np.testing.assert_array_equal(host(second), host(out))
    tied = layers.Sequential(net.inner, layers.Tanh(), net.inner)
    for path in ("layers.0", "layers.2"):
        assert len(anynet.capture(tied, [path])(x)[1][path]) == 2


def test_later_write_does_not_change_an_activation(backend):
    net, x = InPlace().initialize(0, backend), images(backend)
    plain = host(net.inner(x))
    for call in (
        anynet.capture(net, ["inner"]),
        anynet.compile(lambda x: anynet.capture(net, ["inner"])(x)),
        lambda x: anynet.value_and_grad(aux, has_aux=True)(net, x)[0],
    ):
        np.testing.assert_array_equal(host(call(x)[1]["inner"]), plain)


def aux(net, x):
    out, activations = anynet.capture(net, ["inner"])(x)
    return array_namespace(out).sum(out), activations


def penalized(net, x, t):
    out, activations = anynet.capture(net, ["layers.0"])(x)
    size = array_namespace(out).mean(activations["layers.0"] ** 2)
    return losses.cross_entropy(out, t) + size, activations


def by_hand(net, x, t):
    first = net[0](x)
    out = first
    for layer in list(net)[1:]:
        out = layer(out)
    size = array_namespace(out).mean(first**2)
    return losses.cross_entropy(out, t) + size, {"layers.0": first}


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_pass_and_buffers_change(backend, compiled):
    """A penalty on an activation, beside the same by hand, with dropout and batch norm."""
    x, t = images(backend), backend.asarray(np.array([0, 1, 1, 0, 1]))
    results = []
    for loss in (penalized, by_hand):
        net = network(backend)
        step = anynet.value_and_grad(loss, has_aux=True)
        step = anynet.compile(step) if compiled else step
        for _ in range(3):
            (value, activations), grads = step(net, x, t)
        results.append((net, value, activations, grads))
    (net, value, activations, grads), (other, wanted, expected, others) = results
    np.testing.assert_allclose(host(value), host(wanted), rtol=1e-6)
    np.testing.assert_allclose(host(activations["layers.0"]), host(expected["layers.0"]))
    for path, g in grads.parameters().items():
        np.testing.assert_allclose(host(g), host(others[path]), rtol=1e-5, atol=1e-7)
    for path, buffer in net.buffers().items():
        np.testing.assert_array_equal(host(buffer), host(other[path]))
    assert not np.array_equal(
        host(net["layers.2.layers.1.key"]),
        host(network(backend)["layers.2.layers.1.key"]),
    )


def test_derivative_of_an_activation(backend):
    """The gradient of a class by the image, from an inner layer."""
    net, x = network(backend), images(backend, 1)

    def unit(x):
        return anynet.capture(net, ["layers.1"])(x)[1]["layers.1"][0, 0]

    weight, y = host(net[0].weight), host(net[1](net[0](x)))
    expected = (1 - y[0, 0] ** 2) * weight[:, 0]
    np.testing.assert_allclose(host(anynet.grad(unit)(x))[0], expected, rtol=1e-5)


def test_capture_inside_of_a_network(backend):
    net, x = Nested().initialize(0, backend), images(backend)
    _, inner = net(x)
    again, outer = anynet.capture(net, ["body.layers.0", "body"])(x)
    np.testing.assert_array_equal(host(inner["layers.0"]), host(outer["body.layers.0"]))
    np.testing.assert_array_equal(host(again[0]), host(outer["body"]))
    assert "body.layers.0" in str(anynet.summary(net, (4,)))


def test_activations_of_16_bits_and_float64(backend):
    for name in ("float64", "float16"):
        if not hasattr(backend.xp, name):
            continue
        dtype = getattr(backend.xp, name)
        net = layers.Sequential(layers.Linear(4, 3), seed=0, backend=backend, dtype=dtype)
        x = backend.xp.astype(images(backend), dtype)
        assert anynet.capture(net, ["layers.0"])(x)[1]["layers.0"].dtype == dtype


@pytest.mark.parametrize(
    ("paths", "error", "message"),
    [
        (
            ["layers.4"],
            PathError,
            r"no module is at 'layers\.4' \(did you mean 'layers\.3'\?\); modules are at ''",
        ),
        (["layers.0.wieght"], PathError, "no module is at"),
        (["conv*"], PathError, r"no module is at a path like 'conv\*'"),
        (["layers.0.weight"], ArgumentError, r"an array of shape \(4, 3\): wanted the path of a m"),
        (["layers"], ArgumentError, "wanted the path of a module"),
        ("layers.0", ArgumentTypeError, r"wanted a list of paths, as \['layers\.0'\]"),
        ([0], ArgumentTypeError, "paths has 0: wanted paths such as"),
        (None, ArgumentTypeError, "paths has None: wanted paths such as"),
    ],
)
def test_wrong_paths(paths, error, message):
    with pytest.raises(error, match=message):
        anynet.capture(network("numpy"), paths)


def test_wrong_network():
    with pytest.raises(ArgumentTypeError, match="net is the class Linear: wanted"):
        anynet.capture(layers.Linear, ["layers.0"])


def test_layer_that_did_not_run_raises(backend):
    net, x = Twice().initialize(0, backend), images(backend)
    with pytest.raises(StateError, match="unused did not run"):
        anynet.capture(net, ["inner", "unused"])(x)
    assert [*anynet.capture(net, ["*u*", "inner"])(x)[1]] == ["inner"]


def test_layer_inside_of_another_transformation_raises(backend):
    """Its arrays belong to that transformation: gradients through them would be zero."""
    net, x = Recomputed().initialize(0, backend), images(backend)
    with pytest.raises(StateError, match="inner runs inside another transformation"):
        anynet.value_and_grad(aux, has_aux=True)(net, x)


def test_replaced_layer_is_captured(backend):
    net, x = network(backend), images(backend)
    captured = anynet.capture(net, ["layers.1"])
    net[1] = layers.ReLU()
    np.testing.assert_array_equal(host(captured(x)[1]["layers.1"]), host(net[1](net[0](x))))
