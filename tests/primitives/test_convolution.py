"""Convolutions beside a loop over the kernel: strides, padding, dilation and groups."""

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import primitives
from anynet.array import array_namespace
from anynet.errors import ShapeError

PLAIN = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
CONVOLUTIONS = {
    "plain": PLAIN,
    "strided": PLAIN | {"stride": (2, 3)},
    "padded": PLAIN | {"padding": ((1, 1), (2, 2))},
    "padded unevenly": PLAIN | {"padding": ((2, 0), (0, 1))},
    "dilated": PLAIN | {"dilation": (2, 1)},
    "in groups": PLAIN | {"groups": 2},
    "all": {"stride": (2, 1), "padding": ((1, 2), (0, 1)), "dilation": (1, 2), "groups": 2},
}


def convolved(x, weight, bias, *, stride, padding, dilation, groups):
    """Add up the products of each element of the kernel."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    kernel = weight.shape[2:]
    height, width = (
        (x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    )
    out = np.zeros((x.shape[0], weight.shape[0], height, width))
    channels, features = x.shape[1] // groups, weight.shape[0] // groups
    for group in range(groups):
        taken = slice(group * channels, (group + 1) * channels)
        given = slice(group * features, (group + 1) * features)
        for i, j in np.ndindex(*kernel):
            rows = slice(i * dilation[0], i * dilation[0] + (height - 1) * stride[0] + 1, stride[0])
            columns = slice(
                j * dilation[1], j * dilation[1] + (width - 1) * stride[1] + 1, stride[1]
            )
            seen = x[:, taken, rows, columns]
            out[:, given] += np.einsum("nchw,fc->nfhw", seen, weight[given, :, i, j])
    return out if bias is None else out + bias[:, None, None]


def arguments(backend, groups, dtype="float64"):
    x = normal(backend, 2, 4, 7, 8, dtype=dtype)
    weight = normal(backend, 6, 4 // groups, 3, 2, seed=1, dtype=dtype)
    return x, weight, normal(backend, 6, seed=2, dtype=dtype)


@pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(implementation, backend, dtype, settings):
    x, weight, bias = arguments(backend, settings["groups"], dtype)
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    for given in (bias, None):
        plain = None if given is None else host(given)
        expected = convolved(host(x), host(weight), plain, **settings)
        y = primitives.conv2d(x, weight, given, **settings)
        assert_close(y, expected, like=x, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_gradients_are_transposed_products(implementation, backend, settings):
    """A convolution is linear in images and in weights: <g, conv(x, w)> = <x, gx> = <w, gw>."""
    x, weight, _ = arguments(backend, settings["groups"])
    y = primitives.conv2d(x, weight, None, **settings)
    g = normal(backend, *y.shape, seed=3)
    product = np.vdot(host(g), host(y))
    of_x = primitives.conv2d_input_gradient(g, weight, tuple(x.shape[2:]), **settings)
    of_weight = primitives.conv2d_weight_gradient(g, x, tuple(weight.shape[2:]), **settings)
    assert of_x.shape == x.shape
    assert of_weight.shape == weight.shape
    assert np.vdot(host(x), host(of_x)) == pytest.approx(product, rel=1e-9)
    assert np.vdot(host(weight), host(of_weight)) == pytest.approx(product, rel=1e-9)


@pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_derivatives(implementation, backend, settings):
    given = arguments(backend, settings["groups"])
    f = lambda given: array_namespace(given[0]).sum(primitives.conv2d(*given, **settings) ** 2)
    assert anynet.check_gradients(f, given)


def test_error_for_a_kernel_larger_than_the_image(implementation, backend):
    x, weight = normal(backend, 1, 2, 3, 3), normal(backend, 1, 2, 4, 4)
    with pytest.raises(ShapeError):
        primitives.conv2d(x, weight, None, **PLAIN)


def test_error_for_channels_that_do_not_fit(implementation, backend):
    x, weight = normal(backend, 1, 3, 5, 5), normal(backend, 1, 2, 2, 2)
    with pytest.raises(ShapeError):
        primitives.conv2d(x, weight, None, **PLAIN)
