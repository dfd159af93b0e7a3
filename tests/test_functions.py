"""Functions of large inputs, at their corners, and compared with PyTorch's."""

import numpy as np
import pytest
from helpers import assert_close, host, normal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import anynet
from anynet import functions, layers
from anynet.array import array_namespace
from anynet.errors import ArgumentError, ArgumentTypeError, ShapeError


def gradient(function, x):
    return anynet.grad(lambda x: array_namespace(x).sum(function(x)))(x)


# The value and the derivative at -10000 and at 10000.
LIMITS = {
    "elu": ((-1, 0), (1e4, 1)),
    "erf": ((-1, 0), (1, 0)),
    "gelu": ((0, 0), (1e4, 1)),
    "hard_sigmoid": ((0, 0), (1, 0)),
    "identity": ((-1e4, 1), (1e4, 1)),
    "leaky_relu": ((-100, 0.01), (1e4, 1)),
    "mish": ((0, 0), (1e4, 1)),
    "relu": ((0, 0), (1e4, 1)),
    "selu": (
        (-1.7580993408473766, 0),
        (1.0507009873554805e4, 1.0507009873554805),
    ),
    "sigmoid": ((0, 0), (1, 0)),
    "silu": ((0, 0), (1e4, 1)),
    "softplus": ((0, 0), (1e4, 1)),
    "tanh": ((-1, 0), (1, 0)),
}


def test_step_at_zero(backend):
    """Only inputs above 0 give 1, as in the book's chapter 3.2.2."""
    x = backend.asarray(np.array([-1.0, -0.0, 0.0, 1e-30, 2.0], "float32"))
    assert_close(functions.step(x), [0, 0, 0, 1, 1], like=x)


@pytest.mark.parametrize("name", LIMITS)
def test_large_inputs(backend, name):
    x = backend.asarray(np.array([-1e4, 1e4], "float32"))
    (low, low_slope), (high, high_slope) = LIMITS[name]
    function = getattr(functions, name)
    assert_close(function(x), [low, high], like=x, rtol=1e-6)
    assert_close(gradient(function, x), [low_slope, high_slope], like=x, rtol=1e-6)
    # The derivative of the derivative is 0 on both sides, of all of them.
    assert_close(
        gradient(lambda x: gradient(function, x) * x, x),
        [low_slope, high_slope],
        like=x,
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_large_inputs(backend, name):
    x = backend.asarray(np.array([-1e4, 0, 1e4], "float32"))
    function = getattr(functions, name)
    expected = getattr(special, name)([-1e4, 0, 1e4])
    assert_close(function(x), expected, like=x, rtol=1e-6)
    first = anynet.grad(lambda x: function(x)[0])(x)
    assert_close(
        first,
        [1, 0, -1] if name == "log_softmax" else [0, 0, 0],
        like=x,
        rtol=1e-6,
    )


def test_approximate_gelu(backend):
    function = lambda x: functions.gelu(x, approximate=True)
    x = backend.asarray(np.array([-1e4, 1e4], "float32"))
    assert_close(function(x), [0, 1e4], like=x)
    assert_close(gradient(function, x), [0, 1], like=x)
    x = normal(backend, 3, 4)
    assert np.max(np.abs(host(function(x)) - host(functions.gelu(x)))) < 5e-4
    assert anynet.check_gradients(lambda x: array_namespace(x).sum(function(x) ** 2), x)


@pytest.mark.parametrize(("dtype", "ulps"), [("float32", 4), ("float64", 4)])
def test_erf_matches_scipy_within_a_few_ulps(backend, dtype, ulps):
    points = np.concatenate([np.linspace(-7, 7, 4001), np.geomspace(1e-30, 1, 500)]).astype(dtype)
    exact = special.erf(points.astype("float64"))
    for function in (functions.erf, functions.erf.reference):
        found = host(function(backend.asarray(points)))
        assert found.dtype == dtype
        assert np.max(np.abs(found - exact) / np.spacing(np.abs(exact).astype(dtype))) <= ulps
        assert np.max(np.abs(found)) <= 1


def test_erf_of_infinity_and_nan(backend):
    x = backend.asarray(np.array([-np.inf, np.inf, np.nan, -0.0]))
    for function in (functions.erf, functions.erf.reference):
        found = host(function(x))
        np.testing.assert_array_equal(found, [-1, 1, np.nan, 0])
        assert np.signbit(found[3])


@settings(max_examples=50, deadline=None)
@given(x=st.floats(-1e4, 1e4))
def test_laws(x):
    """Symmetries of functions hold in float64."""
    x, y = np.array(x), np.array(-x)
    assert functions.erf(y) == -functions.erf(x)
    for law in (
        functions.gelu,
        functions.silu,
        functions.softplus,
        functions.relu,
    ):
        # f(x) - f(-x) = x.
        assert law(x) - law(y) == pytest.approx(x, rel=1e-14, abs=1e-14)
    assert functions.elu(x) == pytest.approx(
        functions.relu(x) + np.expm1(-functions.relu(y)), rel=1e-14
    )
    assert functions.hard_sigmoid(x) + functions.hard_sigmoid(y) == pytest.approx(1)


TORCH = {
    "elu": ({}, {"alpha": 0.3}),
    "gelu": ({}, {"approximate": True}),
    "hard_sigmoid": ({},),
    "leaky_relu": ({}, {"negative_slope": 0.3}),
    "log_softmax": ({},),
    "mish": ({},),
    "relu": ({},),
    "selu": ({},),
    "sigmoid": ({},),
    "silu": ({},),
    "softmax": ({},),
    "softplus": ({},),
    "tanh": ({},),
}


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, chosen) for name, of in TORCH.items() for chosen in of],
)
def test_layers_against_pytorch(backend, name, settings):
    """Values and derivatives, with the corners 0, -3 and 3 among the points."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    points = np.array([[-40.0, -3, -1.5, -0.1, 0], [0.2, 1, 3, 7, 40]])
    given = {"approximate": "tanh"} if "approximate" in settings else settings
    given = (
        {"dim": -1} if "softmax" in name else {"threshold": 100} if name == "softplus" else given
    )
    x = torch.asarray(points, dtype=torch.float64).requires_grad_()
    expected = getattr(torch.nn.functional, name.replace("hard_", "hard"))(x, **given)
    weights = torch.arange(10, dtype=torch.float64).reshape(2, 5)
    (slopes,) = torch.autograd.grad((expected * weights).sum(), x)
    layer = type(layers.activation(name))(**settings)
    point, w = backend.asarray(points), backend.asarray(weights.numpy())
    assert_close(
        layer(point),
        expected.detach().numpy(),
        like=point,
        rtol=1e-12,
        atol=1e-15,
    )
    found = gradient(lambda x: layer(x) * w, point)
    # PyTorch has the sixth of its hard sigmoid's derivative in float32.
    assert_close(
        found,
        slopes.numpy(),
        like=point,
        rtol=1e-7 if name == "hard_sigmoid" else 1e-10,
        atol=1e-14,
    )


def test_settings_are_in_the_repr():
    assert repr(layers.LeakyReLU(0.2)) == "LeakyReLU(negative_slope=0.2)"
    assert repr(layers.GELU()) == "GELU(approximate=False)"


@pytest.mark.parametrize("name", sorted({*functions.__all__} - {"identity"}))
@pytest.mark.parametrize("wrong", [1.0, 3, [1.0, 2.0], None, "a"], ids=repr)
def test_values_that_are_not_arrays_raise(name, wrong):
    with pytest.raises(
        ArgumentTypeError,
        match=f"{type(wrong).__name__} was given: wanted an array, as get_backend",
    ):
        getattr(functions, name)(wrong, *(() if name != "one_hot" else (10,)))


@pytest.mark.parametrize("function", [functions.softmax, functions.log_softmax])
def test_axis_out_of_range_raises(backend, function):
    x = normal(backend, 2, 3)
    for axis in (2, -3):
        with pytest.raises(
            ShapeError,
            match=rf"axis is {axis} for an array of shape \(2, 3\): wanted -2 to 1",
        ):
            function(x, axis=axis)
    with pytest.raises(ArgumentTypeError, match="axis is '1': wanted a whole number"):
        function(x, axis="1")


def test_wrong_number_of_classes_raises(backend):
    labels = backend.asarray(np.array([0, 1]))
    for classes in (2.0, "2", None, True):
        with pytest.raises(
            ArgumentTypeError,
            match=r"classes is .*: wanted a whole number, 0 or more",
        ):
            functions.one_hot(labels, classes)
    with pytest.raises(ArgumentError, match="classes is -1: wanted 0 or more"):
        functions.one_hot(labels, -1)
