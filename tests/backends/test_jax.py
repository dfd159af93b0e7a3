"""A training step that JAX compiles: the same code, under jax.jit."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import host, numbers

import anynet
from anynet import layers, losses, optimizers, tree
from anynet.errors import BackendError

jax = pytest.importorskip("jax", reason="needs jax")


def network(backend):
    return layers.Sequential(layers.Linear(4, 8), layers.ReLU(), layers.Linear(8, 3), seed=0, backend=backend)


def test_a_training_step_under_jit():
    backend = anynet.get_backend("jax")
    net = network(backend)
    x, t = numbers(backend, 12, 4, dtype="float32"), backend.asarray(np.arange(12) % 3)

    def step(parameters, x, t):
        values = iter(parameters)
        candidate = tree.map(lambda _: next(values), net)
        loss, grads = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))(candidate, x, t)
        optimizers.SGD(0.1).update(candidate, grads)
        return loss, [p for _, p in tree.leaves(candidate)]

    compiled = jax.jit(step)
    plain = slow = [p for _, p in tree.leaves(net)]
    for _ in range(5):
        loss, plain = compiled(plain, x, t)
        expected, slow = step(slow, x, t)
        assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    for ours, theirs in zip(plain, slow, strict=True):
        np.testing.assert_allclose(host(ours), host(theirs), rtol=1e-4, atol=1e-6)


def test_derivatives_of_each_other():
    """JAX differentiates what anynet differentiated."""
    backend = anynet.get_backend("jax")
    x = backend.asarray(np.array([0.3, 0.7]))
    inner = anynet.grad(lambda x: x[0] ** 3 * x[1])
    theirs = jax.grad(lambda x: inner(x)[0])(x)
    np.testing.assert_allclose(host(theirs), [6 * 0.3 * 0.7, 3 * 0.3**2], rtol=1e-6)


def test_a_device_that_is_not_there():
    with pytest.raises(BackendError, match=r"jax has no device 'cpu:99'; it has cpu:0"):
        anynet.get_backend("jax:cpu:99")
    with pytest.raises(BackendError, match="jax has no device 'quantum'"):
        anynet.get_backend("jax:quantum")


SHARDED = """
import numpy as np
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import anynet
from anynet import layers, losses, optimizers, tree

first = anynet.get_backend("jax")
split = NamedSharding(Mesh(np.array(jax.devices()), ("rows",)), PartitionSpec("rows"))
x, t = np.random.default_rng(0).normal(size=(8, 5)).astype("float32"), np.arange(8) % 3
batch, labels = jax.device_put(x, split), jax.device_put(t, split)
mesh = anynet.get_backend(batch)
assert mesh.device_name == "cpu:0, cpu:1", mesh
assert mesh.asarray(batch) is batch
assert anynet.get_backend("jax:cpu:1").device_name == "cpu:1"


def train(backend, x, t, compiled):
    net = layers.Sequential(
        layers.Dropout(0.2), layers.Linear(5, 3), seed=0, backend="numpy"
    )
    net = tree.map(backend.asarray, net)
    optimizer = optimizers.SGD(0.1)

    def step(net, optimizer, x, t):
        loss, grads = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))(net, x, t)
        optimizer.update(net, grads)
        return loss

    step = anynet.compile(step) if compiled else step
    return [float(step(net, optimizer, x, t)) for _ in range(2)], net


expected, _ = train(anynet.get_backend("numpy"), x, t, False)
for compiled in (False, True):
    found, net = train(mesh, batch, labels, compiled)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert all(len(p.sharding.device_set) == 2 for p in net.parameters().values())
try:
    train(first, batch, labels, False)
except anynet.errors.MixedArraysError as error:
    assert "get_backend(x).asarray(y) moves y to where x is" in str(error)
else:
    raise AssertionError("a network on one device took a batch on two")
"""


def test_arrays_sharded_over_devices():
    """A network that is whole on each device trains on a batch that is split between them as it does on one."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_devices_of_this_process(monkeypatch):
    """On a cluster, jax.devices() begins with those of process 0."""
    monkeypatch.setattr(jax, "devices", lambda *args: pytest.fail("devices of other processes"))
    assert anynet.get_backend("jax").device in jax.local_devices()
