"""Training mode, and the buffers that training changes."""

import copy

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import autodiff, layers, optimizers
from anynet.array import array_namespace
from anynet.errors import (
    ArgumentError,
)
from anynet.training import checkpoint


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


def test_buffers_are_not_parameters(backend):
    net = normed(backend)
    assert list(net.parameters()) == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]
    assert list(net.buffers()) == [
        "layers.1.running_mean",
        "layers.1.running_variance",
        "layers.2.key",
    ]
    grads = anynet.grad(squares)(net, normal(backend, 5, 3, dtype="float32"))
    assert list(grads.parameters()) == list(net.parameters())
    assert grads.buffers() == {}
    before = {path: host(x).copy() for path, x in net.buffers().items()}
    optimizers.SGD(0.1).update(net, grads)
    for path, x in net.buffers().items():
        np.testing.assert_array_equal(host(x), before[path])


def test_training_mode_by_differentiation(backend):
    net, x = normed(backend), normal(backend, 50, 3, dtype="float32")
    seen = []

    def f(net, x):
        seen.append(net["layers.1"].training)
        return squares(net, x)

    inferred = host(net(x))
    np.testing.assert_array_equal(host(net(x)), inferred)
    f(net, x)
    value, _ = anynet.value_and_grad(f)(net, x)
    assert seen == [False, True]
    assert float(value) != pytest.approx(float(total(net(x) ** 2)), rel=1e-3)
    # Differentiating something else leaves the network in inference.
    before = host(net.buffers()["layers.2.key"]).tolist()
    assert float(anynet.value_and_grad(lambda x: f(net, x))(x)[0]) == pytest.approx(
        float(f(net, x)), rel=1e-5
    )
    assert float(anynet.value_and_grad(f, 1)(net, x)[0]) == pytest.approx(
        float(f(net, x)), rel=1e-5
    )
    assert not any(seen[2:])
    assert host(net.buffers()["layers.2.key"]).tolist() == before


def test_buffers_are_written_back_as_plain_arrays(backend):
    net, x = normed(backend), normal(backend, 50, 3, dtype="float32")
    inner = host(net["layers.0"](x))
    keys = [host(net["layers.2.key"]).tolist()]
    for transform in (
        lambda: anynet.grad(squares)(net, x),
        lambda: anynet.vjp(squares, net, x),
        lambda: anynet.grad(lambda net, x: total(autodiff.remat(net)(x)))(net, x),
        lambda: anynet.grad(lambda net: anynet.value_and_grad(squares)(net, x)[0])(net),
    ):
        transform()
        keys.append(host(net["layers.2.key"]).tolist())
        assert type(net["layers.1.running_mean"]) is type(net["layers.1.weight"])
    assert len(set(map(tuple, keys))) == len(keys)
    expected = inner.mean(axis=0) * (1 - 0.9**4)
    np.testing.assert_allclose(host(net["layers.1.running_mean"]), expected, rtol=1e-4, atol=1e-6)


def test_set_training_overrides_the_mode(backend):
    net, x = (
        normed(backend).set_training(False),
        normal(backend, 5, 3, dtype="float32"),
    )
    value = anynet.value_and_grad(squares)(net, x)[0]
    assert float(value) == pytest.approx(float(squares(net, x)), rel=1e-5)
    net.set_training(True)
    assert float(squares(net, x)) != pytest.approx(float(squares(net, x)), rel=1e-5)
    assert "training" not in repr(net.set_training(None))
    assert not net["layers.1"].training


def test_masks_and_statistics_match_on_every_backend(backend):
    x = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    found = []
    for b in (backend, anynet.get_backend("numpy")):
        net = layers.Sequential(layers.Dropout(0.3), layers.BatchNorm(3), seed=5, backend=b)
        masks = []

        def f(net, x, masks=masks):
            y = net["layers.0"](x)
            masks.append(host(autodiff.stop_gradient(y).value if hasattr(y, "trace") else y) != 0)
            return total(net["layers.1"](y) ** 3)

        for _ in range(3):
            anynet.grad(f)(net, b.asarray(x))
        found.append(
            (
                masks,
                host(net["layers.1.running_variance"]),
                host(net["layers.0.key"]),
            )
        )
    (masks, variance, key), (others, other_variance, other_key) = found
    for mask, other in zip(masks, others, strict=True):
        np.testing.assert_array_equal(mask, other)
    assert not np.array_equal(masks[0], masks[1])
    assert 0.6 < np.mean(masks) < 0.8
    np.testing.assert_array_equal(key, other_key)
    np.testing.assert_allclose(variance, other_variance, rtol=1e-5)


def test_golden_masks(backend):
    """The masks of a dropout with seed 3 never change."""
    net = layers.Sequential(layers.Dropout(0.4), seed=3, backend=backend).set_training(True)
    ones = backend.asarray(np.ones((2, 6), "float32"))
    for kept in (
        [[1, 1, 1, 1, 1, 1], [0, 1, 0, 0, 1, 1]],
        [[1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 1, 1]],
    ):
        np.testing.assert_allclose(host(net(ones)), np.array(kept) / 0.6, rtol=1e-6)


def test_assignment_by_path(backend):
    net = normed(backend)
    new = normal(backend, 4, dtype="float32")
    net["layers.0.bias"] = new
    assert net.layers[0].bias is new
    with pytest.raises(KeyError, match=r"nothing at 'layers\.0\.bas'"):
        net["layers.0.bas"] = new


def test_map_moves_buffers(backend):
    net = normed("numpy").map(backend.asarray)
    for x in (*net.parameters().values(), *net.buffers().values()):
        assert anynet.get_backend(x).device == backend.device


def test_checkpoints_hold_buffers(backend, tmp_path):
    net, x = normed(backend), normal(backend, 5, 3, dtype="float32")
    anynet.grad(squares)(net, x)
    checkpoint.save(net, tmp_path / "net.safetensors")
    other = layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.Dropout(0.5),
        seed=9,
        backend=backend,
    )
    checkpoint.load(other, tmp_path / "net.safetensors")
    for path, buffer in net.buffers().items():
        np.testing.assert_array_equal(host(other[path]), host(buffer))
    assert_close(other(x), host(net(x)), rtol=1e-6)


def test_dropout_keeps_the_mean(backend):
    net = layers.Sequential(layers.Dropout(0.25), seed=0, backend=backend).set_training(True)
    y = host(net(backend.asarray(np.ones((100, 100), "float32"))))
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert y.mean() == pytest.approx(1, abs=0.03)
    for rate in (-0.1, 1.0):
        with pytest.raises(ArgumentError, match=f"rate is {rate}"):
            layers.Dropout(rate)


def test_gradient_check_leaves_the_state(backend):
    """Every evaluation begins with the same key and statistics, and the network is left as it
    was."""
    net, x = normed(backend), normal(backend, 5, 3)
    before = {path: host(buffer).copy() for path, buffer in net.buffers().items()}
    assert anynet.check_gradients(lambda net: squares(net, x), net)
    for path, buffer in net.buffers().items():
        np.testing.assert_array_equal(host(buffer), before[path])


def test_deep_copy_in_a_differentiated_function_is_plain(backend):
    net, x = normed(backend), normal(backend, 5, 3, dtype="float32")
    kept = []

    def loss(net, x):
        target = copy.deepcopy(net)
        kept.append(target)
        return anynet.losses.mean_squared_error(net(x), target(x))

    _, grads = anynet.value_and_grad(loss)(net, x)
    target = kept[0]
    assert not target["layers.1"].training
    for (path, a), (other, b) in zip(
        target.parameters().items(), net.parameters().items(), strict=True
    ):
        assert path == other
        assert type(a) is type(b)
        assert a is not b
        np.testing.assert_array_equal(host(a), host(b))
    assert all(type(g) is type(x) for g in grads.parameters().values())
    target(x)
    anynet.compile(anynet.grad(loss))(net, x)
    for one in (net, *kept):
        assert all(type(p) is type(x) for p in one.parameters().values())
