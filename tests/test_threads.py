"""What docs/stability.md says of threads: what may run at the same time on one array library."""

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
        layers.Linear(6, 16),
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
    """Call the function with each value in a thread of its own, all at the same time."""
    together = Barrier(len(values))

    def work(value):
        together.wait()
        return function(value)

    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(work, values))


def same(found, wanted):
    for x, y in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("compiled", [False, True])
def test_each_thread_trains_a_network_of_its_own(backend, compiled):
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
    wanted = [train(seed) for seed in seeds]
    for found, right in zip(at_once(train, *seeds), wanted, strict=True):
        same(found, right)


@pytest.mark.parametrize("compiled", [False, True])
def test_threads_share_a_network_in_inference(backend, compiled):
    net = network(backend)
    infer = anynet.compile(net) if compiled else net
    batches = [batch(backend, seed)[0] for seed in range(THREADS)]
    # A step that is being recorded has the network for itself.
    wanted = [host(infer(x)) for x in batches]
    for _ in range(5):
        same([host(y) for y in at_once(infer, *batches)], wanted)


def test_threads_differentiate_by_one_network(backend):
    """Its buffers are set by one of them; those of no layer here depend on the order."""
    net = layers.Sequential(
        layers.Linear(6, 8),
        layers.Tanh(),
        layers.Linear(8, 3),
        seed=0,
        backend=backend,
    )
    step = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))

    def gradients(given):
        _, grads = step(net, *given)
        return [host(g) for g in grads.parameters().values()]

    batches = [batch(backend, seed) for seed in range(THREADS)]
    wanted = [gradients(given) for given in batches]
    for _ in range(5):
        for found, right in zip(at_once(gradients, *batches), wanted, strict=True):
            same(found, right)


def test_a_network_in_another_thread_while_a_step_of_it_is_recorded(
    backend,
):
    net, (x, _) = network(backend), batch(backend, 0)
    with ThreadPoolExecutor(1) as pool:
        step = anynet.compile(lambda x: pool.submit(net, x).result())
        with pytest.raises(
            CompilationError,
            match="call the step once before threads share what it uses",
        ):
            step(x)
    assert host(net(x)).shape == (20, 3)


def test_random_numbers_depend_on_keys_alone(backend):
    def draw(seed):
        return host(anynet.random.normal(anynet.random.key(seed, backend), (100,)))

    same(
        at_once(draw, *range(THREADS)),
        [draw(seed) for seed in range(THREADS)],
    )
