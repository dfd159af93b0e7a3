"""Pooling beside a loop over windows: kernels and references, in every kind of window."""

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import primitives
from anynet.array import array_namespace
from anynet.errors import ShapeError

WINDOWS = {
    "side by side": {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))},
    "apart": {"kernel": (2, 1), "stride": (3, 2), "padding": ((0, 0), (0, 0))},
    "overlapping": {"kernel": (3, 2), "stride": (1, 1), "padding": ((0, 0), (0, 0))},
    "padded": {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))},
    "padded unevenly": {"kernel": (2, 3), "stride": (2, 1), "padding": ((1, 0), (0, 2))},
}


def windows_of(x, fill, *, kernel, stride, padding):
    """Yield the position of each window in the output, and its rows and columns in the images."""
    padded = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=fill)
    height, width = ((padded.shape[2 + i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
    for i, j in np.ndindex(height, width):
        top, left = i * stride[0], j * stride[1]
        rows, columns = slice(top, top + kernel[0]), slice(left, left + kernel[1])
        yield (i, j), (rows, columns), padded[:, :, rows, columns]


def pooled(x, reduce, fill, **window):
    """Return the value of every window."""
    values = {
        position: reduce(seen, axis=(2, 3)) for position, _, seen in windows_of(x, fill, **window)
    }
    height, width = (1 + n for n in max(values))
    out = np.empty((*x.shape[:2], height, width))
    for (i, j), value in values.items():
        out[:, :, i, j] = value
    return out


def gradient_of_largest(g, x, **window):
    """Return images with each element of g where the largest element of its window is first."""
    (top, bottom), (left, right) = window["padding"]
    out = np.zeros((*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right))
    for (i, j), (rows, columns), seen in windows_of(x, -np.inf, **window):
        for n, c in np.ndindex(*x.shape[:2]):
            down, across = np.unravel_index(seen[n, c].argmax(), seen.shape[2:])
            out[n, c, rows, columns][down, across] += g[n, c, i, j]
    return out[:, :, top : top + x.shape[2], left : left + x.shape[3]]


def images(backend, dtype="float64"):
    return normal(backend, 2, 3, 6, 7, dtype=dtype)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(implementation, backend, dtype, window):
    x = images(backend, dtype)
    largest = pooled(host(x), np.max, -np.inf, **window)
    assert_close(primitives.max_pool2d(x, **window), largest, like=x)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    means = pooled(host(x), np.mean, 0, **window)
    assert_close(primitives.avg_pool2d(x, **window), means, like=x, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_gradient_goes_to_the_largest(implementation, backend, window):
    x = images(backend)
    y = primitives.max_pool2d(x, **window)
    g = normal(backend, *y.shape, seed=1)
    found = anynet.grad(lambda x: array_namespace(x).sum(primitives.max_pool2d(x, **window) * g))(x)
    assert_close(found, gradient_of_largest(host(g), host(x), **window), like=x, rtol=1e-12)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_gradient_is_the_same_without_residuals(implementation, backend, window):
    x = images(backend)
    largest, *residuals = primitives.max_pool2d_with_residuals(x, **window)
    assert_close(largest, host(primitives.max_pool2d(x, **window)), like=x)
    g = normal(backend, *largest.shape, seed=1)
    wanted = gradient_of_largest(host(g), host(x), **window)
    for results in ([largest], [largest, *residuals]):
        gradient = primitives.max_pool2d_gradient(g, x, *results, **window)
        assert_close(gradient, wanted, like=x, rtol=1e-12)


@pytest.mark.parametrize("window", ["side by side", "padded"])
@pytest.mark.parametrize("name", ["max_pool2d", "max_pool2d_with_residuals"])
def test_gradients_of_many_batches_at_once(implementation, backend, name, window):
    window = WINDOWS[window]
    x = normal(backend, 2, 2, 3, 6, 7)
    pool = getattr(primitives, name)
    first = lambda out: out if name == "max_pool2d" else out[0]
    f = lambda x: array_namespace(x).sum(first(pool(x, **window)) ** 2)
    gradients = anynet.vmap(anynet.grad(f))(x)
    for i in range(2):
        assert_close(gradients[i, ...], host(anynet.grad(f)(x[i, ...])), like=x[i, ...])
    # Here the tape is outside, and the batches are merged before the gradient.
    total = lambda x: array_namespace(x).sum(anynet.vmap(f)(x))
    assert_close(anynet.grad(total)(x), host(gradients), like=x)


@pytest.mark.parametrize("settings", [{"kernel_size": 2}, {"kernel_size": 3, "padding": 1}])
def test_gradients_of_the_layer(backend, settings):
    x = images(backend)
    pool = anynet.layers.MaxPool2d(**settings)
    f = lambda x: array_namespace(x).sum(pool(x) ** 3)
    assert anynet.check_gradients(f, x)
    assert anynet.check_gradients(lambda x: array_namespace(x).sum(anynet.grad(f)(x) ** 2), x)


@pytest.mark.parametrize("settings", [{"kernel_size": 2}, {"kernel_size": 3, "padding": 1}])
def test_compiled_gradient_of_the_layer(backend, settings):
    x = images(backend)
    pool = anynet.layers.MaxPool2d(**settings)
    gradient = anynet.grad(lambda x: array_namespace(x).sum(pool(x) ** 2))
    step = anynet.compile(gradient)
    for scale in (1, -1, 2):
        assert_close(step(scale * x), host(gradient(scale * x)), like=x)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_first_of_equal_elements_is_the_largest(implementation, backend, window):
    x = backend.asarray(np.random.default_rng(0).integers(0, 2, (2, 3, 6, 7)).astype("float64"))
    y = primitives.max_pool2d(x, **window)
    found = primitives.max_pool2d_gradient(1 + 0 * y, x, y, **window)
    ones = np.ones(y.shape)
    assert_close(found, gradient_of_largest(ones, host(x), **window), like=x)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_derivatives(implementation, backend, name, window):
    x = images(backend)
    pool = getattr(primitives, name)
    f = lambda x: array_namespace(x).sum(pool(x, **window) ** 3)
    assert anynet.check_gradients(f, x)
    assert anynet.check_gradients(lambda x: array_namespace(x).sum(anynet.grad(f)(x) ** 2), x)


def test_nan_is_the_largest(implementation, backend):
    x = np.zeros((1, 1, 2, 4))
    x[0, 0, 1, 0] = np.nan
    x[0, 0, :, 2:] = -np.inf
    y = primitives.max_pool2d(backend.asarray(x), **WINDOWS["side by side"])
    assert_close(y, [[[[np.nan, -np.inf]]]])


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_error_for_a_window_larger_than_the_image(implementation, backend, name):
    window = {"kernel": (8, 2), "stride": (1, 1), "padding": ((0, 0), (0, 0))}
    with pytest.raises(ShapeError):
        getattr(primitives, name)(images(backend), **window)
