import os
import platform
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from helpers import host
from kernels_and_references import primitive_of

import anynet
from anynet import layers, losses, optimizers, primitives, tree
from anynet.array import array_namespace
from anynet.errors import BackendError
from anynet.training import training_step

torch = pytest.importorskip("torch", reason="needs torch")

from anynet_torch import devices  # noqa: E402
from anynet_torch.kernels import KERNELS  # noqa: E402


def test_unknown_devices_raise():
    with pytest.raises(BackendError, match="torch cannot use the device 'quantum'"):
        anynet.get_backend("torch:quantum")
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="torch cannot use the device 'cuda'"):
            anynet.get_backend("torch:cuda")


def test_asarray_copies_and_grad_leaves_torch_gradients_alone():
    backend = anynet.get_backend("torch")
    data = np.ones(3)
    x = backend.asarray(data)
    data[0] = 5
    assert host(x).tolist() == [1, 1, 1]
    y = torch.ones(3, dtype=torch.float64, requires_grad=True)
    assert host(anynet.grad(lambda y: array_namespace(y).sum(y**2))(y.detach())).tolist() == [
        2,
        2,
        2,
    ]
    assert y.grad is None


@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (1, 2, 7, 9), (2, 1, 2, 3), (3, 2, 2, 2)])
def test_pooling_in_pairs_agrees_with_pytorch(shape):
    """The first of equal elements has the cotangent. An odd last row has none."""
    x = torch.relu(torch.tensor(np.random.default_rng(0).normal(size=shape)).round())
    x.requires_grad_(True)
    wanted = torch.nn.functional.max_pool2d(x, 2)
    g = torch.tensor(np.random.default_rng(1).normal(size=wanted.shape))
    wanted.backward(g)
    settings = {
        "kernel": (2, 2),
        "stride": (2, 2),
        "padding": ((0, 0), (0, 0)),
    }
    found = primitives.max_pool2d(x.detach(), **settings)
    assert torch.equal(found, wanted)
    assert torch.equal(
        primitives.max_pool2d_gradient(g, x.detach(), found, **settings),
        x.grad,
    )


def test_residuals_of_pooling_are_indices_of_the_maxima():
    x = torch.tensor([[[[1.0, 3.0, 2.0], [4.0, 0.0, 5.0]]]])
    window = {"kernel": (2, 2), "stride": (1, 1), "padding": ((0, 0), (0, 0))}
    largest, indices = primitives.max_pool2d_with_residuals(x, **window)
    assert largest.tolist() == [[[[4.0, 5.0]]]]
    assert indices.tolist() == [[[[3, 5]]]]
    assert vars(largest) == {}


@pytest.mark.parametrize("columns", [1, 10, 15, 16])
def test_products_with_few_columns_agree_with_pytorch(columns):
    rng = np.random.default_rng(0)
    x, w = (torch.tensor(rng.normal(size=shape)) for shape in ((300, 400), (400, columns)))
    b = torch.tensor(rng.normal(size=columns))
    np.testing.assert_allclose(primitives.affine(x, w, b), x @ w + b, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        anynet.compile(lambda x, w: x @ w)(x, w),
        x @ w,
        rtol=1e-10,
        atol=1e-10,
    )


def test_compiled_step_trains_torch_parameters():
    """The parameters require gradients, and PyTorch records none."""
    net = layers.Sequential(
        layers.Conv2d(1, 2, 3),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Linear(18, 20),
        seed=0,
        backend="torch",
    )
    own = net.map(lambda p: torch.nn.Parameter(p.clone()))
    x, t = torch.ones((50, 1, 8, 8)), torch.arange(50) % 20
    step = training_step(losses.cross_entropy)
    compiled, descents = (
        anynet.compile(step),
        [optimizers.SGD(), optimizers.SGD()],
    )
    plain = [float(step(net, descents[0], x, t)) for _ in range(3)]
    assert [float(compiled(own, descents[1], x, t).detach()) for _ in range(3)] == pytest.approx(
        plain
    )
    assert not own["layers.0.weight"].requires_grad


@pytest.mark.parametrize("compiled", [False, True])
def test_training_builds_no_torch_graph(compiled):
    """Parameters require gradients, frozen ones too."""
    net = layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.Linear(4, 2),
        layers.Linear(2, 2),
        seed=0,
        backend="torch",
    )
    for path, p in net.parameters().items():
        net[path] = torch.nn.Parameter(p.clone())
    net.freeze("layers.3")
    x, t = torch.ones((5, 3), requires_grad=True), torch.arange(5) % 2
    step, optimizer = training_step(losses.cross_entropy), optimizers.Adam()
    step = anynet.compile(step) if compiled else step
    kept = [step(net, optimizer, x, t) for _ in range(3)]
    trained = [p for path, p in net.parameters().items() if not path.startswith("layers.3")]
    arrays = [
        *kept,
        *trained,
        *net.buffers().values(),
        *(a for _, a in tree.leaves(optimizer)),
    ]
    assert not any(a.requires_grad for a in arrays)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="memory is kept by the GNU C library's own means",
)
def test_configured_process_uses_freed_memory_again():
    """Six arrays of 20 MiB have 30,000 pages.

    By default they are new at each call. A new process starts without memory that other tests
    freed.
    """
    program = (
        "import anynet, resource\n"
        "ones = anynet.configure('torch').xp.ones\n"
        "for i in range(60):\n"
        "    if i == 50:\n"
        "        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    several = [ones(5 * 2**20) for _ in range(6)]\n"
        "    several.clear()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert int(done.stdout) < 10_000


def test_adam_accepts_every_memory_layout():
    rng = np.random.default_rng(0)
    square = torch.tensor(rng.random((4, 3, 5, 5)))
    update = partial(primitive_of("adamw_update"), 0.1, 1.5, 0.99)
    settings = {"betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False}
    other = square.contiguous(memory_format=torch.channels_last)
    wanted = update(square, square, square, square, **settings)
    for given in [
        (other, square, square, square),
        (square, other, square, square),
        (square, square, other, other),
    ]:
        for found, expected in zip(update(*given, **settings), wanted, strict=True):
            assert torch.equal(found, expected)
    assert torch.equal(square, other)


def test_gpu_kernels_accept_all_index_dtypes_and_empty_batches(
    monkeypatch,
):
    """The test runs on a CPU. An index out of range gives NaN, in narrow dtypes, too."""
    monkeypatch.setattr(devices, "device_type", lambda x: "cuda")
    weight = torch.arange(600.0).reshape(300, 2)
    for dtype in (
        torch.int8,
        torch.uint8,
        torch.int16,
        torch.uint16,
        torch.int32,
        torch.uint32,
        torch.int64,
    ):
        places = torch.tensor([0, 7, 127]).to(dtype)
        torch.testing.assert_close(KERNELS["embedding"](weight, places), weight[[0, 7, 127]])
    for outside in (
        torch.tensor([-1], dtype=torch.int8),
        torch.tensor([300]),
        torch.tensor([-301]),
    ):
        assert bool(KERNELS["embedding"](weight, outside).isnan().all())
    assert (
        KERNELS["softmax_cross_entropy"](torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
        is NotImplemented
    )
