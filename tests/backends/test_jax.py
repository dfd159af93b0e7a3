"""A training step that JAX compiles: the same code, under jax.jit."""

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
