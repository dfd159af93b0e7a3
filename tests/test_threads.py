"""The promises of docs/stability.md about threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, losses, optimizers
from anynet.errors import CompilationError

THREADS = 4


def network(backend, seed=0):
    parts = (
        layers.Linear(6, 16, bias=False),
        layers.BatchNorm(16),
        layers.ReLU(),
        layers.Dropout(0.2),
        layers.Linear(16, 3),
    )
    return layers.Sequential(*parts, seed=seed, backend=backend)


def batch(backend, seed):
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(20, 6)), rng.integers(0, 3, 20)
    return backend.asarray(x.astype("float32")), backend.asarray(t)


def arrays(net):
    return [host(x).copy() for x in (*net.parameters().values(), *net.buffers().values())]


def at_once(function, *values):
    """Call the function with each value, each in a new thread, and all at the same time."""
    together = Barrier(len(values))

    def work(value):
        together.wait()
        return function(value)

    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(work, values))


def assert_equal(values, expected):
    for x, y in zip(values, expected, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("compiled", [False, True])
def test_threads_train_networks(backend, compiled):
    if backend.name == "jax" and not compiled:
        pytest.skip("JAX compiles each operation of an eager step, which takes a minute")

    def train(seed):
        net, (x, t) = network(backend, seed), batch(backend, seed)
        anynet.fit(
            net,
            (x, t),
            optimizer=optimizers.Adam(0.01),
            epochs=1,
            batch_size=10,
            compile=compiled,
            progress=False,
        )
        return arrays(net)

    seeds = range(2 if backend.name == "jax" else THREADS)
    expected = [train(seed) for seed in seeds]
    for values, of_seed in zip(at_once(train, *seeds), expected, strict=True):
        # The first call of fit records its first step, later ones replay it. XLA rounds it in
        # another way.
        bound = 1e-5 if backend.name == "jax" else 0.0
        for x, y in zip(values, of_seed, strict=True):
            np.testing.assert_allclose(x, y, rtol=bound, atol=bound)


@pytest.mark.parametrize("compiled", [False, True])
def test_threads_share_a_network_in_inference(backend, compiled):
    net = network(backend)
    infer = anynet.compile(net) if compiled else net
    batches = [batch(backend, seed)[0] for seed in range(THREADS)]
    # Threads may share the network once the step is recorded.
    expected = [host(infer(x)) for x in batches]
    for _ in range(5):
        assert_equal(map(host, at_once(infer, *batches)), expected)


def test_threads_differentiate_one_network(backend):
    """No layer here has a buffer, which would depend on the order of the threads."""
    net = layers.Sequential(
        layers.Linear(6, 8),
        layers.Tanh(),
        layers.Linear(8, 3),
        seed=0,
        backend=backend,
    )
    step = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))

    def gradients(pair):
        _, grads = step(net, *pair)
        return [host(g) for g in grads.parameters().values()]

    batches = [batch(backend, seed) for seed in range(THREADS)]
    expected = [gradients(pair) for pair in batches]
    for _ in range(5):
        for values, of_batch in zip(at_once(gradients, *batches), expected, strict=True):
            assert_equal(values, of_batch)


def test_other_thread_in_a_network_that_is_recorded_raises(backend):
    net, (x, _) = network(backend), batch(backend, 0)
    with ThreadPoolExecutor(1) as pool:
        step = anynet.compile(lambda x: pool.submit(net, x).result())
        with pytest.raises(
            CompilationError,
            match="call the step once before threads share what it uses",
        ):
            step(x)
    assert host(net(x)).shape == (20, 3)


def test_random_arrays_depend_on_keys_alone(backend):
    def draw(seed):
        return host(anynet.random.normal(anynet.random.key(seed, backend), (100,)))

    expected = [draw(seed) for seed in range(THREADS)]
    assert_equal(at_once(draw, *range(THREADS)), expected)
