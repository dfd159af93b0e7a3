"""Parameters and modules that are excluded from training."""

import numpy as np
import pytest
from helpers import host, normal

import anynet
from anynet import layers, optimizers
from anynet.array import array_namespace
from anynet.errors import (
    ArgumentError,
    DifferentiationError,
)


def total(x):
    return array_namespace(x).sum(x)


def normed(backend):
    return layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.Dropout(0.5),
        seed=0,
        backend=backend,
    )


def squares(net, x):
    return total(net(x) ** 2)


class Lists(layers.Module):
    """A layer with a list and a dict of weights."""

    def __init__(self, backend):
        self.weights = [normal(backend, 3, 3, dtype="float32") for _ in range(2)]
        self.more = {"a": normal(backend, 3, 3, dtype="float32")}
        self.linear = layers.Linear(3, 3)

    def forward(self, x):
        xp = anynet.array.array_namespace(x, self.weights[0])
        return self.linear(
            xp.matmul(
                xp.matmul(xp.matmul(x, self.weights[0]), self.weights[1]),
                self.more["a"],
            )
        )


def test_freeze_by_path(backend):
    net, x = normed(backend), normal(backend, 5, 3, dtype="float32")
    net.freeze("layers.0.weight").freeze("layers.1")
    grads = anynet.grad(squares)(net, x)
    assert list(grads.parameters()) == ["layers.0.bias"]
    before = {path: host(p).copy() for path, p in net.parameters().items()}
    optimizers.SGD(0.1).update(net, grads)
    changed = [
        path for path, p in net.parameters().items() if not np.array_equal(host(p), before[path])
    ]
    assert changed == ["layers.0.bias"]
    assert anynet.check_gradients(lambda net: squares(net, backend.asarray(np.ones((2, 3)))), net)
    net.unfreeze("layers.1.bias")
    assert list(anynet.grad(squares)(net, x).parameters()) == [
        "layers.0.bias",
        "layers.1.bias",
    ]
    net.unfreeze()
    assert list(anynet.grad(squares)(net, x).parameters()) == list(net.parameters())
    with pytest.raises(DifferentiationError, match="all parameters of Sequential are frozen"):
        anynet.grad(squares)(net.freeze(), x)
    with pytest.raises(KeyError, match=r"nothing at 'layers\.9'"):
        net.freeze("layers.9")


@pytest.mark.parametrize(
    ("path", "frozen"),
    [
        ("layers.0.weights", ["weights.0", "weights.1"]),
        ("layers.0.more", ["more.a"]),
        ("layers.0.linear", ["linear.weight", "linear.bias"]),
        (
            "layers.0",
            [
                "weights.0",
                "weights.1",
                "more.a",
                "linear.weight",
                "linear.bias",
            ],
        ),
        (
            "layers",
            [
                "weights.0",
                "weights.1",
                "more.a",
                "linear.weight",
                "linear.bias",
            ],
        ),
    ],
)
def test_freeze_lists_and_dicts_of_weights(backend, path, frozen):
    net = layers.Sequential(Lists(backend), layers.Linear(3, 3), seed=0, backend=backend)
    net.freeze(path).unfreeze("layers.1")
    before, x = net.parameters(), normal(backend, 5, 3, dtype="float32")
    optimizers.Adam().update(net, anynet.grad(squares)(net, x))
    same = [
        name.removeprefix("layers.0.") for name, p in net.parameters().items() if p is before[name]
    ]
    assert same == frozen
    net.unfreeze(path)
    optimizers.Adam().update(net, anynet.grad(squares)(net, x))
    assert not any(p is before[name] for name, p in net.parameters().items())


def test_frozen_layer_computes_as_in_inference(backend):
    class Shifted(layers.Module):
        def __init__(self):
            self.linear, self.scale = (
                layers.Linear(3, 3),
                backend.asarray(np.ones(3, dtype="float32")),
            )

        def forward(self, x):
            y = array_namespace(x, self.scale).multiply(self.linear(x), self.scale)
            return y + 100.0 if self.training else y

    net, x = (
        layers.Sequential(Shifted(), layers.Linear(3, 3), seed=0, backend=backend),
        normal(backend, 5, 3),
    )
    x = backend.asarray(host(x).astype("float32"))
    value = float(squares(net, x))
    assert float(anynet.value_and_grad(squares)(net, x)[0]) > 2 * value
    assert float(anynet.value_and_grad(squares)(net.freeze("layers.0"), x)[0]) == pytest.approx(
        value, rel=1e-5
    )


def test_freeze_of_an_element_or_a_setting_raises(backend):
    net = layers.Sequential(Lists(backend), layers.BatchNorm(3), seed=0, backend=backend)
    with pytest.raises(
        ArgumentError,
        match=r"'layers\.0\.weights\.1' is part of a list: give 'layers\.0\.weights'",
    ):
        net.freeze("layers.0.weights.1")
    with pytest.raises(
        ArgumentError,
        match=r"'layers\.1\.momentum' is 0\.1: wanted the path of a parameter",
    ):
        net.freeze("layers.1.momentum")


def test_frozen_norm_keeps_its_statistics(backend):
    net, x = normed(backend), normal(backend, 5, 3, dtype="float32")
    net.freeze("layers.1")
    net["layers.2"].set_training(False)
    before = {path: host(b).copy() for path, b in net["layers.1"].buffers().items()}
    inference = net(x)
    seen = []

    def loss(net, x):
        seen.append(anynet.stop_gradient(net(x)))
        return squares(net, x)

    for step in (anynet.grad(loss), anynet.compile(anynet.grad(squares))):
        for _ in range(3):
            step(net, x)
    for path, value in net["layers.1"].buffers().items():
        np.testing.assert_array_equal(host(value), before[path], strict=True)
    np.testing.assert_array_equal(host(seen[0].value), host(inference))
    # In training by one's own decision, the statistics still stay.
    net.set_training(True)
    anynet.grad(squares)(net, x)
    np.testing.assert_array_equal(host(net["layers.1.running_mean"]), before["running_mean"])
    net.set_training(None).unfreeze("layers.1")
    anynet.grad(squares)(net, x)
    assert not np.array_equal(host(net["layers.1.running_mean"]), before["running_mean"])


def test_frozen_dropout_drops_nothing(backend):
    net = layers.Sequential(
        layers.Dropout(0.5), layers.Linear(3, 3), seed=0, backend=backend
    ).freeze("layers.0")
    x = normal(backend, 5, 3, dtype="float32")
    value, _ = anynet.value_and_grad(squares)(net, x)
    np.testing.assert_allclose(float(value), float(squares(net, x)), rtol=1e-6)


def test_frozen_lists_the_frozen_attributes(backend):
    net = normed(backend).freeze("layers.0.bias").freeze("layers.1")
    assert [layer.frozen for layer in net] == [
        ("bias",),
        ("weight", "bias", "running_mean", "running_variance"),
        (),
    ]
    assert net.unfreeze()[0].frozen == ()
