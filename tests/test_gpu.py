"""Kernels, products, streams, memory and device graphs of a GPU.

On a CPU, the tests run the CPU's kernels.
"""

import contextlib
import warnings
from functools import partial

import numpy as np
import pytest
from dtypes import INTEGERS
from helpers import checks_labels, host

import anynet
from anynet import layers, losses, optimizers, primitives
from anynet.array import array_namespace
from anynet.errors import CompilationError, DataError
from anynet.training import training_step

pytestmark = pytest.mark.gpu

STEP = training_step(losses.cross_entropy)


def factor(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def dense(backend):
    parts = layers.Linear(20, 8), layers.ReLU(), layers.Linear(8, 5)
    return layers.Sequential(*parts, seed=0, backend=backend)


def convolutional(backend):
    # The gradient of a bias before BatchNorm is only rounding errors, which Adam amplifies.
    parts = [
        layers.Conv2d(1, 3, 3, bias=False),
        layers.BatchNorm(3),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
    ]
    return layers.Sequential(*parts, layers.Linear(27, 5), seed=0, backend=backend)


def data(backend, make, n=60):
    shape = (n, 20) if make is dense else (n, 1, 8, 8)
    labels = np.random.default_rng(1).integers(0, 5, n)
    return backend.asarray(factor(*shape)), backend.asarray(labels)


def library_of_gpu(backend):
    """Return CuPy or PyTorch. Skip the test without a CUDA GPU."""
    on_cuda = backend.name == "cupy" or (backend.name == "torch" and backend.device.type == "cuda")
    if not on_cuda:
        pytest.skip(reason="needs CuPy or PyTorch on a CUDA GPU")
    return pytest.importorskip(backend.name)


def skip_jax_on_a_cpu(backend):
    if backend.name == "jax" and "cpu" in str(backend.device).lower():
        pytest.skip(reason="JAX compiles for too long, and other tests compile steps on it")


#: Name: (function that returns a view of the first factor, shapes of both factors).
FACTORS = {
    "matrices": (lambda x, xp: x, (64, 96), (96, 32)),
    "transposed": (lambda x, xp: x.T, (64, 96), (64, 8)),
    "every other column": (lambda x, xp: x[:, ::2], (64, 96), (48, 8)),
    "backwards": (lambda x, xp: xp.flip(x, axis=0), (64, 96), (96, 8)),
    "one row": (lambda x, xp: x[3:4, :], (64, 96), (96, 1)),
    "one column": (lambda x, xp: x[:, 5:6], (64, 96), (1, 9)),
    "a part": (lambda x, xp: x[2:40, 3:70], (64, 96), (67, 5)),
    "a column transposed": (lambda x, xp: x[:, :1].T, (64, 96), (64, 1)),
    "repeated": (lambda x, xp: xp.broadcast_to(x, (64, 96)), (96,), (96, 4)),
    "stack by matrix": (lambda x, xp: x, (5, 6, 7), (7, 3)),
    "matrix by stack": (lambda x, xp: x, (6, 7), (5, 7, 3)),
    "stacks": (lambda x, xp: x, (5, 6, 7), (5, 7, 3)),
    "transposed stack": (lambda x, xp: x.mT, (5, 6, 7), (5, 6, 2)),
    "broadcast stacks": (lambda x, xp: x, (3, 1, 6, 7), (5, 7, 2)),
    "many": (lambda x, xp: x, (70_000, 2, 3), (70_000, 3, 2)),
    "long": (lambda x, xp: x, (200_000, 3), (3, 2)),
    "no columns": (lambda x, xp: x, (3, 0), (0, 4)),
    "no rows": (lambda x, xp: x, (0, 3), (3, 2)),
    "vector by matrix": (lambda x, xp: x, (4,), (4, 2)),
    "vectors": (lambda x, xp: x, (400,), (400,)),
}


@pytest.mark.parametrize("name", FACTORS)
def test_matmul_of_every_layout(backend, name):
    """The tolerance fails a GPU that rounds the factors to ten bits."""
    view, shape, other = FACTORS[name]
    x, y = factor(*shape), factor(*other, seed=1)

    def multiply(x, y):
        xp = array_namespace(x)
        return xp.matmul(view(x, xp), y)

    asarray = anynet.get_backend("numpy").asarray
    expected = multiply(asarray(x.astype("float64")), asarray(y.astype("float64")))
    for f in (multiply, anynet.compile(multiply)):
        for _ in range(3):
            product = host(f(backend.asarray(x), backend.asarray(y)))
        assert product.dtype == np.float32
        np.testing.assert_allclose(product, expected, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("shape", [(300_000, 3), (3, 300_000), (1, 7), (100_000, 49)])
def test_gradient_of_a_bias_over_many_rows(backend, shape):
    rows, columns = shape
    g = np.random.default_rng(0).random(shape, dtype="float32")
    x = backend.asarray(np.ones((rows, 1), "float32"))
    weight = backend.asarray(np.ones((1, columns), "float32"))
    bias = backend.asarray(np.ones(columns, "float32"))

    def loss(bias, g):
        return array_namespace(g).sum(primitives.affine(x, weight, bias) * g)

    gradient = anynet.grad(loss)(bias, backend.asarray(g))
    np.testing.assert_allclose(host(gradient), g.sum(axis=0, dtype="float64"), rtol=1e-4)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("classes", [10, 200, 300])
def test_labels_of_every_integer_dtype(backend, dtype, classes):
    """There are more classes than values of 8 bits."""
    logits, labels = factor(4, classes), np.array([0, 5, 7, 9])
    sums = np.exp(logits.astype("float64")).sum(axis=1)
    expected = np.mean(np.log(sums) - logits[range(4), labels])
    loss = losses.cross_entropy(backend.asarray(logits), backend.asarray(labels.astype(dtype)))
    np.testing.assert_allclose(host(loss), expected, rtol=1e-4)


@pytest.mark.parametrize("label", [-1, 10, 2**31 - 1])
def test_label_out_of_range_raises_or_gives_nan(backend, label):
    logits = backend.asarray(np.zeros((3, 10), "float32"))
    labels = backend.asarray(np.array([1, label, 2]))
    if checks_labels(backend):
        with pytest.raises(DataError):
            primitives.softmax_cross_entropy(logits, labels)
    else:
        assert np.isnan(host(primitives.softmax_cross_entropy(logits, labels)[0]))


POOLING = [
    {"kernel": (2, 2), "stride": (1, 1), "padding": ((0, 0), (0, 0))},
    {"kernel": (3, 2), "stride": (2, 2), "padding": ((1, 1), (1, 0))},
]


@pytest.mark.parametrize(
    "f", [primitives.relu, *(partial(primitives.max_pool2d, **settings) for settings in POOLING)]
)
def test_signed_zeros_infinities_nan_and_ties_agree_with_numpy(backend, f):
    rows = [[-2, -0.0, 0, 3], [np.nan, np.inf, -np.inf, 1], [5, 5, 5, 5], [1, 2, 2, 1]]
    x = np.array(rows, "float32")[None, None]
    np.testing.assert_array_equal(host(f(backend.asarray(x))), f(x))
    finite = np.nan_to_num(x, nan=7, posinf=9, neginf=-9)
    gradient = anynet.grad(lambda x: array_namespace(x).sum(f(x) * f(x)))
    np.testing.assert_allclose(host(gradient(backend.asarray(finite))), gradient(finite))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_gradients_add_up_at_repeated_indices(backend, dtype):
    """A GPU adds them in any order."""
    table = factor(7, 5).astype(dtype)
    indices = np.random.default_rng(0).integers(0, 3, 2000)

    def loss(x, i):
        xp = array_namespace(x)
        squares = xp.take(x, i, axis=0) ** 2
        return xp.sum(xp.real(squares) if "complex" in dtype else squares)

    counts = np.bincount(indices, minlength=7)[:, None]
    gradient = host(anynet.grad(loss)(backend.asarray(table), backend.asarray(indices)))
    np.testing.assert_allclose(gradient, 2 * counts * np.conj(table), rtol=1e-4)


OPTIMIZERS = [
    lambda: optimizers.SGD(lambda n: 0.1 / (n + 1)),
    lambda: optimizers.Momentum(0.05, nesterov=True),
    lambda: optimizers.AdamW(lambda n: 0.01 / (n + 1)),
]


@pytest.mark.parametrize("make", [dense, convolutional])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_compiled_step_agrees_with_the_step(backend, make, optimizer):
    """Later calls do not change the losses and parameters of earlier calls."""
    skip_jax_on_a_cpu(backend)
    x, t = data(backend, make)
    eager_net, net = make(backend), make(backend)
    eager_optimizer, optimizer_ = optimizer(), optimizer()
    step = anynet.compile(STEP)
    earlier = []
    for i in range(5):
        batch = x[12 * i : 12 * i + 12, ...], t[12 * i : 12 * i + 12]
        expected = STEP(eager_net, eager_optimizer, *batch)
        loss = step(net, optimizer_, *batch)
        np.testing.assert_allclose(host(loss), host(expected), rtol=1e-3)
        arrays = loss, *net.parameters().values()
        earlier += [(array, host(array).copy()) for array in arrays]
    assert optimizer_.updates == 5
    for path, parameter in eager_net.parameters().items():
        np.testing.assert_allclose(host(net[path]), host(parameter), rtol=1e-2, atol=1e-4)
    for array, values in earlier:
        np.testing.assert_array_equal(host(array), values)


def test_compiled_fit_agrees_with_fit(backend):
    skip_jax_on_a_cpu(backend)
    x, t = data(backend, dense, 105)
    losses_ = []
    for compiled in (False, True):
        optimizer = optimizers.Adam(lambda update: 0.01 * 0.99**update)
        history = anynet.fit(
            dense(backend),
            (x, t),
            optimizer=optimizer,
            epochs=3,
            batch_size=10,
            compile=compiled,
            progress=False,
        )
        assert optimizer.updates == 33
        losses_.append(history.losses)
    np.testing.assert_allclose(*losses_, rtol=2e-2)


def test_compiled_step_on_two_streams(backend):
    library = library_of_gpu(backend)
    if backend.name == "cupy":
        second_stream = library.cuda.Stream(non_blocking=True)
        wait = library.cuda.Device().synchronize
    else:
        second_stream = library.cuda.stream(library.cuda.Stream())
        wait = library.cuda.synchronize
    x, t = data(backend, dense)
    optimizer, step = optimizers.SGD(0.1), anynet.compile(STEP)
    eager_net, net, other_net = dense(backend), dense(backend), dense(backend)
    for _ in range(20):
        STEP(eager_net, optimizer, x, t)
    step(net, optimizer, x, t)
    step(net, optimizer, x, t)
    wait()
    for _ in range(18):
        with second_stream:
            step(other_net, optimizer, x, t)
        step(net, optimizer, x, t)
    wait()
    for path, parameter in eager_net.parameters().items():
        np.testing.assert_allclose(host(net[path]), host(parameter), rtol=1e-3, atol=1e-5)


def test_recordings_of_old_shapes_free_their_memory(backend):
    library = library_of_gpu(backend)
    info = library.cuda.runtime.memGetInfo if backend.name == "cupy" else library.cuda.mem_get_info
    x, t = data(backend, dense, 220)
    net, optimizer, step = dense(backend), optimizers.SGD(0.1), anynet.compile(STEP)
    free = []
    for size in range(100, 220):
        for _ in range(3):
            step(net, optimizer, x[:size, :], t[:size])
        if size in (139, 219):
            backend.synchronize()
            free.append(info()[0])
    assert (free[0] - free[1]) / 80 < 1 << 20


def test_failed_capture_does_not_affect_later_captures(backend):
    library = library_of_gpu(backend)

    def identity_that_waits(x):
        return x * 1 if float(array_namespace(x).max(x)) > -1e9 else x

    wait = anynet.custom_vjp(identity_that_waits, lambda g, out, x: g)

    def step(net, optimizer, x, t):
        loss = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(wait(net(x)), t))
        value, gradients = loss(net, x, t)
        optimizer.update(net, gradients)
        return value

    x, t = data(backend, dense)
    net, optimizer = dense(backend), optimizers.SGD(0.1)
    waiting = anynet.compile(step)
    with warnings.catch_warnings(), contextlib.suppress(CompilationError):
        warnings.simplefilter("ignore")
        for _ in range(4):
            waiting(net, optimizer, x, t)
    if backend.name == "torch":
        assert library.cuda.current_stream() == library.cuda.default_stream()
    captured = anynet.compile(STEP)
    for _ in range(4):
        captured(net, optimizer, x, t)
