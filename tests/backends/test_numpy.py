"""NumPy's memory is used again once no object refers to it, and kernels agree with lowerings."""

import threading
from functools import partial

import numpy as np
import pytest
from anynet_numpy import memory
from kernels_and_references import primitive_of

import anynet
from anynet import layers, losses, optimizers, primitives

FLOAT = np.dtype("float32")
SHAPE = (300, 100)


def address(x):
    return x.__array_interface__["data"][0]


def test_freed_memory_is_used_again():
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
def test_referenced_memory_is_not_used_again(holder):
    x = memory.fresh(SHAPE, FLOAT)
    before = address(x)
    held = holder(x)
    del x
    others = [memory.fresh(SHAPE, FLOAT) for _ in range(4)]
    assert len({before, *map(address, others)}) == 5
    del held
    assert address(memory.fresh(SHAPE, FLOAT)) == before


def test_threads_share_no_scratch_memory():
    found = []
    x = memory.scratch("test", SHAPE, FLOAT)
    thread = threading.Thread(target=lambda: found.append(memory.scratch("test", SHAPE, FLOAT)))
    thread.start()
    thread.join()
    assert not np.shares_memory(x, found[0])
    assert address(memory.scratch("test", (3,), FLOAT)) == address(x)


def test_kept_memory_has_a_limit(monkeypatch):
    monkeypatch.setattr(memory, "_MOST", 3 * 4 * 30_000)
    monkeypatch.setattr(memory, "_local", threading.local())
    for n in range(1, 40):
        memory.fresh((300 + n, 100), FLOAT)
        assert memory._kept().bytes <= memory._MOST


@pytest.mark.parametrize("size", [1, 64])
def test_training_does_not_overwrite_its_arrays(size):
    """Eager steps return parameters, gradients and outputs, small and large."""
    net = layers.Sequential(
        layers.Linear(4 * size, 8 * size),
        layers.ReLU(),
        layers.Linear(8 * size, 10),
        seed=0,
    )
    x = np.random.default_rng(0).random((10 * size, 4 * size), "float32")
    t = np.arange(10 * size) % 10
    step, optimizer, seen = (
        anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t)),
        optimizers.Adam(),
        [],
    )
    for _ in range(6):
        loss, grads = step(net)
        arrays = [
            net(x),
            loss,
            *net.parameters().values(),
            *grads.parameters().values(),
        ]
        seen.append((arrays, [np.copy(a) for a in arrays]))
        optimizer.update(net, grads)
    for arrays, before in seen:
        for a, was in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(a, was)


def test_images_larger_than_a_block_agree_with_the_references():
    """The last block is shorter."""
    rng = np.random.default_rng(0)
    x, weight, g = (
        rng.normal(size=(23, 8, 40, 40)),
        rng.normal(size=(6, 8, 3, 3)),
        rng.normal(size=(23, 6, 40, 40)),
    )
    settings = {
        "stride": (1, 1),
        "padding": ((1, 1), (1, 1)),
        "dilation": (1, 1),
        "groups": 1,
    }
    pooling = {
        "kernel": (3, 3),
        "stride": (2, 2),
        "padding": ((1, 1), (1, 1)),
    }
    largest = primitives.max_pool2d(x, **pooling)
    for name, *args, named in (
        ("conv2d", x, weight, rng.normal(size=6), settings),
        ("conv2d_weight_gradient", g, x, (3, 3), settings),
        ("conv2d_input_gradient", g, weight, (40, 40), settings),
        ("max_pool2d", x, pooling),
        (
            "max_pool2d_gradient",
            rng.normal(size=largest.shape),
            x,
            largest,
            pooling,
        ),
    ):
        function = getattr(primitives, name)
        np.testing.assert_allclose(
            function(*args, **named),
            function.reference(*args, **named),
            rtol=1e-9,
            atol=1e-9,
        )


FLOATS, SMALL = (
    np.random.default_rng(0).normal(size=(7, 5)),
    np.random.default_rng(1).normal(size=(5, 3)),
)


SETTINGS = {
    "sgd_update": {"weight_decay": 0.0},
    "sgd_update with decay": {"weight_decay": 0.1},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("affine", (FLOATS, SMALL, SMALL[0])),
        ("affine", (FLOATS, SMALL, None)),
        ("affine", (FLOATS[0], SMALL, SMALL[0])),
        ("affine", (np.stack([FLOATS, -FLOATS]), SMALL, SMALL[0])),
        ("affine", (np.ones((200, 5)), np.ones((5, 300)), np.ones(300))),
        ("matmul", (FLOATS, SMALL)),
        ("matrix_transpose", (FLOATS,)),
        ("matrix_transpose", (np.stack([FLOATS, -FLOATS]),)),
        ("relu", (FLOATS,)),
        ("relu_gradient", (FLOATS, np.maximum(FLOATS, 0))),
        ("sgd_update", (0.3, FLOATS, FLOATS + 1, SMALL, SMALL + 1)),
        ("sgd_update with decay", (0.3, FLOATS, FLOATS + 1, SMALL, SMALL + 1)),
        ("sgd_update", (0.3, np.ones((300, 300)), np.ones((300, 300)))),
        ("sgd_update with decay", (0.3, np.ones((300, 300)), np.ones((300, 300)))),
        ("softmax_cross_entropy", (FLOATS, np.arange(7) % 5)),
        (
            "softmax_cross_entropy",
            (FLOATS.T[:, :4], np.arange(5, dtype="uint8") % 4),
        ),
        ("softmax_cross_entropy", (FLOATS, np.eye(5)[np.arange(7) % 5])),
    ],
)
def test_kernels_and_lowerings_agree_to_the_last_bit(name, args, dtype):
    settings = SETTINGS.get(name, {})
    function = partial(primitive_of(name.partition(" ")[0]), **settings)
    args = [
        x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in args
    ]
    arrays = [x for x in args if isinstance(x, np.ndarray)]
    compiled = anynet.compile(lambda *arrays: function(*_beside(args, arrays)))
    for _ in range(3):
        found, wanted = compiled(*arrays), function(*args)
        several = wanted if isinstance(wanted, tuple) else (wanted,)
        for part, other in zip(
            found if isinstance(found, tuple) else (found,),
            several,
            strict=True,
        ):
            np.testing.assert_array_equal(part, other, strict=True)


def _beside(args, arrays):
    left = iter(arrays)
    return [next(left) if isinstance(x, np.ndarray) else x for x in args]
