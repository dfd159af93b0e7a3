import tracemalloc

import numpy as np
import pytest
from helpers import assert_close, host, numbers

import anynet
from anynet import autodiff, layers, losses, tree
from anynet.array import array_namespace
from anynet.compiler.target import target_of
from anynet.errors import (
    CompilationError,
    DifferentiationError,
    DTypeError,
    MixedArraysError,
    ShapeError,
)


def total(x):
    return array_namespace(x).sum(x)


def f(x):
    """Map (n,) to (2, n). The Jacobian is known."""
    xp = array_namespace(x)
    return xp.stack([xp.sin(x), x[0] * x**2])


def expected_jacobian(x):
    n = len(x)
    found = np.zeros((2, n, n))
    found[0] = np.diag(np.cos(x))
    found[1] = np.diag(2 * x[0] * x)
    found[1, :, 0] += x**2
    return found


def test_jacobian(backend):
    x = numbers(backend, 3)
    assert_close(anynet.jacobian(f)(x), expected_jacobian(host(x)), like=x)
    assert anynet.jacobian(lambda x: x[:0])(x).shape == (0, 3)
    second = anynet.jacobian(lambda y, x: x * y, argnums=1)(x, x)
    assert_close(second, np.diag(host(x)))


def test_jacobian_of_chosen_arguments(backend):
    x, y = numbers(backend, 2), numbers(backend, 3, seed=1)
    product = lambda x, y, scale=1.0: scale * x**2 * total(y)
    of_x = np.diag(2 * host(x)) * host(y).sum()
    of_y = np.repeat(host(x)[:, None] ** 2, 3, axis=1)
    assert_close(anynet.jacobian(product, -1)(x, y), of_y, like=x)
    assert_close(anynet.jacobian(product, -2)(x, y, scale=3.0), 3 * of_x, like=x)
    for argnums in ((1, 0), [-1, -2]):
        first, second = anynet.jacobian(product, argnums)(x, y)
        assert_close(first, of_y)
        assert_close(second, of_x)
    # A constant keyword argument takes part like any other array.
    assert_close(anynet.jacobian(lambda x, *, w: w * x)(x, w=x), np.diag(host(x)))


def test_hessian_of_chosen_arguments(backend):
    x, y = numbers(backend, 2), numbers(backend, 3, seed=1)
    scalar = lambda x, y, k=1.0: k * total(x**2) * total(y)
    mixed = 2 * np.repeat(host(x)[:, None], 3, axis=1)
    (xx, xy), (yx, yy) = anynet.hessian(scalar, (0, -1))(x, y)
    assert_close(xx, 2 * host(y).sum() * np.eye(2), atol=1e-12)
    assert_close(xy, mixed)
    assert_close(yx, mixed.T)
    assert_close(yy, np.zeros((3, 3)))
    assert_close(
        anynet.hessian(scalar, -2)(x, y, k=3.0),
        6 * host(y).sum() * np.eye(2),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "transformation",
    [anynet.grad, anynet.value_and_grad, anynet.jacobian, anynet.hessian],
)
@pytest.mark.parametrize(
    ("argnums", "message"),
    [
        (2, "argnums is 2, and the function was called with 2 positional arguments"),
        ((0, -3), "argnums is -3, and the function was called with 2 positional arguments"),
        ((0, 0), r"argnums \(0, 0\) chooses one argument twice"),
        ((0, -2), "chooses one argument twice"),
        (True, "argnums is True: wanted the position of an argument"),
        ((0, False), "argnums is False"),
        (1.0, "argnums is 1.0"),
        ((), "argnums and argnames are empty"),
    ],
)
def test_argnums_that_choose_nothing(backend, transformation, argnums, message):
    x = numbers(backend, 2)
    with pytest.raises(DifferentiationError, match=message):
        transformation(lambda x, y: total(x * y), argnums)(x, x)


def test_keyword_arguments_are_constants(backend):
    x, w = numbers(backend, 3), numbers(backend, 3, seed=1)
    value, pullback = anynet.vjp(lambda x, *, w, power: w * x**power, x, w=w, power=2)
    assert_close(value, host(w) * host(x) ** 2, like=x)
    assert_close(pullback(x)[0], 2 * host(w) * host(x) ** 2)
    product = lambda x, *, w: w * x**2
    assert_close(
        anynet.jvp(product, (x,), (x,), w=w)[1],
        2 * host(w) * host(x) ** 2,
        like=x,
    )
    assert_close(
        anynet.hvp(lambda x, *, w: total(product(x, w=w)), x, x, w=w),
        2 * host(w) * host(x),
        like=x,
    )


def test_vjp_and_jvp_are_products_with_the_jacobian(backend):
    x, g, v = (
        numbers(backend, 3),
        numbers(backend, 2, 3, seed=1),
        numbers(backend, 3, seed=2),
    )
    expected = expected_jacobian(host(x))
    value, pullback = anynet.vjp(f, x)
    assert_close(value, host(f(x)), like=x)
    for _ in range(2):
        assert_close(
            pullback(g)[0],
            np.einsum("ij,ijk->k", host(g), expected),
            like=x,
        )
    value, forwards = anynet.jvp(f, (x,), (v,))
    assert_close(value, host(f(x)))
    assert_close(forwards, expected @ host(v), like=x)


def test_hessian_and_its_product(backend):
    x, v = numbers(backend, 4), numbers(backend, 4, seed=1)
    g = lambda x: total(x**3) + total(x) ** 2
    expected = np.diag(6 * host(x)) + 2
    assert_close(anynet.hessian(g)(x), expected, like=x, atol=1e-12)
    assert_close(anynet.hvp(g, x, v), expected @ host(v), like=x, rtol=1e-8)


def test_trees(backend):
    point = {"a": numbers(backend, 2), "b": [numbers(backend, 3, seed=1)]}
    g = lambda p: {"y": p["a"][0] * p["b"][0], "z": total(p["a"])}
    jacobian = anynet.jacobian(g)(point)
    assert jacobian["y"]["a"].shape == (3, 2)
    assert_close(jacobian["y"]["b"][0], np.eye(3) * host(point["a"])[0])
    assert_close(jacobian["z"]["a"], np.ones(2))
    assert_close(jacobian["z"]["b"][0], np.zeros(3))
    scalar = lambda p: total(p["a"]) * total(p["b"][0] ** 2)
    hessian = anynet.hessian(scalar)(point)
    assert_close(hessian["a"]["b"][0], np.tile(2 * host(point["b"][0]), (2, 1)))
    v = {
        "a": numbers(backend, 2, seed=3),
        "b": [numbers(backend, 3, seed=4)],
    }
    along = anynet.hvp(scalar, point, v)
    assert_close(
        along["a"],
        np.full(2, 2 * host(point["b"][0]) @ host(v["b"][0])),
        rtol=1e-8,
    )


def test_nesting_in_any_order(backend):
    x, v = numbers(backend, 3), numbers(backend, 3, seed=1)
    g = lambda x: total(array_namespace(x).sin(x) * x)
    s, c = np.sin(host(x)), np.cos(host(x))
    second = 2 * c - host(x) * s
    assert_close(
        anynet.jvp(anynet.grad(g), (x,), (v,))[1],
        second * host(v),
        rtol=1e-8,
    )
    assert_close(
        anynet.grad(lambda x: anynet.jvp(g, (x,), (v,))[1])(x),
        second * host(v),
        rtol=1e-8,
    )
    third = -3 * s - host(x) * c
    assert_close(
        anynet.grad(lambda x: anynet.hvp(g, x, v)[0])(x)[0],
        third[0] * host(v)[0],
        rtol=1e-8,
    )
    diagonal = anynet.jacobian(lambda x: anynet.jacobian(anynet.grad(g))(x)[0, 0])(x)
    assert_close(diagonal, [third[0], 0, 0], rtol=1e-8, atol=1e-12)


def test_complex_products_are_adjoint(backend):
    """⟨g, Jv⟩ = ⟨Jᴴg, v⟩ for a function that is not holomorphic, as real inner products."""
    z = backend.asarray(host(numbers(backend, 3)) + 1j * host(numbers(backend, 3, seed=1)))
    v = backend.asarray(host(numbers(backend, 3, seed=2)) + 1j * host(numbers(backend, 3, seed=3)))
    g = backend.asarray(host(numbers(backend, 3, seed=4)) + 1j * host(numbers(backend, 3, seed=5)))
    h = lambda z: array_namespace(z).conj(z) * z * z + 2j * z
    forwards = host(anynet.jvp(h, (z,), (v,))[1])
    step = 1e-6
    numerical = (host(h(z + step * v)) - host(h(z - step * v))) / (2 * step)
    np.testing.assert_allclose(forwards, numerical, rtol=1e-7)
    back = host(anynet.vjp(h, z)[1](g)[0])
    left, right = (
        np.vdot(host(g), forwards).real,
        np.vdot(back, host(v)).real,
    )
    assert left == pytest.approx(right)


def test_hvp_at_complex_points(backend):
    """The derivative of the gradient ∂f/∂x + i ∂f/∂y along v, as a difference."""
    z = backend.asarray(np.array([1 + 2j, 3 - 1j]))
    v = backend.asarray(np.array([0.5 - 1j, 2 + 1j]))
    g = lambda z: total(array_namespace(z).abs(z) ** 4) + total(array_namespace(z).real(z * z * z))
    step = 1e-6
    ends = [host(anynet.grad(g)(z + sign * step * v)) for sign in (1, -1)]
    np.testing.assert_allclose(
        host(anynet.hvp(g, z, v)),
        (ends[0] - ends[1]) / (2 * step),
        rtol=1e-6,
    )
    ones = backend.asarray(np.ones(2))
    assert_close(
        anynet.hvp(g, z, ones),
        host(anynet.hvp(g, z, backend.asarray(np.ones(2) + 0j))),
    )


def test_jacobian_of_complex_values_raises(backend):
    """A function that is not holomorphic has no complex matrix of derivatives."""
    z = backend.asarray(np.array([1 + 2j, 3 - 1j]))
    for transformation in (
        anynet.jacobian(lambda z: z * z),
        anynet.hessian(lambda z: total(array_namespace(z).abs(z))),
    ):
        with pytest.raises(
            DifferentiationError,
            match="jacobian wants real values, and the function returned",
        ):
            transformation(z)
    modulus = lambda z: array_namespace(z).abs(z) ** 2
    assert_close(anynet.jacobian(modulus)(z), np.diag(2 * host(z)))


def test_remat_computes_the_same(backend):
    net = layers.Sequential(
        layers.Linear(4, 5),
        layers.Tanh(),
        layers.Linear(5, 3),
        seed=0,
        backend=backend,
    )
    x, t = (
        numbers(backend, 6, 4, dtype="float32"),
        backend.asarray([0, 1, 2] * 2),
    )
    plain = anynet.value_and_grad(lambda net, x: losses.cross_entropy(net(x), t))(net, x)
    saving = lambda net, x: losses.cross_entropy(autodiff.remat(net)(x), t)
    value, grads = anynet.value_and_grad(saving)(net, x)
    assert_close(value, host(plain[0]), rtol=1e-6)
    for name, g in grads.parameters().items():
        assert_close(g, host(plain[1][name]), rtol=1e-5, atol=1e-7)
    y = numbers(backend, 3)
    cubed = autodiff.remat(lambda x: {"cube": x**3, "twice": 2 * x})
    assert_close(cubed(y)["cube"], host(y) ** 3)
    g = lambda y: total(cubed(y)["cube"] * cubed(y)["twice"])
    assert_close(anynet.grad(g)(y), 8 * host(y) ** 3)
    assert_close(
        anynet.grad(lambda y: total(anynet.grad(g)(y)))(y),
        24 * host(y) ** 2,
    )


def test_remat_keeps_less():
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
        anynet.grad(leaking)(numbers(backend, 3))


def test_custom_vjp(backend):
    """A straight-through estimator: it rounds, and passes the cotangent unchanged."""
    straight = anynet.custom_vjp(lambda x: array_namespace(x).round(x), lambda g, out, x: g)
    x = numbers(backend, 4)
    assert_close(straight(x), np.round(host(x)))
    assert_close(
        anynet.grad(lambda x: total(straight(x) ** 2))(x),
        2 * np.round(host(x)),
    )
    several = anynet.custom_vjp(
        lambda p, k: {"y": p["a"] * p["b"] * k},
        lambda g, out, p, k: ({"a": 10 * g["y"] * p["b"]}, None),
    )
    point = {"a": numbers(backend, 2), "b": numbers(backend, 2, seed=1)}
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
    x = numbers(backend, 3)
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


def test_numpy_code_in_the_style_of_the_book():
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


def test_the_pullback_of_compiled_code_has_derivatives(backend):
    """The pullback is traced when it is differentiated."""
    exp = anynet.custom_vjp(in_main_memory(backend, np.exp), lambda g, out, x: g * out)
    x = numbers(backend, 3)
    assert_close(
        anynet.hessian(lambda x: total(exp(x)))(x),
        np.diag(np.exp(host(x))),
        like=x,
    )
    third = anynet.jacobian(lambda x: anynet.hvp(lambda x: total(exp(x)), x, x))(x)
    assert_close(third, np.diag(np.exp(host(x)) * (1 + host(x))), rtol=1e-8)


def test_compiled_code_in_a_compiled_step(backend):
    """Each replay calls it. It raises where the device runs steps without Python."""
    exp = compiled_exp(backend)
    step = anynet.compile(lambda x: anynet.value_and_grad(lambda x: total(exp(x) * x))(x))
    x = numbers(backend, 3)
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
        x = numbers(backend, 3, seed=i)
        assert_close(step(x), 3 * np.exp(host(x)), like=x)


def test_custom_function_with_the_name_of_a_kernel(backend):
    def relu(x):
        return 10 * x

    x = numbers(backend, 3)
    assert_close(anynet.custom_vjp(relu, lambda g, out, x: 10 * g)(x), 10 * host(x))


def test_arguments_by_name(backend):
    x, w = numbers(backend, 3), numbers(backend, 3, seed=1)
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
    x = numbers(backend, 3)
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
        anynet.grad(lambda x: total(double(x)))(numbers(backend, 3))


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


def test_a_network_inside_a_custom_derivative(backend):
    """Its buffers and parameters are arguments, also in a compiled step."""
    net = layers.Sequential(layers.Linear(3, 2), layers.BatchNorm(2), seed=0, backend=backend)
    x = numbers(backend, 4, 3, dtype="float32")
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


def test_cotangents_by_path(backend):
    """The order of a dict does not matter. Another tree, dtype or library raises."""
    x, u, v = (numbers(backend, 3, seed=i) for i in range(3))
    _, pullback = anynet.vjp(lambda x: {"u": 2 * x, "v": 3 * x}, x)
    for g in ({"u": u, "v": v}, {"v": v, "u": u}):
        assert_close(pullback(g)[0], 2 * host(u) + 3 * host(v))
    with pytest.raises(
        ShapeError,
        match=r"\(w\) were given: wanted those of the value, \(3,\) \(u\), \(3,\) \(v\)",
    ):
        pullback({"u": u, "w": v})
    with pytest.raises(
        DTypeError,
        match=r"a cotangent of .*complex128 was given for a value of .*float64",
    ):
        pullback(
            {
                "u": u,
                "v": array_namespace(v).astype(v, backend.xp.complex128),
            }
        )
    if backend.name != "numpy":
        with pytest.raises(
            MixedArraysError,
            match="a cotangent of numpy was given: wanted an array of the value's",
        ):
            pullback({"u": u, "v": host(v)})
    product = lambda p: p["a"] * p["a"] * p["b"]
    along = anynet.jvp(product, ({"a": x, "b": u},), ({"b": v, "a": u},))[1]
    assert_close(along, 2 * host(x) * host(u) ** 2 + host(x) ** 2 * host(v))
    second = anynet.hvp(lambda p: total(product(p)), {"a": x, "b": u}, {"b": v, "a": u})
    assert_close(second["b"], 2 * host(x) * host(u))
    # Arguments of integers have a tangent, which says nothing.
    indices = backend.asarray(np.array([2, 0]))
    take = lambda x, i: array_namespace(x).take(x, i, axis=0)
    assert_close(anynet.jvp(take, (x, indices), (u, indices))[1], host(u)[[2, 0]])
    with pytest.raises(
        DifferentiationError,
        match=r"jacobian wants arrays, and the function returned 3\.0",
    ):
        anynet.jacobian(lambda x: 3.0)(x)


def test_wrong_shapes_raise(backend):
    x = numbers(backend, 3)
    with pytest.raises(
        ShapeError,
        match=r"cotangents of shapes \(2,\) were given: wanted .* \(2, 3\)",
    ):
        anynet.vjp(f, x)[1](numbers(backend, 2))
    with pytest.raises(ShapeError, match=r"tangents has the shapes \(2,\) \(0\): wanted"):
        anynet.jvp(f, (x,), (numbers(backend, 2),))
    with pytest.raises(
        DifferentiationError,
        match=r"tangents is a .*: wanted a tuple with one tree",
    ):
        anynet.jvp(f, (x,), x)
    with pytest.raises(DifferentiationError, match="hold no floating array"):
        anynet.vjp(f, 3.0)
