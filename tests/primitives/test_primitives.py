"""Reference and kernel of every primitive pass the same tests; hypothesis draws their inputs."""

import copy
import inspect
import pickle
import pydoc
import sys

import numpy as np
import pytest
from helpers import assert_close, checks_labels, host, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import anynet
from anynet import functions, losses, primitives
from anynet.array import array_namespace
from anynet.backend import kernels_for
from anynet.errors import DataError, ShapeError
from anynet.primitives.indexing import index_add, scatter_add
from anynet.tracing.standard import STANDARD
from anynet.tracing.trace import Primitive

# A kernel is registered by the name of its primitive; these are all there are.
PRIMITIVES = {
    name: value for name, value in vars(primitives).items() if isinstance(value, Primitive)
}


@pytest.mark.parametrize("name", sorted({*PRIMITIVES, *functions.__all__}))
def test_help_and_inspect_see_the_reference(name):
    """As of a function: its name, docstring, signature, module and source."""
    function = getattr(functions, name, None) or PRIMITIVES[name]
    text = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert f"\n{name}(" in text
    assert "Primitive" not in text.partition("\n")[2]
    assert function.__name__ == function.__qualname__ == name
    assert inspect.getdoc(function).splitlines()[0] in text
    assert inspect.isroutine(function)
    assert inspect.signature(function).parameters
    assert f"def {name}(" in inspect.getsource(function)
    assert getattr(sys.modules[function.__module__], name) is function
    assert pickle.loads(pickle.dumps(function)) is copy.deepcopy(function) is function


def test_a_primitive_is_no_method():
    class Layer:
        activation = functions.relu

    assert Layer().activation is Layer.activation is functions.relu
    assert host(Layer().activation(np.array([-1.0, 2.0]))).tolist() == [
        0,
        2,
    ]


@pytest.fixture(params=["kernel", "reference"])
def manner(request, monkeypatch, backend):
    """Run a test on the backend's kernels, and again on the references alone."""
    if request.param == "reference":
        for primitive in PRIMITIVES.values():
            monkeypatch.setattr(primitive, "_implementations", {})
        # The standard's functions keep theirs: a library that needs them does not do without.
        others = {
            name: kernel
            for name, kernel in kernels_for(backend.xp).items()
            if name not in PRIMITIVES
        }
        monkeypatch.setattr("anynet.tracing.trace.kernels_for", lambda xp: others)
        yield request.param
        for primitive in PRIMITIVES.values():
            primitive._implementations.clear()
    else:
        yield request.param


def test_every_kernel_belongs_to_a_primitive(backend):
    assert kernels_for(backend.xp).keys() <= {
        *PRIMITIVES,
        *STANDARD,
        "index_add",
        "place",
        "scatter_add",
        "sum_to",
    }


def test_a_kernel_stands_in_for_a_function_of_the_standard(monkeypatch):
    monkeypatch.setattr(
        "anynet.tracing.trace.kernels_for",
        lambda xp: {"exp": lambda x: x + 1},
    )
    assert Primitive("exp")(np.ones(2)).tolist() == [2, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (0, 3)])
def test_affine(manner, backend, dtype, shape):
    x, w, b = (
        numbers(backend, *s, seed=i, dtype=dtype) for i, s in enumerate([shape, (3, 2), (2,)])
    )
    rtol = 1e-5 if dtype == "float32" else 1e-12
    assert_close(
        primitives.affine(x, w, b),
        host(x) @ host(w) + host(b),
        like=x,
        rtol=rtol,
        atol=1e-6,
    )
    assert_close(
        primitives.affine(x, w, None),
        host(x) @ host(w),
        like=x,
        rtol=rtol,
        atol=1e-6,
    )
    if len(shape) > 1:
        gx, gw, gb = anynet.grad(
            lambda *p: array_namespace(p[0]).sum(primitives.affine(*p) ** 2),
            (0, 1, 2),
        )(x, w, b)
        y = 2 * (host(x) @ host(w) + host(b))
        assert_close(gx, y @ host(w).T, like=x, rtol=rtol, atol=1e-4)
        assert_close(
            gw,
            host(x).reshape(-1, 3).T @ y.reshape(-1, 2),
            like=w,
            rtol=rtol,
            atol=1e-4,
        )
        assert_close(gb, y.reshape(-1, 2).sum(axis=0), like=b, rtol=rtol, atol=1e-4)


def test_relu(manner, backend):
    x = backend.asarray(np.array([-1.0, 0.0, 2.0, np.nan, np.inf]))
    assert_close(primitives.relu(x), [0, 0, 2, np.nan, np.inf])
    x, g = (
        backend.asarray(np.array([-1.0, 0.0, 2.0, np.inf])),
        backend.asarray(np.array([1.0, 2.0, 3.0, 4.0])),
    )
    assert_close(primitives.relu_gradient(g, primitives.relu(x)), [0, 0, 3, 4])


def test_updates_leave_their_arguments_alone(manner, backend):
    p, g = numbers(backend, 3, 2), numbers(backend, 3, 2, seed=1)
    before = host(p).copy(), host(g).copy()
    assert_close(
        primitives.sgd_update(0.5, p, g)[0],
        before[0] - 0.5 * before[1],
        like=p,
    )
    np.testing.assert_array_equal(host(p), before[0])
    np.testing.assert_array_equal(host(g), before[1])


@pytest.mark.parametrize("shape", [(3, 2), (300, 300)])
def test_two_updates_in_one_compiled_step(backend, shape):
    """The second one may be written over its argument."""
    p, g = numbers(backend, *shape, dtype="float32"), numbers(backend, *shape, dtype="float32")

    def descend(p, g):
        for _ in range(2):
            (p,) = primitives.sgd_update(0.25, p, g)
        return array_namespace(p).sum(p, axis=0)

    compiled = anynet.compile(descend)
    for _ in range(2):
        assert_close(compiled(p, g), host(descend(p, g)), rtol=1e-4, atol=1e-4)


UPDATES = {
    "sgd_update": (2, (0.5,)),
    "momentum_update": (3, (0.5, 0.9, False)),
    "momentum_update by Nesterov": (3, (0.5, 0.9, True)),
    "adam_update": (4, (0.1, 1.5, 1.0, 0.9, 0.999, 1e-8)),
    "adam_update decaying": (4, (0.1, 1.5, 0.99, 0.9, 0.999, 1e-8)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UPDATES)
def test_kernels_of_updates(backend, name, dtype):
    """As the references do, for arrays of no axes, larger than a kernel's blocks, transposed;
    read-only ones.

    Two parameters at once."""
    count, settings = UPDATES[name]
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    update = getattr(primitives, name.partition(" ")[0])
    for shape in [(), (3, 2), (0, 3), (300, 250)]:
        given = [
            np.random.default_rng(seed).uniform(0.1, 1, size=shape).astype(dtype)
            for seed in range(2 * count)
        ]
        for transposed in (False, True):
            arrays = [backend.asarray(x.T if transposed else x) for x in given]
            if backend.name == "numpy":
                for x in arrays:
                    x.setflags(write=False)
            found, expected = (
                update(*settings, *arrays),
                update.reference(*settings, *arrays),
            )
            for x, wanted in zip(found, expected, strict=True):
                assert_close(
                    x,
                    host(wanted),
                    like=arrays[0],
                    rtol=tolerance,
                    atol=tolerance,
                )
            for x, before in zip(arrays, given, strict=True):
                np.testing.assert_array_equal(host(x), before.T if transposed else before)


def expected_cross_entropy(logits, labels):
    log_p = special.log_softmax(logits.astype(np.float64), axis=-1)
    rows = labels if labels.ndim == logits.ndim else np.eye(logits.shape[-1])[labels]
    return -(rows * log_p).sum(axis=-1).mean(), (np.exp(log_p) - rows) / (
        logits.size / logits.shape[-1]
    )


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 6),
    classes=st.integers(1, 5),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1.0, 1e4]),
    dtype=st.sampled_from(["float32", "float64"]),
    one_hot=st.booleans(),
)
@pytest.mark.parametrize("name", ["numpy", "array_api_strict"])
def test_cross_entropy(name, n, classes, seed, scale, dtype, one_hot):
    backend = anynet.get_backend(name)
    rng = np.random.default_rng(seed)
    logits, labels = (
        (scale * rng.normal(size=(n, classes))).astype(dtype),
        rng.integers(0, classes, n),
    )
    t = np.eye(classes, dtype=dtype)[labels] if one_hot else labels
    x, t = backend.asarray(logits), backend.asarray(t)
    value, gradient = expected_cross_entropy(logits, host(t))
    rtol = 1e-5 if dtype == "float32" else 1e-12
    found, g = anynet.value_and_grad(losses.cross_entropy)(x, t)
    assert_close(found, value, like=x, rtol=rtol, atol=rtol)
    assert_close(g, gradient, like=x, rtol=rtol, atol=rtol)


def test_cross_entropy_second_derivative(manner, backend):
    x, t = numbers(backend, 4, 3), backend.asarray(np.array([0, 2, 1, 1]))
    norm = lambda x: array_namespace(x).sum(anynet.grad(losses.cross_entropy)(x, t) ** 2)
    assert anynet.check_gradients(norm, x)


def test_cross_entropy_of_one_row(manner, backend):
    x = numbers(backend, 3)
    value, _ = expected_cross_entropy(host(x), np.array(1))
    assert_close(losses.cross_entropy(x, backend.asarray(np.array(1))), value)


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_never_passes_silently(manner, backend, label):
    x, t = numbers(backend, 2, 3), backend.asarray(np.array([0, label]))
    if manner == "kernel" and checks_labels(backend):
        with pytest.raises(
            DataError,
            match=f"label {label} is no class.*wanted labels 0 to 2",
        ):
            losses.cross_entropy(x, t)
    else:
        assert np.isnan(host(losses.cross_entropy(x, t)))


def test_labels_of_a_wrong_shape(backend):
    for loss in (
        losses.cross_entropy,
        losses.cross_entropy_of_probabilities,
        losses.sum_of_squares,
    ):
        wanted = r"\(4, 3\) were given with labels of shape \(3,\); wanted .*\(4,\) or .*\(4, 3\)"
        with pytest.raises(ShapeError, match=wanted):
            loss(numbers(backend, 4, 3), backend.asarray([0, 1, 2]))


FUNCTIONS = {
    "elu": lambda x: np.where(x > 0, x, special.expm1(np.minimum(x, 0))),
    "erf": special.erf,
    "gelu": lambda x: x * special.ndtr(x),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "relu": lambda x: np.maximum(x, 0),
    "selu": lambda x: (
        1.0507009873554805
        * np.where(x > 0, x, 1.6732632423543772 * special.expm1(np.minimum(x, 0)))
    ),
    "sigmoid": special.expit,
    "silu": lambda x: x * special.expit(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "tanh": np.tanh,
    "identity": lambda x: x,
    "step": lambda x: (x > 0).astype(x.dtype),
    "softmax": lambda x: special.softmax(x, axis=-1),
    "log_softmax": lambda x: special.log_softmax(x, axis=-1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_activations_against_scipy(manner, backend, name, dtype, scale, shape):
    x = backend.asarray((scale * np.random.default_rng(0).normal(size=shape)).astype(dtype))
    function = getattr(functions, name)
    expected = FUNCTIONS[name](host(x).astype(np.float64))
    tolerance = 2e-6 if dtype == "float32" else 1e-12
    assert_close(function(x), expected, like=x, rtol=tolerance, atol=tolerance)
    if name != "step":
        weights = host(numbers(backend, *shape, seed=1)).astype(dtype)
        g = host(
            anynet.grad(lambda x: array_namespace(x).sum(function(x) * backend.asarray(weights)))(x)
        )
        assert g.dtype == dtype
        assert np.isfinite(g).all()


def test_erf_in_half_precision(manner, backend):
    if not hasattr(backend.xp, "float16"):
        pytest.skip(reason=f"{backend.name} has no float16")
    points = np.array([-3.25, -0.5, 0.0, 1.5, 3.25], "float16")
    x = backend.asarray(points)
    assert_close(
        functions.erf(x),
        special.erf(points.astype("float64")),
        like=x,
        rtol=1e-3,
    )


def test_small_sigmoids_keep_their_digits(manner, backend):
    x = backend.asarray(np.array([-80.0, -30.0, 30.0], "float32"))
    assert_close(functions.sigmoid(x), special.expit([-80.0, -30.0, 30.0]), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"step"}))
def test_activations_differentiate(manner, backend, name):
    x = numbers(backend, 3, 4)
    weights = backend.asarray(np.random.default_rng(1).normal(size=(3, 4)))
    f = lambda x: array_namespace(x).sum(getattr(functions, name)(x) * weights)
    assert anynet.check_gradients(f, x)
    if name not in ("hard_sigmoid", "identity", "leaky_relu", "relu"):
        assert anynet.check_gradients(lambda x: array_namespace(x).sum(anynet.grad(f)(x) ** 2), x)


def test_softmax_over_another_axis(backend):
    x = numbers(backend, 3, 4)
    assert_close(functions.softmax(x, axis=0), special.softmax(host(x), axis=0))
    assert_close(
        functions.log_softmax(x, axis=0),
        special.log_softmax(host(x), axis=0),
    )


def test_losses_of_the_book(backend):
    # The worked example of chapter 4.2: the answer is 2, the network is fairly sure of it, then of
    # 7.
    t = backend.asarray(np.eye(10)[2])
    sure = backend.asarray(np.array([0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0]))
    wrong = backend.asarray(np.array([0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0]))
    assert float(losses.sum_of_squares(sure, t)) == pytest.approx(0.0975)
    assert float(losses.sum_of_squares(wrong, t)) == pytest.approx(0.5975)
    assert float(losses.cross_entropy_of_probabilities(sure, t)) == pytest.approx(
        0.510825457, rel=1e-8
    )
    assert float(losses.cross_entropy_of_probabilities(wrong, t)) == pytest.approx(
        2.302584092, rel=1e-8
    )


def test_labels_as_indices_and_as_rows_agree(backend):
    y, labels = (
        functions.softmax(numbers(backend, 5, 3)),
        backend.asarray(np.array([0, 2, 1, 1, 0])),
    )
    rows = functions.one_hot(labels, 3, y.dtype)
    for loss in (
        losses.cross_entropy,
        losses.cross_entropy_of_probabilities,
        losses.sum_of_squares,
    ):
        assert_close(loss(y, labels), host(loss(y, rows)), rtol=1e-12)
    assert np.isfinite(host(losses.cross_entropy_of_probabilities(0 * y, labels)))


def test_one_hot(backend):
    rows = functions.one_hot(backend.asarray([1, 0, 5]), 3)
    np.testing.assert_array_equal(host(rows), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


def test_what_is_no_array():
    with pytest.raises(
        TypeError,
        match=r"^relu: list was given: wanted an array, as get_backend\(\)\.asarray",
    ):
        functions.relu([1.0, -2.0])
    with pytest.raises(
        TypeError,
        match=r"^affine: list was given: wanted an array, as get_backend\(\)\.asarray",
    ):
        primitives.affine([[1.0, 2.0]], np.ones((2, 3)), None)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_adding_at_indices(backend, dtype):
    """Kernel and reference, against a loop; indices that come twice, and from the end."""
    g = np.random.default_rng(0).normal(size=(2, 5, 3)) * (1 + 2j if dtype == "complex128" else 1)
    g = g.astype(dtype)
    indices = np.array([1, -1, 1, 0, 1])
    expected = np.zeros((2, 4, 3), dtype)
    for i, place in enumerate(indices):
        expected[:, place, :] += g[:, i, :]
    of_each = np.random.default_rng(1).integers(-4, 4, size=(2, 5, 3))
    scattered = np.zeros((2, 4, 3), dtype)
    for i, j, k in np.ndindex(2, 5, 3):
        scattered[i, of_each[i, j, k], k] += g[i, j, k]
    for function in (index_add, index_add.reference):
        found = function(backend.asarray(g), backend.asarray(indices), 1, 4)
        np.testing.assert_allclose(host(found), expected, rtol=1e-5)
    for function in (scatter_add, scatter_add.reference):
        found = function(backend.asarray(g), backend.asarray(of_each), 1, 4)
        np.testing.assert_allclose(host(found), scattered, rtol=1e-5)
