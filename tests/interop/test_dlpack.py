"""Arrays go from every library to every other one, and keep their values."""

from importlib import import_module

import numpy as np
import pytest
from helpers import host, normal

import anynet
from anynet import layers, losses, optimizers
from anynet.backend import get_backend
from anynet.errors import BackendError, DataError, DifferentiationError

LIBRARIES = ("numpy", "torch", "jax", "array_api_strict")


def opened(name):
    try:
        return get_backend(name)
    except BackendError:
        pytest.skip(reason=f"needs {name}")


DATA = {
    "bool": np.asarray([[True, False], [False, False]]),
    "uint8": np.asarray([0, 255], "uint8"),
    "int32": np.asarray([[-(2**31), 2**31 - 1]], "int32"),
    "int64": np.asarray([-(2**62), 3]),
    "float16": np.asarray([0.1, np.inf, np.nan], "float16"),
    "float32": np.asarray([[1.5, -0.0], [np.nan, 1e38]], "float32"),
    "float64": np.asarray([1e300, -1e-300]),
    "complex64": np.asarray([1 + 2j], "complex64"),
    "no axes": np.asarray(2.5, "float32"),
    "no elements": np.zeros((0, 3), "float32"),
    "transposed": np.arange(6, dtype="float32").reshape(2, 3).T,
    "every second": np.arange(8, dtype="float32")[::2],
    "reversed": np.arange(4, dtype="float32")[::-1],
    "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
}


@pytest.mark.parametrize("source", LIBRARIES)
@pytest.mark.parametrize("name", DATA)
def test_values_arrive(backend, source, name):
    if name == "float16" and "array_api_strict" in (backend.name, source):
        pytest.skip(reason="array_api_strict has no float16")
    x = opened(source).asarray(DATA[name])
    y = backend.asarray(x)
    assert get_backend(y).name == backend.name
    assert str(DATA[name].dtype) in str(y.dtype)
    np.testing.assert_array_equal(host(y), DATA[name], strict=True)


@pytest.mark.parametrize("source", ["torch", "jax"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_bfloat16_arrives(backend, source, shape):
    """A library without bfloat16 has float32, which has all values."""
    xp = opened(source).xp
    values = np.full(shape, 1.0 / 3.0, "float32")
    x = xp.astype(opened(source).asarray(values), xp.bfloat16)
    y = backend.asarray(x)
    wanted = "bfloat16" if hasattr(backend.xp, "bfloat16") else "float32"
    assert wanted in str(y.dtype)
    np.testing.assert_array_equal(host(y), np.full(shape, np.float32(0.333984375)))


class Producer:
    """An object of an unknown library: DLPack's methods, and nothing else."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **settings):
        return self.x.__dlpack__(**settings)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_any_object_with_dlpack(backend, dtype):
    """Its dtype is kept, unlike that of Python's scalars and lists."""
    data = np.asarray([[0, 1], [2, 3]], dtype)
    x = backend.asarray(Producer(data))
    assert dtype in str(x.dtype)
    np.testing.assert_array_equal(host(x), data)
    as_float32 = backend.asarray(Producer(data), dtype=backend.xp.float32)
    np.testing.assert_array_equal(host(as_float32), data.astype("float32"))


class Failing(Producer):
    def __dlpack__(self, **settings):
        raise BufferError("the memory is elsewhere")


def test_object_that_cannot_export(backend):
    if backend.name == "array_api_strict" and "device1" in str(backend.device):
        pytest.skip(reason="the same code as on the other device")
    with pytest.raises(DataError, match=r"DLPack cannot read the memory of .*elsewhere"):
        backend.asarray(Failing(np.ones(2)))


def address(x):
    """Return the address of an array in main memory."""
    if isinstance(x, np.ndarray):
        return x.ctypes.data
    return x.data_ptr() if hasattr(x, "data_ptr") else x.unsafe_buffer_pointer()


#: From, to, and whether the memory is shared.
SHARING = [
    ("numpy", "numpy", True),
    ("torch", "torch", True),
    ("jax", "jax", True),
    ("torch", "numpy", True),
    ("jax", "numpy", True),
    ("numpy", "torch", False),
    ("jax", "torch", False),
    ("numpy", "jax", False),
    ("torch", "jax", False),
]


@pytest.mark.parametrize(("source", "target", "shared"), SHARING)
def test_memory_is_shared_or_copied(source, target, shared):
    """JAX's arrays never change, so JAX copies the arrays of others."""
    for length in range(1, 400, 7):
        x = opened(source).asarray(np.arange(length, dtype="float32"))
        y = opened(target).asarray(x)
        assert (address(x) == address(y)) is shared


def test_arrays_of_jax_cannot_be_changed_through_numpy():
    x = opened("jax").asarray(np.ones(3, "float32"))
    y = get_backend("numpy").asarray(x)
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 2


def test_read_only_memory_is_not_shared_with_torch():
    data = np.ones(3, "float32")
    data.flags.writeable = False
    opened("torch").asarray(data)[0] = 2.0
    assert data[0] == 1


@pytest.mark.parametrize("make", ["tensor", "parameter"])
def test_tensor_with_recorded_derivatives(backend, make):
    torch = pytest.importorskip("torch", reason="needs torch")
    x = torch.ones(3, requires_grad=True)
    x = torch.nn.Parameter(x) if make == "parameter" else x
    if backend.name == "torch":
        assert backend.asarray(x) is x
        return
    for dtype in (None, backend.xp.float32):
        with pytest.raises(
            DifferentiationError, match=r"torch records derivatives .* x\.detach\(\)"
        ):
            backend.asarray(x, dtype)
    np.testing.assert_array_equal(host(backend.asarray(x.detach())), np.ones(3))


def test_conjugate_of_a_tensor(backend):
    torch = pytest.importorskip("torch", reason="needs torch")
    x = torch.tensor([1 + 2j])
    np.testing.assert_array_equal(host(backend.asarray(x.conj())), [1 - 2j])
    np.testing.assert_array_equal(host(backend.asarray(x.conj().imag)), [-2.0])


def test_tensors_without_dense_values(backend):
    torch = pytest.importorskip("torch", reason="needs torch")
    with pytest.raises(DataError, match="an array of torch on meta cannot be brought to"):
        backend.asarray(torch.ones(3, device="meta"))
    if backend.name != "torch":
        with pytest.raises(DataError, match=r"wanted a dense array"):
            backend.asarray(torch.eye(3).to_sparse())


@pytest.mark.parametrize("target", ["numpy", "torch", "jax"])
def test_parameters_go_out_by_dlpack(backend, target):
    """The arrays are those of the library, and other programs read them."""
    if backend.name == "array_api_strict" and "device1" in str(backend.device):
        pytest.skip(reason="an emulated device has no DLPack")
    opened(target)
    net = layers.Linear(3, 2).initialize(0, backend)
    consumer = import_module("jax.numpy" if target == "jax" else target)
    x = consumer.from_dlpack(net.weight)
    np.testing.assert_array_equal(np.asarray(x), host(net.weight))


@pytest.mark.parametrize("compiled", [False, True])
def test_training_leaves_shared_memory_as_it_is(backend, compiled):
    """A network that shares memory with another one is trained, and the other stays the same."""
    net = layers.Sequential(layers.Linear(4, 4), layers.BatchNorm(4)).initialize(0, backend)
    arrays = [*net.map(get_backend("numpy").asarray).parameters().values()]
    arrays += net.map(backend.asarray).parameters().values()
    before = [host(x).copy() for x in arrays]
    gradients = anynet.value_and_grad(lambda net, x: losses.mean_squared_error(net(x), x))
    optimizer = optimizers.Adam(0.1)

    def step(net, optimizer, x):
        optimizer.update(net, gradients(net, x)[1])

    run = anynet.compile(step) if compiled else step
    for seed in range(4):
        run(net, optimizer, normal(backend, 8, 4, seed=seed, dtype="float32"))
    for x, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(host(x), old)
    assert abs(host(net[0].weight) - before[0]).max() > 0.01
