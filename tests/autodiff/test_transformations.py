"""Derivatives other than gradients: vjp, jvp, jacobian, hessian and hvp."""

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet.array import array_namespace
from anynet.errors import (
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
    x = normal(backend, 3)
    assert_close(anynet.jacobian(f)(x), expected_jacobian(host(x)), like=x)
    assert anynet.jacobian(lambda x: x[:0])(x).shape == (0, 3)
    second = anynet.jacobian(lambda y, x: x * y, argnums=1)(x, x)
    assert_close(second, np.diag(host(x)))


def test_jacobian_of_chosen_arguments(backend):
    x, y = normal(backend, 2), normal(backend, 3, seed=1)
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
    x, y = normal(backend, 2), normal(backend, 3, seed=1)
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
    x = normal(backend, 2)
    with pytest.raises(DifferentiationError, match=message):
        transformation(lambda x, y: total(x * y), argnums)(x, x)


def test_keyword_arguments_are_constants(backend):
    x, w = normal(backend, 3), normal(backend, 3, seed=1)
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
        normal(backend, 3),
        normal(backend, 2, 3, seed=1),
        normal(backend, 3, seed=2),
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
    x, v = normal(backend, 4), normal(backend, 4, seed=1)
    g = lambda x: total(x**3) + total(x) ** 2
    expected = np.diag(6 * host(x)) + 2
    assert_close(anynet.hessian(g)(x), expected, like=x, atol=1e-12)
    assert_close(anynet.hvp(g, x, v), expected @ host(v), like=x, rtol=1e-8)


def test_trees(backend):
    point = {"a": normal(backend, 2), "b": [normal(backend, 3, seed=1)]}
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
        "a": normal(backend, 2, seed=3),
        "b": [normal(backend, 3, seed=4)],
    }
    along = anynet.hvp(scalar, point, v)
    assert_close(
        along["a"],
        np.full(2, 2 * host(point["b"][0]) @ host(v["b"][0])),
        rtol=1e-8,
    )


def test_nesting_in_any_order(backend):
    x, v = normal(backend, 3), normal(backend, 3, seed=1)
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
    z = backend.asarray(host(normal(backend, 3)) + 1j * host(normal(backend, 3, seed=1)))
    v = backend.asarray(host(normal(backend, 3, seed=2)) + 1j * host(normal(backend, 3, seed=3)))
    g = backend.asarray(host(normal(backend, 3, seed=4)) + 1j * host(normal(backend, 3, seed=5)))
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
            match="jacobian needs real values, and the function returned",
        ):
            transformation(z)
    modulus = lambda z: array_namespace(z).abs(z) ** 2
    assert_close(anynet.jacobian(modulus)(z), np.diag(2 * host(z)))


def test_cotangents_by_path(backend):
    """The order of a dict does not matter. Another tree, dtype or library raises."""
    x, u, v = (normal(backend, 3, seed=i) for i in range(3))
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
        match=r"jacobian needs arrays, and the function returned 3\.0",
    ):
        anynet.jacobian(lambda x: 3.0)(x)


def test_wrong_shapes_raise(backend):
    x = normal(backend, 3)
    with pytest.raises(
        ShapeError,
        match=r"cotangents of shapes \(2,\) were given: wanted .* \(2, 3\)",
    ):
        anynet.vjp(f, x)[1](normal(backend, 2))
    with pytest.raises(ShapeError, match=r"tangents has the shapes \(2,\) \(0\): wanted"):
        anynet.jvp(f, (x,), (normal(backend, 2),))
    with pytest.raises(
        DifferentiationError,
        match=r"tangents is a .*: wanted a tuple with one tree",
    ):
        anynet.jvp(f, (x,), x)
    with pytest.raises(DifferentiationError, match="hold no floating array"):
        anynet.vjp(f, 3.0)
