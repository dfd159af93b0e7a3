"""The CuPy backend without a GPU: its errors, and its kernels compiled for a CPU.

With a GPU all other tests run on CuPy, as on every available backend.
"""

import math
import re
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from anynet_cuda.sources import SOURCES, WINDOW
from anynet_cupy import product
from anynet_cupy.elementwise import elementwise
from anynet_cupy.kernels import KERNELS, standard
from anynet_cupy.target import CudaGraphDriver
from cublas_on_a_cpu import Cublas
from elementwise_on_a_cpu import ElementwiseKernel, loop
from kernels_and_references import differing, primitive_of

from anynet import primitives
from anynet.autodiff.rules import indexing
from anynet.backend import configure, get_backend, probe
from anynet.errors import BackendError


class CUDARuntimeError(RuntimeError):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def pretend(monkeypatch, **runtime):
    """Replace cupy by a module whose current device is ``module.current``."""
    module = types.ModuleType("cupy")
    module.current = 0

    class Device:
        def __init__(self, number=None):
            self.id = module.current if number is None else number
            self._before = []

        def use(self):
            module.current = self.id

        def __enter__(self):
            self._before.append(module.current)
            module.current = self.id

        def __exit__(self, *_):
            module.current = self._before.pop()

        def __eq__(self, other):
            return self.id == other.id

        __hash__ = None

    module.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(CUDARuntimeError=CUDARuntimeError, **runtime),
        Device=Device,
    )
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def raises(error):
    def function(*args, **settings):
        raise error

    return function


def error_text():
    with pytest.raises(BackendError) as caught:
        get_backend("cupy")
    message = str(caught.value)
    assert "\n" not in message
    assert 'pip install "cupy-cuda13x[ctk]", or "cupy-cuda12x[ctk]"' in message
    return message


def test_error_without_cupy_names_its_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert error_text().startswith("cupy is not installed: pip install")


def test_error_of_the_import_names_the_missing_cuda_library(monkeypatch):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise ImportError(
                    "libcublas.so.13: cannot open shared object file: No such file or directory"
                )

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    message = error_text()
    assert "libcublas.so.13" in message
    assert "CUDA's libraries are missing" in message


@pytest.mark.parametrize(
    ("status", "text", "advice"),
    [
        (
            35,
            "cudaErrorInsufficientDriver: CUDA driver version is insufficient",
            "the NVIDIA driver is missing or older",
        ),
        (
            100,
            "cudaErrorNoDevice: no CUDA-capable device is detected",
            "CUDA finds no GPU",
        ),
        (
            999,
            "cudaErrorUnknown: unknown error\nmore lines",
            "cudaErrorUnknown: unknown error",
        ),
    ],
)
def test_error_without_driver_or_gpu_gives_advice(monkeypatch, status, text, advice):
    pretend(monkeypatch, getDeviceCount=raises(CUDARuntimeError(status, text)))
    message = error_text()
    assert message.startswith(f"cupy cannot use a GPU ({text.splitlines()[0]}): ")
    assert advice in message
    report = probe("cupy")
    assert not report.works
    assert report.reason == message


def test_error_names_a_library_missing_at_the_first_product(monkeypatch):
    module = pretend(monkeypatch, getDeviceCount=lambda: 1)
    module.ones = raises(ImportError("libcublas.so.12: cannot open shared object file\n\nhint"))
    message = error_text()
    assert message.startswith(
        "cupy does not work (ImportError: libcublas.so.12: cannot open shared object file): "
    )


@pytest.mark.parametrize("name", ["cupy:2", "cupy:-1", "cupy:gpu"])
def test_unknown_devices_raise(monkeypatch, name):
    pretend(monkeypatch, getDeviceCount=lambda: 2)
    with pytest.raises(BackendError, match=r"cupy has no device '.*'; it has 0, 1$"):
        get_backend(name)


class Array:
    """A NumPy array with the device that was current at its creation."""

    def __init__(self, values, module):
        self.values, self._module, self.device = (
            np.array(values),
            module,
            module.cuda.Device(),
        )

    def copy(self):
        return Array(self.values, self._module)


@pytest.fixture
def two_gpus(monkeypatch):
    module = pretend(monkeypatch, getDeviceCount=lambda: 2)
    module.ones = lambda shape, dtype: np.ones(shape, dtype)
    module.ndarray, module.asarray = Array, lambda x: Array(x, module)
    wrapped = types.ModuleType("array_api_compat.cupy")
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", wrapped)
    monkeypatch.setattr(sys.modules["array_api_compat"], "cupy", wrapped, raising=False)
    return module


def test_opening_a_backend_keeps_the_current_device(two_gpus):
    two_gpus.current = 1
    backend = get_backend("cupy")
    assert backend.device.id == get_backend("cupy:1").device.id == 1
    with pytest.raises(
        BackendError,
        match="current device is 1, and its functions work there, not on 0: call "
        r"anynet.configure\(\"cupy:0\"\)",
    ):
        get_backend("cupy:0")
    assert two_gpus.current == 1
    assert configure("cupy:0").device.id == 0
    assert two_gpus.current == 0
    with pytest.raises(BackendError, match="cupy has no device '2'; it has 0, 1"):
        configure("cupy:2")
    assert two_gpus.current == 0


def test_arrays_go_to_the_device_of_the_backend(two_gpus):
    """The program may have changed the current device, and the array may be on another one."""
    backend = get_backend("cupy")
    first, reversed_ = (
        backend.from_host([1.0, 2.0]),
        backend.from_host(np.arange(3.0)[::-1]),
    )
    two_gpus.current = 1
    second = two_gpus.asarray([3.0])
    for x in (
        backend.from_host([1.0, 2.0]),
        reversed_,
        backend.from_array(second),
    ):
        assert x.device.id == 0
    assert reversed_.values.tolist() == [2, 1, 0]
    assert backend.from_array(first) is first
    assert backend.from_array(second).values.tolist() == [3]
    assert two_gpus.current == 1


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("scalar", ["float", "double"])
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs CUDA's compiler, nvcc")
def test_sources_compile_for_a_gpu(tmp_path, name, scalar):
    index = "int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < elements)"
    inputs, outputs, operation, _ = SOURCES[name]
    source = (
        inputs,
        outputs,
        "".join(f"const int {constant} = 2; " for constant in WINDOW) + operation,
    )
    (tmp_path / "kernel.cu").write_text(
        loop(source, scalar, f"anynet_{name}", "__global__", index),
        encoding="utf-8",
    )
    # The oldest that CUDA 13 compiles for; the default of CUDA 12 has no atomicAdd of float64.
    command = ["nvcc", "-arch=sm_75", "-ptx", "kernel.cu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f".entry anynet_{name}(" in (tmp_path / "kernel.ptx").read_text(encoding="utf-8")


@pytest.fixture
def on_a_cpu(monkeypatch):
    """Replace CuPy by NumPy, with kernels compiled by a C++ compiler."""
    if shutil.which("c++") is None or sys.platform == "win32":
        pytest.skip(reason="needs a C++ compiler that makes POSIX libraries")
    module = types.ModuleType("cupy")
    vars(module).update(vars(np))
    module.ElementwiseKernel = ElementwiseKernel
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setattr(product, "_cublas", lambda: None)
    elementwise.cache_clear()
    yield
    elementwise.cache_clear()


def same(found, wanted, tolerance=1e-14):
    for x, y in zip(
        *(z if isinstance(z, tuple) else (z,) for z in (found, wanted)),
        strict=True,
    ):
        assert x.dtype == y.dtype
        assert x.flags.c_contiguous
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def spread(*shape, seed=0):
    return np.random.default_rng(seed).permutation(math.prod(shape)).reshape(shape) / 7.0 - 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elementwise_kernels_agree_with_the_references(on_a_cpu, dtype):
    p, g, m, s = (np.abs(spread(3, 5, seed=i)).astype(dtype) for i in range(4))
    x = np.array([-2.0, -0.0, 0.0, 0.5, 3.0, np.nan, np.inf], dtype)
    adamw = {"betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False}
    adam = {**adamw, "weight_decay": 0.1}
    momentum = {"momentum": 0.9, "dampening": 0.3, "nesterov": False, "weight_decay": 0.1}
    for name, args, settings in (
        ("adam_update", (0.01, 1.5, p, g, m, s), adam),
        ("adamw_update", (0.01, 1.5, 0.99, p, g, m, s, s, m, p, g), adamw),
        ("erf", (x,), {}),
        ("momentum_update", (0.1, 0.7, p, g, m), momentum),
        ("momentum_update", (0.1, 1.0, p, g, m), {**momentum, "dampening": 0.0, "nesterov": True}),
        ("relu", (x,), {}),
        ("relu_gradient", (np.ones(7, dtype), x), {}),
        ("sgd_update", (0.1, p, g), {"weight_decay": 0.1}),
    ):
        same(
            KERNELS[name](*args, **settings),
            primitive_of(name).reference(*args, **settings),
            1e-5 if dtype == "float32" else 1e-12,
        )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_clip_agrees_with_numpy(on_a_cpu, dtype):
    x = np.array([[-2, 0.5, 7], [np.nan, np.inf, -np.inf]], dtype)
    below, above = (
        np.array([[-1.0], [2]], dtype),
        np.array([3, np.nan, 1], "float64"),
    )
    for limits in (
        (-1, 1),
        (None, 0.3),
        (0.1, None),
        (below, above),
        (2, 1),
        (below, 0),
        (np.inf, None),
    ):
        found = KERNELS["clip"](x, *limits)
        wanted = get_backend("numpy").xp.clip(x, *limits)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    assert KERNELS["clip"](x) is KERNELS["clip"](np.arange(3), 0, 1) is NotImplemented


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_agrees_with_the_reference(on_a_cpu, dtype):
    logits, labels = (
        30 * spread(4, 7).astype(dtype),
        np.array([6, 0, 3, 3], "uint8"),
    )
    wanted = primitives.softmax_cross_entropy.reference(logits, labels)
    same(
        tuple(map(np.asarray, KERNELS["softmax_cross_entropy"](logits, labels))),
        tuple(map(np.asarray, wanted)),
        1e-5,
    )
    for label in (7, -1):
        loss, difference = KERNELS["softmax_cross_entropy"](logits, np.array([1, label, 2, 0]))
        assert np.isnan(loss)
        assert list(np.isnan(difference).all(axis=1)) == [
            False,
            True,
            False,
            False,
        ]
    assert KERNELS["softmax_cross_entropy"](logits, np.eye(7)[:4]) is NotImplemented


@pytest.mark.parametrize(
    "x",
    [
        spread(5, 7),
        spread(7, 5).T,
        spread(5, 7)[:, 2:4],
        spread(9, 7)[2:4].T,
        spread(5, 1),
        spread(1, 5).T,
        spread(5, 7)[::2],
        spread(5, 7)[:, ::2],
        spread(5, 7)[::-1],
        np.broadcast_to(spread(7), (5, 7)),
        spread(1, 1),
        np.broadcast_to(spread(5, 1), (5, 7)),
        spread(5, 7)[2:3],
        spread(5, 7)[:, 2:3],
        spread(7, 5).T[2:3],
        spread(2, 3, 4),
        spread(2, 4, 3).swapaxes(1, 2),
        spread(3, 2, 4).swapaxes(0, 1),
        spread(2, 3, 4, 2)[:, :, ::2],
    ],
    ids=lambda x: f"{x.shape}{x.strides}",
)
def test_layout_of_a_matrix_for_cublas(on_a_cpu, x):
    stored, across, apart = product.layout(x)
    rows, columns = x.shape[-2:]
    assert apart >= max(1, rows if across else columns)
    # A stack's matrices follow each other.
    strides = [rows * columns * 8 * math.prod(x.shape[i + 1 : -2]) for i in range(x.ndim - 2)]
    strides += [8, 8 * apart] if across else [8 * apart, 8]
    np.testing.assert_array_equal(np.lib.stride_tricks.as_strided(stored, x.shape, strides), x)


@pytest.fixture
def cublas(on_a_cpu, monkeypatch):
    """A replacement for cuBLAS that multiplies NumPy arrays at their addresses."""
    found = Cublas()
    found.one["e"] = product._half(found.multiply_typed)
    found.stack["e"] = product._half(found.multiply_stack_typed)
    monkeypatch.setattr(product, "_cublas", lambda: found)
    monkeypatch.setattr(product, "_address", lambda x: x.ctypes.data)
    device = types.ModuleType("cupy.cuda.device")
    device.get_device_id = lambda: 0
    monkeypatch.setitem(sys.modules, "cupy.cuda.device", device)
    product._ones.cache_clear()
    yield found
    product._ones.cache_clear()


def factor(*shape, dtype="float64", seed=0):
    x = np.random.default_rng(seed).normal(size=(2, *shape))
    return (x[0] + 1j * x[1] if np.dtype(dtype).kind == "c" else x[0]).astype(dtype)


PAIRS = {
    "vectors": (factor(5), factor(5)),
    "vector by matrix": (factor(5), factor(5, 3)),
    "matrix by vector": (factor(4, 5), factor(5)),
    "matrices": (factor(4, 5), factor(5, 3)),
    "one row": (factor(1, 5), factor(5, 1)),
    "one element": (factor(1, 1), factor(1, 1)),
    "columns": (factor(5, 4).T, factor(3, 5).T),
    "slices": (factor(9, 12)[1:5, 2:7], factor(5, 9)[:, ::3]),
    "backwards": (factor(4, 5)[::-1], factor(5, 3)[:, ::-1]),
    "repeated": (np.broadcast_to(factor(5), (4, 5)), factor(5, 3)),
    "strided vector": (factor(10)[::2], factor(3, 5).T),
    "stack by matrix": (factor(2, 4, 5), factor(5, 3)),
    "matrix by stack": (factor(4, 5), factor(2, 5, 3)),
    "column by stack": (factor(5, 4).T, factor(2, 3, 5).mT),
    "vector by stack": (factor(5), factor(2, 5, 3)),
    "stack by vector": (factor(2, 4, 5), factor(5)),
    "stacks": (factor(2, 4, 5), factor(2, 5, 3)),
    "turned stacks": (factor(2, 5, 4).mT, factor(2, 3, 5).mT),
    "stacks of stacks": (factor(3, 2, 4, 5), factor(3, 2, 5, 3)),
    "every other": (factor(4, 4, 5)[::2], factor(2, 5, 6)[..., ::2]),
    "stack of one": (factor(1, 4, 5), factor(2, 5, 3)),
    "by a stack of one": (factor(2, 4, 5), factor(1, 5, 3)),
    "more axes of one": (factor(2, 4, 5), factor(1, 1, 5, 3)),
    "broadcast stacks": (factor(3, 1, 4, 5), factor(2, 5, 3)),
    "broadcast both": (factor(3, 1, 4, 5), factor(1, 2, 5, 3)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_cublas_multiplies_every_shape(cublas, name, dtype):
    """CuPy's own products raise during a graph capture."""
    x1, x2 = (x.astype(dtype) for x in PAIRS[name])
    found = standard.matmul(x1, x2)
    wanted = np.matmul(x1, x2)
    assert found is not NotImplemented
    assert cublas.calls
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(
        found,
        wanted,
        atol={"e": 3e-2, "f": 1e-5, "F": 1e-5}.get(wanted.dtype.char, 1e-12),
    )


def test_stack_times_a_matrix_is_one_product(cublas):
    """Other stacks take one product for each matrix."""
    for name, count in (
        ("stack by matrix", 1),
        ("by a stack of one", 1),
        ("matrix by stack", 2),
        ("broadcast both", 6),
    ):
        cublas.calls.clear()
        standard.matmul(*PAIRS[name])
        assert len(cublas.calls) == count


def test_products_of_two_dtypes_promote(cublas):
    x1, x2 = factor(4, 5, dtype="float32"), factor(5, 3)
    found = standard.matmul(x1, x2)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, x1 @ x2, rtol=1e-12)


@pytest.mark.parametrize(
    ("x1", "x2"),
    [
        (np.ones((2, 3), "int64"), np.ones((3, 2), "int64")),
        (factor(2, 3), factor(2, 3)),
        (factor(3), factor(2)),
        (factor(0, 3), factor(3, 2)),
        (factor(2, 0), factor(0, 3)),
        (np.array(1.0), factor(3)),
    ],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
def test_cupy_computes_the_other_products(cublas, x1, x2):
    assert standard.matmul(x1, x2) is NotImplemented
    assert cublas.calls == []


@pytest.mark.parametrize(
    ("x1", "x2", "axes"),
    [
        (factor(2, 3, 4), factor(3, 4, 5), 2),
        (factor(2, 3), factor(4, 5), 0),
        (factor(2, 3), factor(2, 3), 2),
        (factor(2, 3, 4), factor(4, 5, 2), ((0,), (2,))),
        (factor(2, 3, 4), factor(4, 2, 5), ((-1, 0), (0, 1))),
        (factor(3, 3), factor(3, 3), ((1, 0), (0, 1))),
        (factor(3, dtype="complex64"), factor(3, dtype="complex64"), 1),
    ],
)
def test_tensordot_agrees_with_numpy(cublas, x1, x2, axes):
    found = standard.tensordot(x1, x2, axes=axes)
    wanted = np.tensordot(x1, x2, axes=axes)
    assert cublas.calls
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("axes", [3, ((2,), (0,)), ((0, 0), (0, 1)), ((0, 1), (0,))])
def test_cupy_raises_for_wrong_axes_of_tensordot(cublas, axes):
    assert standard.tensordot(factor(3, 3), factor(3, 3), axes=axes) is NotImplemented
    assert cublas.calls == []


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64"])
def test_vecdot_agrees_with_numpy(cublas, dtype):
    x1, x2 = factor(2, 4, 5, dtype=dtype), factor(4, 5, dtype=dtype, seed=1)
    for axis in (-1, -2):
        wanted = np.sum(np.conj(x1) * x2, axis=axis)
        found = standard.vecdot(x1, x2, axis=axis)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, atol=3e-2 if dtype == "float16" else 1e-5)
    assert standard.vecdot(x1, x2[:, :3]) is NotImplemented


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7])
def test_matrix_power_agrees_with_numpy(cublas, n):
    x = factor(2, 3, 3)
    found = standard.matrix_power(x, n)
    np.testing.assert_allclose(found, np.linalg.matrix_power(x, n), rtol=1e-10)
    assert not np.shares_memory(found, x)
    assert (
        standard.matrix_power(x, 0)
        is standard.matrix_power(x, -1)
        is standard.matrix_power(x[:, :2], n)
        is NotImplemented
    )


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    "x",
    [
        factor(4, 3),
        factor(3, 4).T,
        factor(4, 6)[:, ::2],
        factor(4, 3, dtype="float32"),
    ],
)
def test_cublas_sums_rows_and_columns(cublas, x, axis):
    np.testing.assert_allclose(product.sums(x, axis, 0.25), 0.25 * x.sum(axis=axis), rtol=1e-5)


def test_graph_copies_adjacent_arrays_at_once(monkeypatch):
    """The memory is a line of bytes. Each array has an offset in it."""
    line, calls = np.zeros(1 << 16, "uint8"), []

    class Memory(int):
        ptr = property(int)
        mem = None

        def __add__(self, place):
            return at(int(self) + place, self.mem)

    def at(place, piece):
        memory = Memory(place)
        memory.mem = piece
        return memory

    class Array:
        def __init__(self, shape, dtype, memory):
            self.shape, self.dtype, self.data, self.nbytes = (
                shape,
                np.dtype(dtype),
                memory,
                math.prod(shape) * 4,
            )
            self.numbers = line[memory : memory + self.nbytes].view(dtype)
            self.flags = types.SimpleNamespace(c_contiguous=True)

    free = iter(range(1024, 1 << 16, 8192))

    def memcpy(to, source, size, kind, stream):
        calls.append(size)
        line[to : to + size] = line[source : source + size]

    cuda = types.SimpleNamespace(
        alloc=lambda size: at(next(free), object()),
        get_current_stream=lambda: types.SimpleNamespace(ptr=0),
        runtime=types.SimpleNamespace(memcpyAsync=memcpy, memcpyDefault=4),
    )
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=cuda, ndarray=Array))
    graph = CudaGraphDriver(None)
    kinds = [Array(shape, "float32", Memory(0)) for shape in ((20, 30), (3,), (0,), (64,))]
    there, here = graph.memory(kinds), graph.memory(kinds)
    alone = [graph.memory([kind])[0] for kind in kinds]
    # Of several pieces, which are not to be copied together, and happen to follow each other.
    touching = [Array(x.shape, "float32", at(int(x.data), object())) for x in here]
    for source in (
        here,
        alone,
        touching,
        [here[0], *alone[1:]],
        [here[1], here[0]],
        here[2:],
    ):
        to = there if len(source) == 4 else graph.memory(source)
        calls.clear()
        for i, x in enumerate(source):
            x.numbers[...] = np.random.default_rng(i).normal(size=x.numbers.size)
        graph.copy(to, source)
        for x, y in zip(to, source, strict=True):
            np.testing.assert_array_equal(x.numbers, y.numbers)
        assert len(calls) == (1 if source is here else len([x for x in source if x.nbytes]))


def test_cipher_agrees_with_the_reference(on_a_cpu):
    words = np.random.default_rng(0).integers(-(2**31), 2**31, (2, 1000), dtype="int32")
    same(
        KERNELS["threefry"](words[:, 0].copy(), *words),
        primitives.threefry.reference(words[:, 0], *words),
        0,
    )


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [
        ((1, 1), ((0, 0), (0, 0)), (1, 1), 1),
        ((2, 1), ((1, 2), (0, 1)), (1, 2), 1),
        ((1, 3), ((2, 1), (2, 2)), (2, 1), 2),
        ((2, 2), ((1, -1), (0, -2)), (1, 1), 2),
    ],
)
def test_convolutions_agree_with_the_references(on_a_cpu, stride, padding, dilation, groups):
    settings = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    x, weight, bias = (
        spread(2, 4, 7, 9),
        spread(6, 4 // groups, 2, 3),
        spread(6),
    )
    wanted = primitives.conv2d.reference(x, weight, bias, **settings)
    same(KERNELS["conv2d"](x, weight, bias, **settings), wanted, 1e-12)
    same(
        KERNELS["conv2d"](x[:, ::-1], weight, None, **settings),
        KERNELS["conv2d"](x[:, ::-1].copy(), weight, None, **settings),
    )
    g = spread(*wanted.shape)
    for name, *args in (
        ("conv2d_weight_gradient", g, x, (2, 3)),
        ("conv2d_input_gradient", g, weight, (7, 9)),
    ):
        same(
            KERNELS[name](*args, **settings),
            getattr(primitives, name).reference(*args, **settings),
            1e-12,
        )


@pytest.mark.parametrize("kernel", [(2, 2), (3, 2)])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 3)])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (1, 0))])
def test_pooling_agrees_with_the_references(on_a_cpu, kernel, stride, padding):
    settings = {"kernel": kernel, "stride": stride, "padding": padding}
    # Equal elements in many windows: the first of them counts.
    x = np.round(spread(2, 3, 6, 7) / 4)
    largest = primitives.max_pool2d.reference(x, **settings)
    same(KERNELS["max_pool2d"](x, **settings), largest)
    g = spread(*largest.shape)
    same(
        KERNELS["max_pool2d_gradient"](g, x, largest, **settings),
        primitives.max_pool2d_gradient.reference(g, x, largest, **settings),
        1e-12,
    )


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (4, 3, 2, 5), (1, 1, 3, 3)])
def test_batch_norm_agrees_with_the_reference(on_a_cpu, shape):
    x, weight, bias = spread(*shape), *spread(2, shape[1], seed=1)
    out = primitives.batch_norm.reference(x, weight, bias, 1e-3)
    same(KERNELS["batch_norm"](x, weight, bias, 1e-3), out, 1e-12)
    given = spread(*shape, seed=2), x, weight, *out[1:], 1e-3
    same(
        KERNELS["batch_norm_gradient"](*given),
        primitives.batch_norm_gradient.reference(*given),
        1e-12,
    )
    assert KERNELS["batch_norm"](x.astype("float32"), weight, bias, 1e-3) is NotImplemented


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("kind", ["uint8", "int16", "int64"])
def test_index_add_agrees_with_one_hot_products(on_a_cpu, dtype, kind):
    """An index out of range adds nothing. A negative index counts from the end."""
    g = factor(2, 5, 3, dtype=dtype)
    given = [[0, 3, 3, 9, 1], [4, 4, 0, 2, 2]]
    slices, elements = (
        np.array(given[0], kind),
        np.broadcast_to(np.array(given, kind)[..., None], g.shape),
    )
    if kind != "uint8":
        slices, elements = slices - 1, elements - 1
    # Along the last axis, too.
    last = g.swapaxes(1, 2)
    for name, *args in (
        ("index_add", g, slices, 1, 4),
        ("index_add", last, slices, 2, 4),
        ("index_add", g[:, :0], slices[:0], 1, 4),
        ("index_add", g[1], slices, 0, 4),
        ("scatter_add", g, elements, 1, 4),
        ("scatter_add", last, elements.swapaxes(1, 2), -1, 4),
        ("scatter_add", g, elements[..., :1], 1, 4),
    ):
        reference = getattr(indexing, name).reference
        found = KERNELS[name](*args)
        wanted = reference(
            args[0],
            np.broadcast_to(args[1], args[0].shape) if name == "scatter_add" else args[1],
            *args[2:],
        )
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_index_add_declines_other_arguments(on_a_cpu):
    g, indices = factor(5, 3), np.arange(5)
    for left in (
        KERNELS["index_add"](g.astype("float16"), indices, 0, 5),
        KERNELS["index_add"](g, indices > 1, 0, 5),
    ):
        assert left is NotImplemented


def test_sums_of_a_matrix_agree_with_numpy(on_a_cpu):
    x = spread(4, 3)
    same(KERNELS["sum_to"](x, (3,)), x.sum(axis=0))
    same(KERNELS["sum"](x, axis=(0,)), x.sum(axis=0))
    for left in (
        KERNELS["sum_to"](x, (1, 3)),
        KERNELS["sum"](x),
        KERNELS["sum"](x, axis=0, keepdims=True),
    ):
        assert left is NotImplemented


def test_kernels_decline_other_arguments(on_a_cpu):
    x, weight = spread(1, 2, 4, 4), spread(3, 2, 2, 2)
    settings = {
        "stride": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
        "groups": 1,
    }
    assert KERNELS["conv2d"](x.astype("float32"), weight, None, **settings) is NotImplemented
    assert KERNELS["conv2d"](x[:0], weight, None, **settings) is NotImplemented
    # Of which 32 bits do not count the elements, without having them.
    many = np.broadcast_to(np.zeros((1, 2, 1, 1)), (1 << 20, 2, 64, 64))
    assert KERNELS["conv2d"](many, weight, None, **settings) is NotImplemented
    assert (
        KERNELS["max_pool2d"](many, kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
        is NotImplemented
    )
    with pytest.raises(ValueError, match="larger than the padded image"):
        KERNELS["conv2d"](x, spread(3, 2, 5, 5), None, **settings)


def test_kernels_decline_undeclared_dtypes(cublas):
    """The references compute every example of these dtypes."""
    known = ["bool", "uint8", "int64", "float16", "complex64"]
    assert differing(get_backend("numpy"), KERNELS, known) == []


def test_every_source_belongs_to_a_kernel():
    made_of_others = {
        *(
            "batch_norm",
            "conv2d",
            "conv2d_weight_gradient",
            "conv2d_input_gradient",
            "matmul",
            "softmax_cross_entropy",
        ),
        *(
            "clip",
            "index_add",
            "linalg.matrix_power",
            "sum",
            "sum_to",
            "tensordot",
            "vecdot",
        ),
    }
    names = set(KERNELS) - made_of_others
    parts = {
        "cross_entropy",
        "fold",
        "normalize",
        "square_around",
        "times_standardized",
        "unfold",
    }
    assert set(SOURCES) == names | parts
    for _, out, operation, _ in SOURCES.values():
        name = out.split(", ")[0].split()[-1]
        assert re.search(rf"\b{name}(\[place\])? = |atomicAdd\(&{name}\[", operation)
