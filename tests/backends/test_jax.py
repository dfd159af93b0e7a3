"""JAX compiles a training step under jax.jit, and the backend's devices and 64-bit dtypes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import host, normal

import anynet
from anynet import initializers, layers, losses, optimizers, random, tree
from anynet.errors import BackendError, DataError, DTypeError
from anynet.training import checkpoint, training_step

jax = pytest.importorskip("jax", reason="needs jax")


def network(backend):
    return layers.Sequential(
        layers.Linear(4, 8),
        layers.ReLU(),
        layers.Linear(8, 3),
        seed=0,
        backend=backend,
    )


def test_training_step_under_jit():
    backend = anynet.get_backend("jax")
    net = network(backend)
    x, t = (
        normal(backend, 12, 4, dtype="float32"),
        backend.asarray(np.arange(12) % 3),
    )

    def step(parameters, x, t):
        values = iter(parameters)
        candidate = tree.map(lambda _: next(values), net)
        loss, grads = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))(
            candidate, x, t
        )
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


def test_jax_differentiates_a_gradient_of_anynet():
    backend = anynet.get_backend("jax")
    x = backend.asarray(np.array([0.3, 0.7]))
    inner = anynet.grad(lambda x: x[0] ** 3 * x[1])
    theirs = jax.grad(lambda x: inner(x)[0])(x)
    np.testing.assert_allclose(host(theirs), [6 * 0.3 * 0.7, 3 * 0.3**2], rtol=1e-6)


def test_unknown_devices_raise():
    with pytest.raises(BackendError, match=r"jax has no device 'cpu:99'; it has cpu:0"):
        anynet.get_backend("jax:cpu:99")
    with pytest.raises(BackendError, match="jax has no device 'quantum'"):
        anynet.get_backend("jax:quantum")


SHARDED = """
import numpy as np
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import anynet
from anynet import checkpoint, initializers, layers, losses, optimizers, random, tree

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
        loss = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
        value, grads = loss(net, x, t)
        optimizer.update(net, grads)
        return value

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
    assert "get_backend(x).asarray(y) moves y to the device of x" in str(error)
else:
    raise AssertionError("a network on one device took a batch on two")
"""


def test_batch_sharded_over_devices_trains_like_a_whole_one():
    """The network is replicated on both devices."""
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
    }
    ran = subprocess.run(
        [sys.executable, "-c", SHARDED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_default_device_belongs_to_this_process(monkeypatch):
    """On a cluster, jax.devices() begins with the devices of process 0."""
    monkeypatch.setattr(
        jax,
        "devices",
        lambda *args: pytest.fail("devices of other processes"),
    )
    assert anynet.get_backend("jax").device in jax.local_devices()


@pytest.fixture
def narrow():
    """The backend with JAX's default, without 64-bit dtypes."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    yield anynet.get_backend("jax")
    assert not jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", before)


def test_small_values_become_32_bit(narrow):
    for data, dtype in (
        ([1.0, 2.0], "float32"),
        (1j, "complex64"),
        ([1, 2], "int32"),
        (np.arange(3), "int32"),
        (np.array([2**31 - 1, -(2**31)]), "int32"),
        (np.array([2**32 - 1], "uint64"), "uint32"),
        (np.zeros((0, 2), "int64"), "int32"),
        (np.array([True]), "bool"),
    ):
        x = narrow.asarray(data)
        assert x.dtype == dtype
        np.testing.assert_array_equal(host(x), data)
    assert narrow.asarray(np.ones(3), dtype=narrow.xp.float32).dtype == "float32"


def test_values_that_need_64_bits_raise(narrow):
    remedy = r'jax.config.update\("jax_enable_x64", True\)'
    key = random.key(0, narrow)
    for data in (
        2**40,
        np.array([2**31]),
        np.array([2**32], "uint64"),
        np.ones(3),
        np.ones(3) * 1j,
        np.float64(1),
    ):
        with pytest.raises(DTypeError, match=remedy):
            narrow.asarray(data)
    for ask in (
        lambda: narrow.asarray([1.0], dtype=narrow.xp.float64),
        lambda: narrow.asarray([1], dtype=narrow.xp.int64),
        lambda: random.uniform(key, (3,), narrow.xp.float64),
        lambda: random.normal(key, (3,), narrow.xp.float64),
        lambda: initializers.he(key, (3, 2), narrow.xp.float64),
        lambda: layers.Linear(3, 2).initialize(0, narrow, narrow.xp.float64),
    ):
        with pytest.raises(
            DTypeError,
            match=f"dtype is .*64, which jax lacks here: .*{remedy}",
        ):
            ask()


def test_files_of_64_bit_arrays(narrow, tmp_path):
    checkpoint.save({"count": np.array(3)}, tmp_path / "whole.safetensors")
    assert checkpoint.read(tmp_path / "whole.safetensors", narrow)["count"].dtype == "int32"
    checkpoint.save({"x": np.ones(3)}, tmp_path / "wide.safetensors")
    with pytest.raises(DataError, match="an array of float64 was given"):
        checkpoint.read(tmp_path / "wide.safetensors", narrow)


def test_gradients_are_checked_in_float64(narrow):
    """The context applies to one thread, and ends if the check raises."""
    net, x, t = (
        network(narrow),
        narrow.asarray([[1.0, 2.0, 3.0, 4.0]]),
        narrow.asarray([2]),
    )
    report = anynet.check_gradients(lambda net: losses.cross_entropy(net(x), t), net)
    assert report.tolerance == 1e-6
    assert anynet.check_gradients(lambda x: (x**3).sum(), narrow.asarray([1, 2])).tolerance == 1e-6
    with pytest.raises(ZeroDivisionError):
        anynet.check_gradients(lambda net: 1 / 0, net)
    assert not jax.config.jax_enable_x64


def test_configure_enables_64_bits(narrow):
    assert narrow.xp.ones(3).dtype == "float32"
    backend = anynet.configure("jax")
    assert backend.asarray(np.ones(3)).dtype == "float64"
    assert backend.supports(backend.xp.float64)
    jax.config.update("jax_enable_x64", False)
    assert not backend.supports(backend.xp.float64)


def test_step_is_compiled_once(caplog):
    """Its scalars may be on the device already."""
    backend = anynet.get_backend("jax")
    net, x, t = (
        network(backend),
        backend.asarray([[1.0, 2.0, 3.0, 4.0]]),
        backend.asarray([2]),
    )
    step, optimizer = (
        anynet.compile(training_step(losses.cross_entropy)),
        optimizers.SGD(0.1),
    )
    step(net, optimizer, x, t)
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        for _ in range(4):
            step(net, optimizer, x, t)
    compiled = [
        line for line in caplog.messages if line.startswith("Finished XLA compilation of jit(run)")
    ]
    assert len(compiled) == 1, caplog.messages
