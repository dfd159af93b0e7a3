"""What only a GPU shows: its own kernels and products, its streams, its memory, and what comes out
of a graph.

On a CPU the same tests are a rehearsal."""

import contextlib
import warnings

import numpy as np
import pytest
from helpers import checks_labels, host

import anynet
from anynet import layers, losses, optimizers, primitives
from anynet.array import array_namespace
from anynet.errors import DataError
from anynet.training import training_step
from anynet.training.fit import fit

pytestmark = pytest.mark.gpu

STEP = training_step(losses.cross_entropy)


def factor(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def dense(backend):
    return layers.Sequential(
        layers.Linear(20, 8),
        layers.ReLU(),
        layers.Linear(8, 5),
        seed=0,
        backend=backend,
    )


def convolutional(backend):
    # A bias would have no gradient but rounding errors, which Adam makes large.
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
    """Return the module of the library, where it has streams; skip elsewhere."""
    on_cuda = backend.name == "cupy" or (backend.name == "torch" and backend.device.type == "cuda")
    if not on_cuda:
        pytest.skip(reason="needs CuPy or PyTorch on a GPU of CUDA's")
    return pytest.importorskip(backend.name)


def not_on_jax_on_a_cpu(backend):
    if backend.name == "jax" and "cpu" in str(backend.device).lower():
        pytest.skip(reason="JAX compiles for too long, and other tests compile steps on it")


FACTORS = {
    "matrices": (lambda x, xp: x, (64, 96), (96, 32)),
    "turned": (lambda x, xp: x.T, (64, 96), (64, 8)),
    "every other column": (lambda x, xp: x[:, ::2], (64, 96), (48, 8)),
    "backwards": (lambda x, xp: xp.flip(x, axis=0), (64, 96), (96, 8)),
    "one row": (lambda x, xp: x[3:4, :], (64, 96), (96, 1)),
    "one column": (lambda x, xp: x[:, 5:6], (64, 96), (1, 9)),
    "a part": (lambda x, xp: x[2:40, 3:70], (64, 96), (67, 5)),
    "a column turned": (lambda x, xp: x[:, :1].T, (64, 96), (64, 1)),
    "repeated": (
        lambda x, xp: xp.broadcast_to(x, (64, 96)),
        (96,),
        (96, 4),
    ),
    "stack by matrix": (lambda x, xp: x, (5, 6, 7), (7, 3)),
    "matrix by stack": (lambda x, xp: x, (6, 7), (5, 7, 3)),
    "stacks": (lambda x, xp: x, (5, 6, 7), (5, 7, 3)),
    "turned stack": (lambda x, xp: x.mT, (5, 6, 7), (5, 6, 2)),
    "broadcast stacks": (lambda x, xp: x, (3, 1, 6, 7), (5, 7, 2)),
    "many": (lambda x, xp: x, (70_000, 2, 3), (70_000, 3, 2)),
    "long": (lambda x, xp: x, (200_000, 3), (3, 2)),
    "nothing in between": (lambda x, xp: x, (3, 0), (0, 4)),
    "no rows": (lambda x, xp: x, (0, 3), (3, 2)),
    "vector by matrix": (lambda x, xp: x, (4,), (4, 2)),
    "vectors": (lambda x, xp: x, (400,), (400,)),
}


@pytest.mark.parametrize("name", FACTORS)
def test_products(backend, name):
    """Of every layout and size; the factors are not to be rounded to ten bits, as a GPU may."""
    view, shape, other = FACTORS[name]
    x, y = factor(*shape), factor(*other, seed=1)

    def multiply(x, y):
        xp = array_namespace(x)
        return xp.matmul(view(x, xp), y)

    wanted = multiply(*(anynet.get_backend("numpy").asarray(z.astype("float64")) for z in (x, y)))
    for f in (multiply, anynet.compile(multiply)):
        for _ in range(3):
            found = host(f(backend.asarray(x), backend.asarray(y)))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("shape", [(300_000, 3), (3, 300_000), (1, 7), (100_000, 49)])
def test_sums_of_many(backend, shape):
    g = np.random.default_rng(0).random(shape, dtype="float32")
    x, weight, bias = (
        backend.asarray(np.ones(n, "float32")) for n in ((shape[0], 1), (1, shape[1]), shape[1:])
    )

    def loss(bias, g):
        return array_namespace(g).sum(primitives.affine(x, weight, bias) * g)

    found = anynet.grad(loss)(bias, backend.asarray(g))
    np.testing.assert_allclose(host(found), g.sum(axis=0, dtype="float64"), rtol=1e-4)


@pytest.mark.parametrize(
    "kind",
    [
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
    ],
)
@pytest.mark.parametrize("classes", [10, 200, 300])
def test_labels_of_every_integer(backend, kind, classes):
    """8 bits do not count the classes."""
    logits, labels = factor(4, classes), np.array([0, 5, 7, 9])
    e = np.exp(logits.astype("float64"))
    wanted = np.mean(np.log(e.sum(axis=1)) - logits[range(4), labels])
    found = losses.cross_entropy(backend.asarray(logits), backend.asarray(labels.astype(kind)))
    np.testing.assert_allclose(host(found), wanted, rtol=1e-4)


@pytest.mark.parametrize("label", [-1, 10, 2**31 - 1])
def test_a_label_that_is_no_class(backend, label):
    logits, labels = (
        backend.asarray(np.zeros((3, 10), "float32")),
        backend.asarray(np.array([1, label, 2])),
    )
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
    "f",
    [
        primitives.relu,
        *(lambda x, s=s: primitives.max_pool2d(x, **s) for s in POOLING),
    ],
)
def test_signed_zeros_infinities_nan_and_ties(backend, f):
    x = np.array(
        [
            [-2, -0.0, 0, 3],
            [np.nan, np.inf, -np.inf, 1],
            [5, 5, 5, 5],
            [1, 2, 2, 1],
        ],
        "float32",
    )[None, None]
    np.testing.assert_array_equal(host(f(backend.asarray(x))), f(x))
    finite = np.nan_to_num(x, nan=7, posinf=9, neginf=-9)
    gradient = anynet.grad(lambda x: array_namespace(x).sum(f(x) * f(x)))
    np.testing.assert_allclose(host(gradient(backend.asarray(finite))), gradient(finite))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_gradients_that_are_added_at_indices(backend, dtype):
    """Many at one index: on a GPU in any order."""
    table, indices = (
        factor(7, 5).astype(dtype),
        np.random.default_rng(0).integers(0, 3, (40, 50)),
    )

    def loss(x, i):
        xp = array_namespace(x)
        taken = xp.take(x, xp.reshape(i, (-1,)), axis=0)
        return xp.sum(xp.real(taken * taken)) if "complex" in dtype else xp.sum(taken * taken)

    counts = np.bincount(indices.reshape(-1), minlength=7)[:, None]
    found = host(anynet.grad(loss)(backend.asarray(table), backend.asarray(indices)))
    np.testing.assert_allclose(found, 2 * counts * np.conj(table), rtol=1e-4)


OPTIMIZERS = [
    lambda: optimizers.SGD(lambda n: 0.1 / (n + 1)),
    lambda: optimizers.Momentum(0.05, nesterov=True),
    lambda: optimizers.AdamW(lambda n: 0.01 / (n + 1)),
]


@pytest.mark.parametrize("make", [dense, convolutional])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_compiled_step_is_the_plain_one(backend, make, optimizer):
    """What it returned and replaced on the way stays as it was."""
    not_on_jax_on_a_cpu(backend)
    x, t = data(backend, make)
    plain, compiled, kept = make(backend), make(backend), []
    first, second, step = optimizer(), optimizer(), anynet.compile(STEP)
    for i in range(5):
        batch = x[12 * i : 12 * i + 12, ...], t[12 * i : 12 * i + 12]
        wanted = STEP(plain, first, *batch)
        loss = step(compiled, second, *batch)
        np.testing.assert_allclose(host(loss), host(wanted), rtol=1e-3)
        kept += [(array, host(array).copy()) for array in (loss, *compiled.parameters().values())]
    assert second.updates == 5
    for path, parameter in plain.parameters().items():
        np.testing.assert_allclose(host(compiled[path]), host(parameter), rtol=1e-2, atol=1e-4)
    for array, values in kept:
        np.testing.assert_array_equal(host(array), values)


def test_training_compiled_is_training(backend):
    not_on_jax_on_a_cpu(backend)
    x, t = data(backend, dense, 105)
    found = []
    for compiled in (False, True):
        optimizer = optimizers.Adam(lambda update: 0.01 * 0.99**update)
        settings = {
            "loss": losses.cross_entropy,
            "optimizer": optimizer,
            "epochs": 3,
            "batch_size": 10,
        }
        history = fit(
            dense(backend),
            (x, t),
            compile=compiled,
            progress=False,
            **settings,
        )
        found.append((history.losses, optimizer.updates))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=2e-2)
    assert found[0][1] == found[1][1] == 33


def test_a_step_on_two_streams(backend):
    library = library_of_gpu(backend)
    if backend.name == "cupy":
        beside, wait = (
            library.cuda.Stream(non_blocking=True),
            library.cuda.Device().synchronize,
        )
    else:
        beside, wait = (
            library.cuda.stream(library.cuda.Stream()),
            library.cuda.synchronize,
        )
    x, t = data(backend, dense)
    optimizer, step = optimizers.SGD(0.1), anynet.compile(STEP)
    wanted, *nets = (dense(backend) for _ in range(3))
    for _ in range(20):
        STEP(wanted, optimizer, x, t)
    step(nets[0], optimizer, x, t)
    step(nets[0], optimizer, x, t)
    wait()
    for _ in range(18):
        with beside:
            step(nets[1], optimizer, x, t)
        step(nets[0], optimizer, x, t)
    wait()
    for path, parameter in wanted.parameters().items():
        np.testing.assert_allclose(host(nets[0][path]), host(parameter), rtol=1e-3, atol=1e-5)


def test_memory_of_graphs(backend):
    """As many recordings are kept as are used, and not all that ever were made."""
    library = library_of_gpu(backend)
    free = library.cuda.runtime.memGetInfo if backend.name == "cupy" else library.cuda.mem_get_info
    x, t = data(backend, dense, 220)
    net, optimizer, step, left = (
        dense(backend),
        optimizers.SGD(0.1),
        anynet.compile(STEP),
        [],
    )
    for size in range(100, 220):
        for _ in range(3):
            step(net, optimizer, x[:size, :], t[:size])
        if size in (139, 219):
            backend.synchronize()
            left.append(free()[0])
    assert (left[0] - left[1]) / 80 < 1 << 20


def test_a_step_that_cannot_be_captured_leaves_nothing_behind(backend):
    """Neither its stream, nor anything that later captures meet."""
    library = library_of_gpu(backend)

    def waits(x):
        return x * 1 if float(array_namespace(x).max(x)) > -1e9 else x

    peek = anynet.custom_vjp(waits, lambda g, out, x: g)

    def step(net, optimizer, x, t):
        loss = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(peek(net(x)), t))
        value, gradients = loss(net, x, t)
        optimizer.update(net, gradients)
        return value

    x, t = data(backend, dense)
    net, optimizer, refused = (
        dense(backend),
        optimizers.SGD(0.1),
        anynet.compile(step),
    )
    with (
        warnings.catch_warnings(),
        contextlib.suppress(anynet.errors.CompilationError),
    ):
        warnings.simplefilter("ignore")
        for _ in range(4):
            refused(net, optimizer, x, t)
    if backend.name == "torch":
        assert library.cuda.current_stream() == library.cuda.default_stream()
    good = anynet.compile(STEP)
    for _ in range(4):
        good(net, optimizer, x, t)
