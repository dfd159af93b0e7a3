"""NumPy's memory that is used again: never while anything can see it."""

import threading

import numpy as np
import pytest
from anynet_numpy import memory

import anynet
from anynet import layers, losses, optimizers, primitives

FLOAT = np.dtype("float32")
SHAPE = (300, 100)


def address(x):
    return x.__array_interface__["data"][0]


def test_memory_is_used_again():
    x = memory.fresh(SHAPE, FLOAT)
    assert (x.shape, x.dtype) == (SHAPE, FLOAT)
    assert x.flags.c_contiguous
    assert address(x) % 64 == 0
    before = address(x)
    del x
    assert address(memory.fresh(SHAPE, FLOAT)) == before


@pytest.mark.parametrize(
    "holder",
    [
        lambda x: x,
        lambda x: x[5:, ::2].T,
        lambda x: memoryview(x),
        lambda x: x.__dlpack__(),
        lambda x: iter(x),
        lambda x: np.lib.stride_tricks.as_strided(x, (2, 2)),
        lambda x: x.reshape(-1).view("int32"),
    ],
)
def test_what_is_held_is_not_used_again(holder):
    x = memory.fresh(SHAPE, FLOAT)
    before = address(x)
    held = holder(x)
    del x
    others = [memory.fresh(SHAPE, FLOAT) for _ in range(4)]
    assert len({before, *map(address, others)}) == 5
    del held
    assert address(memory.fresh(SHAPE, FLOAT)) == before


def test_threads_have_memory_of_their_own():
    found = []
    x = memory.scratch("test", SHAPE, FLOAT)
    thread = threading.Thread(target=lambda: found.append(memory.scratch("test", SHAPE, FLOAT)))
    thread.start()
    thread.join()
    assert not np.shares_memory(x, found[0])
    assert address(memory.scratch("test", (3,), FLOAT)) == address(x)


def test_what_is_kept_has_a_limit(monkeypatch):
    monkeypatch.setattr(memory, "_MOST", 3 * 4 * 30_000)
    monkeypatch.setattr(memory, "_local", threading.local())
    for n in range(1, 40):
        memory.fresh((300 + n, 100), FLOAT)
        assert memory._kept().bytes <= memory._MOST


@pytest.mark.parametrize("size", [1, 64])
def test_arrays_of_a_training_stay_as_they_were(size):
    """Small and large ones, of eager steps: parameters, gradients, outputs."""
    net = layers.Sequential(layers.Linear(4 * size, 8 * size), layers.ReLU(), layers.Linear(8 * size, 10), seed=0)
    x = np.random.default_rng(0).random((10 * size, 4 * size), "float32")
    t = np.arange(10 * size) % 10
    step, optimizer, seen = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t)), optimizers.Adam(), []
    for _ in range(6):
        loss, grads = step(net)
        arrays = [net(x), loss, *net.parameters().values(), *grads.parameters().values()]
        seen.append((arrays, [np.copy(a) for a in arrays]))
        optimizer.update(net, grads)
    for arrays, before in seen:
        for a, was in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(a, was)


def test_images_larger_than_a_block():
    """Blocks of images, the last one shorter."""
    rng = np.random.default_rng(0)
    x, weight, g = rng.normal(size=(23, 8, 40, 40)), rng.normal(size=(6, 8, 3, 3)), rng.normal(size=(23, 6, 40, 40))
    settings = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    pooling = {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))}
    largest = primitives.max_pool2d(x, **pooling)
    for name, *args, named in (
        ("conv2d", x, weight, rng.normal(size=6), settings),
        ("conv2d_weight", g, x, (3, 3), settings),
        ("conv2d_transposed", g, weight, (40, 40), settings),
        ("max_pool2d", x, pooling),
        ("spread_to_largest", rng.normal(size=largest.shape), x, largest, pooling),
    ):
        function = getattr(primitives, name)
        np.testing.assert_allclose(function(*args, **named), function.reference(*args, **named), rtol=1e-9, atol=1e-9)
