"""`anynet.custom_vjp` and `remat`: a user's derivatives, and functions that run again."""

import tracemalloc

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import autodiff, layers, losses, tree
from anynet.array import array_namespace
from anynet.compiler.target import target_of
from anynet.errors import (
    CompilationError,
    DifferentiationError,
    MixedArraysError,
    ShapeError,
)


def total(x):
    return array_namespace(x).sum(x)


def test_remat_computes_the_same(backend):
    net = layers.Sequential(
        layers.Linear(4, 5),
        layers.Tanh(),
        layers.Linear(5, 3),
        seed=0,
        backend=backend,
    )
    x, t = (
        normal(backend, 6, 4, dtype="float32"),
        backend.asarray([0, 1, 2] * 2),
    )
    plain = anynet.value_and_grad(lambda net, x: losses.cross_entropy(net(x), t))(net, x)
    saving = lambda net, x: losses.cross_entropy(autodiff.remat(net)(x), t)
    value, grads = anynet.value_and_grad(saving)(net, x)
    assert_close(value, host(plain[0]), rtol=1e-6)
    for name, g in grads.parameters().items():
        assert_close(g, host(plain[1][name]), rtol=1e-5, atol=1e-7)
    y = normal(backend, 3)
    cubed = autodiff.remat(lambda x: {"cube": x**3, "twice": 2 * x})
    assert_close(cubed(y)["cube"], host(y) ** 3)
    g = lambda y: total(cubed(y)["cube"] * cubed(y)["twice"])
    assert_close(anynet.grad(g)(y), 8 * host(y) ** 3)
    assert_close(
        anynet.grad(lambda y: total(anynet.grad(g)(y)))(y),
        24 * host(y) ** 2,
    )


def test_remat_lowers_the_peak_memory():
    """The peak memory of ten blocks is that of the arguments and one block."""
    x = np.ones(100_000)

    def block(x):
        for _ in range(10):
            x = x * 1.01
            x = array_namespace(x).sin(x)
        return x

    def peak(block):
        def f(x):
            for _ in range(10):
                x = block(x)
            return total(x)

        tracemalloc.start()
        g = anynet.grad(f)(x)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found, g

    (all_kept, expected), (checkpointed, found) = (
        peak(block),
        peak(autodiff.remat(block)),
    )
    np.testing.assert_allclose(found, expected)
    assert checkpointed < 0.4 * all_kept


def test_remat_error_names_the_missing_argument(backend):
    def leaking(x):
        return total(autodiff.remat(lambda y: y * x)(2.0 * x))

    with pytest.raises(
        DifferentiationError,
        match="remat: the function uses a traced array that is not among",
    ):
        anynet.grad(leaking)(normal(backend, 3))


def test_custom_vjp(backend):
    """A straight-through estimator: it rounds, and passes the cotangent unchanged."""
    straight = anynet.custom_vjp(lambda x: array_namespace(x).round(x), lambda g, out, x: g)
    x = normal(backend, 4)
    assert_close(straight(x), np.round(host(x)))
    assert_close(
        anynet.grad(lambda x: total(straight(x) ** 2))(x),
        2 * np.round(host(x)),
    )
    several = anynet.custom_vjp(
        lambda p, k: {"y": p["a"] * p["b"] * k},
        lambda g, out, p, k: ({"a": 10 * g["y"] * p["b"]}, None),
    )
    point = {"a": normal(backend, 2), "b": normal(backend, 2, seed=1)}
    g = anynet.grad(lambda p: total(several(p, 3)["y"]))(point)
    assert_close(g["a"], 10 * host(point["b"]))
    assert_close(g["b"], np.zeros(2))
    cube = anynet.custom_vjp(lambda x: x**3, lambda g, out, x: 3 * g * x**2)
    assert_close(
        anynet.grad(lambda x: total(anynet.grad(lambda x: total(cube(x)))(x)))(x),
        6 * host(x),
    )


def in_main_memory(backend, function):
    """Return a function that works like compiled code: it needs plain arrays of the library."""

    def call(*arrays):
        assert all(type(x) is type(backend.asarray([1.0])) for x in arrays)
        return backend.asarray(function(*map(host, arrays)))

    return call


def compiled_exp(backend):
    return anynet.custom_vjp(
        in_main_memory(backend, np.exp),
        in_main_memory(backend, lambda g, out, x: np.multiply(g, out)),
    )


def test_custom_vjp_wraps_compiled_code(backend):
    exp = compiled_exp(backend)
    x = normal(backend, 3)
    f = lambda x: total(exp(x) * x)
    first = np.exp(host(x)) * (1 + host(x))
    assert type(exp(x)) is type(x)
    assert_close(exp(x), np.exp(host(x)), like=x)
    assert_close(anynet.grad(f)(x), first, like=x)
    assert anynet.check_gradients(f, x)
    assert_close(anynet.numerical_gradient(f, x), first, like=x, rtol=1e-7)
    rows = backend.xp.stack([x, x + 1.0])
    assert_close(anynet.vmap(exp)(rows), np.exp(host(rows)), like=x)
    assert_close(
        anynet.vmap(anynet.grad(f))(rows),
        np.exp(host(rows)) * (1 + host(rows)),
        like=x,
    )
    with pytest.raises(DifferentiationError):
        anynet.hessian(f)(x)


def test_numpy_class_with_forward_and_backward():
    x = np.ones(2)
    exp = anynet.custom_vjp(lambda a: np.exp(a), lambda g, out, a: g * out)
    np.testing.assert_allclose(exp(x), np.e)
    np.testing.assert_allclose(anynet.grad(lambda x: total(exp(x)))(x), np.e)
    np.testing.assert_allclose(anynet.hessian(lambda x: total(exp(x)))(x), np.e * np.eye(2))
    special = pytest.importorskip("scipy.special", reason="needs SciPy")
    gamma = anynet.custom_vjp(special.gammaln, lambda g, out, x: g * special.digamma(x))
    np.testing.assert_allclose(
        anynet.grad(lambda x: total(gamma(x)))(x + 2),
        special.digamma(x + 2),
    )


def test_pullback_of_compiled_code_has_derivatives(backend):
    """The pullback is traced when it is differentiated."""
    exp = anynet.custom_vjp(in_main_memory(backend, np.exp), lambda g, out, x: g * out)
    x = normal(backend, 3)
    assert_close(
        anynet.hessian(lambda x: total(exp(x)))(x),
        np.diag(np.exp(host(x))),
        like=x,
    )
    third = anynet.jacobian(lambda x: anynet.hvp(lambda x: total(exp(x)), x, x))(x)
    assert_close(third, np.diag(np.exp(host(x)) * (1 + host(x))), rtol=1e-8)


def test_compiled_code_in_a_compiled_step(backend):
    """Each replay calls it. It raises if the device runs steps without Python."""
    exp = compiled_exp(backend)
    step = anynet.compile(lambda x: anynet.value_and_grad(lambda x: total(exp(x) * x))(x))
    x = normal(backend, 3)
    if not target_of(backend).calls_python(lambda x: backend.asarray(host(x)), [x]):
        with pytest.raises(
            CompilationError,
            match=r"custom_vjp\(call\) is code that a compiled step cannot call",
        ):
            step(x)
        return
    for i in range(3):
        value, g = step(x + i)
        e = np.exp(host(x) + i)
        assert_close(value, (e * (host(x) + i)).sum(), like=x)
        assert_close(g, e * (1 + host(x) + i), like=x)
    assert len(step.programs) == 1


def test_code_of_the_namespace_in_a_compiled_step(backend):
    tripled = anynet.custom_vjp(lambda x: array_namespace(x).exp(x), lambda g, out, x: 3 * g * out)
    step = anynet.compile(lambda x: anynet.grad(lambda x: total(tripled(x)))(x))
    for i in range(2):
        x = normal(backend, 3, seed=i)
        assert_close(step(x), 3 * np.exp(host(x)), like=x)


def test_custom_function_with_the_name_of_a_kernel(backend):
    def relu(x):
        return 10 * x

    x = normal(backend, 3)
    assert_close(anynet.custom_vjp(relu, lambda g, out, x: 10 * g)(x), 10 * host(x))


def test_keyword_arguments(backend):
    x, w = normal(backend, 3), normal(backend, 3, seed=1)
    f = lambda x, w, *, scale=1.0: x * w * scale
    custom = anynet.custom_vjp(f, lambda g, out, x, w, *, scale=1.0: (g * w * scale, g * x * scale))
    for call in (custom, autodiff.remat(f)):
        assert_close(
            anynet.grad(lambda x, call=call: total(call(x, w=x * w, scale=3.0)))(x),
            6 * host(x) * host(w),
            like=x,
        )
    saved = autodiff.remat(f)
    assert_close(
        anynet.grad(lambda w: total(saved(x, w, scale=w)))(w),
        2 * host(x) * host(w),
        like=x,
    )
    with pytest.raises(
        DifferentiationError,
        match="was passed by name, and the pullback returns cotangents of",
    ):
        anynet.grad(lambda w: total(custom(x, w, scale=w)))(w)


def test_float_results_of_compiled_code_have_derivatives(backend):
    square = anynet.custom_vjp(lambda x: float((host(x) ** 2).sum()), lambda g, out, x: 2 * g * x)
    x = normal(backend, 3)
    expected = 2 * host(x) * host(x).sum() + (host(x) ** 2).sum()
    assert_close(anynet.grad(lambda x: square(x) * total(x))(x), expected, like=x)
    inside = anynet.custom_vjp(lambda x: {"y": 2.0}, lambda g, out, x: g)
    with pytest.raises(DifferentiationError, match="wanted arrays in place of floats"):
        inside(x)


@pytest.mark.parametrize(
    ("cotangents", "error", "message"),
    [
        (
            lambda g: (g, g),
            DifferentiationError,
            "2 cotangents for 1 arguments",
        ),
        (
            lambda g: 2.0,
            DifferentiationError,
            r"returned 2\.0 as the cotangent of a",
        ),
        (
            lambda g: [g],
            DifferentiationError,
            "wanted an array for each array of the argument",
        ),
        (
            lambda g: total(g),
            ShapeError,
            r"a cotangent of shape \(\) for an array of shape \(3,\)",
        ),
    ],
)
def test_wrong_cotangents_raise(backend, cotangents, error, message):
    double = anynet.custom_vjp(lambda x: 2 * x, lambda g, out, x: cotangents(g))
    with pytest.raises(error, match=message):
        anynet.grad(lambda x: total(double(x)))(normal(backend, 3))


def test_arrays_of_another_library_raise():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    x = torch.ones(3, dtype=torch.float64)
    exp = anynet.custom_vjp(lambda x: np.exp(x.numpy()), lambda g, out, x: g)
    back = anynet.custom_vjp(lambda x: 2 * x, lambda g, out, x: g.numpy())
    for f, which in ((exp, "the function"), (back, "the pullback")):
        with pytest.raises(
            MixedArraysError,
            match=f"{which} was given arrays of torch and returned one of numpy",
        ):
            anynet.grad(lambda x, f=f: total(f(x)))(x)


def test_network_inside_a_custom_derivative(backend):
    """Its buffers and parameters are arguments, also in a compiled step."""
    net = layers.Sequential(layers.Linear(3, 2), layers.BatchNorm(2), seed=0, backend=backend)
    x = normal(backend, 4, 3, dtype="float32")
    call = anynet.custom_vjp(
        lambda net, x: net(x),
        lambda g, out, net, x: anynet.vjp(lambda net, x: net(x), net, x)[1](g),
    )
    plain = lambda net, x: total(net(x) ** 3)
    custom = lambda net, x: total(call(net, x) ** 3)
    found = [anynet.grad(f)(tree.map(lambda p: p, net), x) for f in (plain, custom)]
    for name, expected in found[0].parameters().items():
        assert_close(
            found[1].parameters()[name],
            host(expected),
            rtol=1e-5,
            atol=1e-6,
        )
