"""Functions, layers, losses, optimizers and training in float16 and bfloat16."""

from functools import partial

import numpy as np
import pytest
from dtypes import (
    FLOATS,
    INTEGERS,
    assert_near,
    known,
    make_array,
    only_a_sample_on_jax,
    precise,
    weighted_sum,
)
from helpers import host

import anynet
from anynet import functions, initializers, layers, losses, optimizers, random
from anynet.array import array_namespace
from anynet.backend import get_backend
from anynet.data import Loader
from anynet.data.augment import random_affine

#: More than 65,504, the largest value of float16.
MANY = 70_000

BOTH = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])


def skip_without(backend, dtype):
    if not known(backend, [dtype]):
        pytest.skip(reason=f"{backend.name} has no {dtype}")


def half_precision(backend):
    """Return a function that makes arrays of float16."""
    skip_without(backend, "float16")
    return lambda values: make_array(backend, values, "float16")


@pytest.mark.parametrize("name", ["mean", "var", "std", "max"])
def test_gradients_over_more_than_65504_elements(backend, name):
    half = half_precision(backend)
    x = np.zeros(MANY) if name in ("mean", "max") else np.tile([0.5, -0.5], MANY // 2)
    slope = anynet.grad(lambda x: getattr(array_namespace(x), name)(x))
    expected = precise(slope(backend.asarray(x)))
    assert np.abs(expected).max() > 1e-5
    assert_near(slope(half(x)), expected, "float16")


def take_one_row(xp, x):
    first = xp.zeros(5000, dtype=xp.int32, device=x.device)
    return xp.sum(xp.take(x, first, axis=0)) * 0.5


def norm_of_equal_elements(xp, x):
    return xp.linalg.vector_norm(xp.tile(x[:1] * 0 + 2, (70_000,)))


SUMS = {
    "cumulative_sum": lambda xp, x: xp.sum(xp.cumulative_sum(x) / 5000),
    "repeat": lambda xp, x: xp.sum(xp.repeat(x[:2], 5000)) * 0.5,
    "std": lambda xp, x: xp.std(x),
    "take": take_one_row,
    "vector_norm": lambda xp, x: xp.linalg.vector_norm(300 * x),
    "vector_norm of equal elements": norm_of_equal_elements,
}
#: Their elements are near 1, so that the products stay in range.
PRODUCTS = {
    "cumulative_prod": lambda xp, x: xp.mean(xp.cumulative_prod(x)),
    "prod": lambda xp, x: xp.prod(x),
}


@BOTH
@pytest.mark.parametrize("name", [*SUMS, *PRODUCTS])
def test_functions_of_many_elements(backend, name, dtype):
    """Values and gradients are those of float64 up to rounding."""
    skip_without(backend, dtype)
    only_a_sample_on_jax(backend, name)
    values = np.random.default_rng(0).normal(size=5000)
    function, smallest = SUMS.get(name), FLOATS[dtype]
    if name in PRODUCTS:
        function, smallest = PRODUCTS[name], 0
        values = 1 + 1e-3 * values
    x = make_array(backend, values, dtype)
    value_and_grad = anynet.value_and_grad(lambda x: function(array_namespace(x), x))
    results = value_and_grad(x)
    expected = map(precise, value_and_grad(backend.xp.astype(x, backend.xp.float64)))
    for y, exact in zip(map(precise, results), expected, strict=True):
        tolerance = 2 * FLOATS[dtype] * np.abs(exact).max()
        np.testing.assert_allclose(y, exact, rtol=0, atol=max(tolerance, smallest))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_take_by_indices_of_all_integer_dtypes(backend, dtype):
    """An array of 8 bits is not a mask, and may be shorter than the axis."""
    only_a_sample_on_jax(backend, dtype)
    table = np.arange(600.0).reshape(300, 2)
    indices = make_array(backend, [1, 0, 100], dtype)

    def sum_of_squares(x):
        xp = array_namespace(x)
        return xp.sum(xp.take(x, indices, axis=0) ** 2)

    value, g = anynet.value_and_grad(sum_of_squares)(backend.asarray(table))
    rows = table[[1, 0, 100]]
    assert host(value) == (rows**2).sum()
    expected = np.zeros((300, 2))
    expected[[1, 0, 100]] = 2 * rows
    np.testing.assert_array_equal(host(g), expected)


def test_losses_over_more_than_65504_rows(backend):
    half = half_precision(backend)
    x, t = np.zeros((MANY, 2)), backend.asarray(np.zeros(MANY, "int32"))
    functions_ = [
        losses.cross_entropy,
        losses.hinge,
        losses.sum_of_squares,
        partial(losses.cross_entropy, label_smoothing=0.1),
        lambda x, t: losses.mean_squared_error(x, array_namespace(x).ones_like(x)),
    ]
    for loss in functions_[:1] if backend.name == "jax" else functions_:
        value, g = anynet.value_and_grad(loss)(half(x), t)
        expected, slope = anynet.value_and_grad(loss)(backend.asarray(x), t)
        assert_near(value, precise(expected), "float16")
        assert_near(g, precise(slope), "float16")


@pytest.mark.parametrize("function", [functions.softmax, functions.log_softmax])
def test_softmax_of_many_classes(backend, function):
    half = half_precision(backend)
    value = 1 / MANY if function is functions.softmax else -np.log(MANY)
    assert_near(function(half(np.zeros(MANY))), np.full(MANY, value), "float16")


def test_gradient_of_a_bias_sums_many_elements(backend):
    half = half_precision(backend)
    x = half(np.ones((10_000, 3)))
    of_bias = anynet.grad(lambda b: array_namespace(b).sum(x + b) * 1.0)
    assert_near(of_bias(half(np.zeros(3))), [10_000] * 3, "float16")
    net = layers.Conv2d(1, 2, 1).initialize(0, backend, backend.xp.float16)
    images = half(np.ones((1, 1, 100, 100)))
    of_conv = anynet.grad(lambda net: array_namespace(net.bias).sum(net(images)))(net)
    assert_near(of_conv.bias, [10_000] * 2, "float16")


@pytest.mark.parametrize("pool", [layers.GlobalAvgPool2d(), layers.AvgPool2d(100)])
def test_average_of_many_pixels(backend, pool):
    half = half_precision(backend)
    assert precise(pool(half(np.full((1, 1, 100, 100), 2.0)))).reshape(()) == 2


NORMS = {
    "BatchNorm": lambda: layers.BatchNorm(4),
    "LayerNorm": lambda: layers.LayerNorm(4),
    "RMSNorm": lambda: layers.RMSNorm(4),
    "GroupNorm": lambda: layers.GroupNorm(1, 4),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_values_whose_squares_overflow(backend, name):
    """Results are those of float64 up to rounding, and parameters and buffers keep their dtypes."""
    only_a_sample_on_jax(backend, name)
    half = half_precision(backend)
    values = np.random.default_rng(0).normal(size=(64, 4)) * 1000
    loss = anynet.grad(lambda net, x: 1024 * weighted_sum(net(x), backend), (0, 1))
    results = []
    for dtype in ("float16", "float64"):
        net = NORMS[name]().initialize(0, backend, getattr(backend.xp, dtype))
        before = dtypes_of(net)
        x = make_array(backend, precise(half(values)), dtype)
        y = net.map(lambda p: p).set_training(True)(x)
        _, g = loss(net, 4 * x)
        assert dtypes_of(net) == before
        results.append((y, g))
    for x, expected in zip(*results, strict=True):
        assert_near(x, precise(expected), "float16")


def dtypes_of(net):
    return {path: x.dtype for path, x in (net.parameters() | net.buffers()).items()}


@BOTH
@pytest.mark.parametrize(
    "name",
    "elu gelu hard_sigmoid leaky_relu mish relu selu sigmoid silu softplus".split(),
)
def test_activations_agree_with_torch(backend, name, dtype):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    skip_without(backend, dtype)
    x = make_array(backend, [-300, -40, -8, -3.25, -1, -1e-3, 0.25, 1, 3.25, 20, 60000], dtype)

    def total(x):
        xp = array_namespace(x)
        return xp.sum(xp.astype(getattr(functions, name)(x), xp.float32))

    inputs = torch.tensor(precise(x)).requires_grad_()
    theirs = "hardsigmoid" if name == "hard_sigmoid" else name
    expected = getattr(torch.nn.functional, theirs)(inputs)
    (slope,) = torch.autograd.grad(expected.sum(), inputs)
    tolerance = {"rtol": FLOATS[dtype], "atol": FLOATS[dtype] / 10}
    y, g = getattr(functions, name)(x), anynet.grad(total)(x)
    np.testing.assert_allclose(precise(y), expected.detach().numpy(), **tolerance)
    np.testing.assert_allclose(precise(g), slope.numpy(), **tolerance)


@BOTH
def test_erf_reaches_one(backend, dtype):
    skip_without(backend, dtype)
    assert precise(functions.erf(make_array(backend, [3.25], dtype))) == 1


def test_bfloat16_goes_to_the_host_and_to_other_libraries():
    """NumPy has no bfloat16. Its arrays are float32."""
    torch = pytest.importorskip("torch", reason="needs a library with bfloat16")
    x = torch.tensor([1.5, -2.25], dtype=torch.bfloat16)
    assert host(x).dtype == np.float32
    assert host(x).tolist() == [1.5, -2.25]
    assert get_backend("numpy").asarray(x).tolist() == [1.5, -2.25]
    pytest.importorskip("jax", reason="needs a second library with bfloat16")
    on_jax = get_backend("jax").asarray(x)
    assert str(on_jax.dtype) == "bfloat16"
    assert host(on_jax).dtype == np.float32
    assert get_backend("torch").asarray(on_jax).dtype == torch.bfloat16


OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(0.1),
    "Momentum": lambda: optimizers.Momentum(0.05),
    "Adam": lambda: optimizers.Adam(0.01),
    "AdamW": lambda: optimizers.AdamW(0.01),
}


def classes_of_images():
    """Return 40 images (1, 4, 6) and their classes, which shift the means of columns."""
    generator = np.random.default_rng(0)
    t = generator.integers(0, 3, 40)
    noise = generator.normal(size=(40, 1, 4, 6)) * 0.3
    return noise + np.eye(3)[t].repeat(2, axis=1)[:, None, None, :], t


def losses_of_training(backend, optimizer, dtype, compiled):
    """Train a small network and return the losses of its epochs."""
    net = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1),
        layers.BatchNorm(4),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Dropout(0.1),
        layers.Linear(24, 3),
        seed=0,
        backend=backend,
        dtype=getattr(backend.xp, dtype),
    )
    x, t = classes_of_images()
    data = make_array(backend, x, dtype), backend.asarray(t)
    history = anynet.fit(
        net,
        data,
        data,
        optimizer=optimizer,
        epochs=2,
        batch_size=20,
        compile=compiled,
        progress=False,
    )
    assert all(str(p.dtype).endswith(dtype) for p in net.parameters().values())
    assert str(net["layers.1.running_variance"].dtype).endswith("float32")
    return history.losses


@BOTH
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_agrees_with_float32(backend, name, dtype):
    """Parameters keep their dtype, and running statistics are float32."""
    skip_without(backend, dtype)
    if backend.name == "jax" and (name, dtype) != ("Adam", "bfloat16"):
        pytest.skip(reason="JAX compiles for too long; Adam in bfloat16 is tested")
    make = OPTIMIZERS[name]
    expected = losses_of_training(backend, make(), "float32", compiled=False)
    for compiled in [True] if backend.name == "jax" else [False, True]:
        values = losses_of_training(backend, make(), dtype, compiled)
        np.testing.assert_allclose(values, expected, rtol=0.05)


def test_adam_of_small_gradients(backend):
    """The squares of the gradients, and epsilon, are 0 in float16. Adam keeps them in float32."""
    half = half_precision(backend)
    net, optimizer = {"w": half(np.ones(3))}, optimizers.Adam(0.01)
    for _ in range(2):
        optimizer.update(net, {"w": half([1e-4, -1e-5, 0.0])})
    assert_near(net["w"], [0.98, 1.02, 1.0], "float16")


@BOTH
def test_uniform_samples_are_below_one(backend, dtype):
    skip_without(backend, dtype)
    own = getattr(backend.xp, dtype)
    # Among this many samples, rounding to nearest would give 1.
    samples = random.uniform(random.key(0, backend), (10_000,), own)
    assert samples.dtype == own
    assert precise(samples).max() < 1


@BOTH
@pytest.mark.parametrize(
    "initializer",
    [
        initializers.orthogonal(),
        initializers.truncated_normal(),
        initializers.xavier_uniform,
        initializers.uniform(),
    ],
)
def test_initializers_keep_the_dtype(backend, initializer, dtype):
    skip_without(backend, dtype)
    own = getattr(backend.xp, dtype)
    assert initializer(random.key(0, backend), (4, 4), own).dtype == own


@BOTH
def test_loader_and_augmentation_keep_the_dtype(backend, dtype):
    skip_without(backend, dtype)
    x = make_array(backend, np.ones((4, 1, 6, 6)), dtype)
    t = backend.asarray(np.zeros(4, "int32"))
    images, _ = next(iter(Loader(x, t, batch_size=2, augment=random_affine())))
    assert images.dtype == x.dtype
    assert images.shape == (2, 1, 6, 6)


@BOTH
def test_summary_of_a_network(backend, dtype):
    skip_without(backend, dtype)
    net = layers.Conv2d(1, 2, 3).initialize(0, backend, getattr(backend.xp, dtype))
    assert anynet.summary(net, (1, 6, 6)).outputs == ((1, 2, 4, 4),)
