import gc
import weakref

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import autodiff, tree
from anynet.array import array_namespace
from anynet.errors import (
    DifferentiationError,
    MixedArraysError,
    NoRuleError,
)
from anynet.tracing.trace import Traced, wrap


def total(x):
    return array_namespace(x).sum(x)


def test_value_and_gradient_keep_library_dtype_and_device(backend):
    for dtype in ("float32", "float64"):
        x = backend.asarray(np.array([1.0, 2.0, 3.0], dtype))
        value, g = anynet.value_and_grad(lambda x: total(x**3))(x)
        assert_close(value, 36, like=x)
        assert_close(g, [3, 12, 27], like=x)


def test_float64_does_not_leak_into_float32_gradients(backend):
    x = backend.asarray(np.ones((2, 3), "float32"))
    double = backend.asarray(np.full(3, 2.0))
    assert anynet.grad(lambda x: total(x * double))(x).dtype == x.dtype


def test_gradients_of_trees(backend):
    point = {
        "a": [normal(backend, 2), (normal(backend, 3),)],
        "steps": 3,
        "n": backend.asarray([1, 2]),
        "none": None,
    }
    g = anynet.grad(lambda p: total(p["a"][0] ** 2) + 3 * total(p["a"][1][0]))(point)
    assert_close(g["a"][0], 2 * host(point["a"][0]))
    assert_close(g["a"][1][0], np.full(3, 3.0))
    assert g["steps"] == 3
    assert g["n"] is None
    assert g["none"] is None


def test_class_with_tree_node_is_a_tree(backend):
    class Pair:
        tree_node = True

        def __init__(self, first, second):
            self.first, self.second = first, second

    pair = Pair(normal(backend, 2), [normal(backend, 2, seed=1)])
    g = anynet.grad(lambda p: total(p.first * p.second[0]))(pair)
    assert_close(g.first, host(pair.second[0]))
    assert list(dict(tree.leaves(g, buffers=False))) == [
        "first",
        "second.0",
    ]


def test_argnums(backend):
    x, y = normal(backend, 2, seed=1), normal(backend, 2, seed=2)
    f = lambda x, y: total(x * y)
    assert_close(anynet.grad(f, 1)(x, y), host(x))
    assert_close(anynet.grad(f, -1)(x, y), host(x))
    gy, gx = anynet.grad(f, (1, 0))(x, y)
    assert_close(gy, host(x))
    assert_close(gx, host(y))
    with pytest.raises(
        DifferentiationError,
        match="argnums is 2, and the function was called with 2",
    ):
        anynet.grad(f, 2)(x, y)


def test_argnames(backend):
    x, y = normal(backend, 2, seed=1), normal(backend, 2, seed=2)
    f = lambda x, y, k=1.0: k * total(x**2 * y)
    of_x, of_y = 2 * host(x) * host(y), host(x) ** 2
    assert_close(anynet.grad(f, argnames="y")(x, y=y, k=2.0), 2 * of_y)
    # An argument of that name counts where it is given in order too.
    assert_close(anynet.grad(f, argnames="y")(x, y), of_y)
    by_name = anynet.grad(f, argnames=("y", "x"))(x, y=y)
    assert list(by_name) == ["y", "x"]
    assert_close(by_name["x"], of_x)
    assert_close(by_name["y"], of_y)
    value, (first, named) = anynet.value_and_grad(f, 0, argnames=("y",))(x, y=y)
    assert_close(value, (of_y * host(y)).sum())
    assert_close(first, of_x)
    assert_close(named["y"], of_y)
    for argnames, message in (
        ("z", "argnames is 'z': the function was called without"),
        (3, "argnames is 3"),
    ):
        with pytest.raises(DifferentiationError, match=message):
            anynet.grad(f, argnames=argnames)(x, y=y)
    with pytest.raises(DifferentiationError, match="chooses one argument twice"):
        anynet.grad(f, 0, argnames="x")(x, y)
    with pytest.raises(
        DifferentiationError,
        match="with 1 positional arguments and y by name: choose those with argnames",
    ):
        anynet.grad(f, 1)(x, y=y)


def test_has_aux(backend):
    x = normal(backend, 3)
    f = lambda x: (
        total(x**2),
        {"cubes": [x**3], "x": x, "steps": 4, "none": None},
    )
    (value, aux), g = anynet.value_and_grad(f, has_aux=True)(x)
    assert_close(value, (host(x) ** 2).sum(), like=x)
    assert_close(g, 2 * host(x), like=x)
    assert_close(aux["cubes"][0], host(x) ** 3, like=x)
    assert type(aux["cubes"][0]) is type(aux["x"]) is type(x)
    assert aux["steps"] == 4
    assert aux["none"] is None
    g, aux = anynet.grad(f, has_aux=True)(x)
    assert_close(g, 2 * host(x))
    # What goes along is differentiated by a gradient further out.
    outer = anynet.grad(
        lambda x: total(anynet.value_and_grad(f, has_aux=True)(x)[0][1]["cubes"][0])
    )(x)
    assert_close(outer, 3 * host(x) ** 2)
    for returned, given in (
        (lambda x: total(x), "a Traced"),
        (lambda x: (total(x), 1, 2), "a tuple of 3"),
    ):
        with pytest.raises(
            DifferentiationError,
            match=f"has_aux needs .* a pair.*; this one returned {given}",
        ):
            anynet.grad(returned, has_aux=True)(x)


def test_array_used_twice_gets_both_cotangents(backend):
    x = normal(backend, 3)
    assert_close(anynet.grad(lambda x: total(x * x + x))(x), 2 * host(x) + 1)


def test_unused_array_of_a_tree_has_gradient_zero(backend):
    g = anynet.grad(lambda p: total(p[0]))([normal(backend, 2), normal(backend, 2)])
    assert_close(g[1], np.zeros(2))


def test_closed_over_arrays_are_constants(backend):
    x, w = normal(backend, 4, 3), normal(backend, 3, 2)
    xp = backend.xp

    def f(w):
        created = array_namespace(w).ones((2,), dtype=w.dtype, device=w.device)
        return total(array_namespace(x, w).matmul(x, w) + created)

    g = anynet.grad(f)(w)
    assert_close(g, np.repeat(host(xp.sum(x, axis=0))[:, None], 2, axis=1))


def test_products_with_repeated_cotangents(backend):
    """The cotangent of a sum is a broadcast view, which takes no memory."""
    x, w, b, v = (normal(backend, *shape) for shape in ((5, 4, 3), (5, 3, 2), (2,), (5, 2)))
    product = lambda w: array_namespace(w).matmul(x, w)
    g = anynet.grad(lambda w: total(product(w)))(w)
    assert_close(g, np.repeat(host(x).sum(axis=1)[..., None], 2, axis=-1))
    g = anynet.grad(lambda w: total(array_namespace(w).mean(product(w), axis=1) * v))(w)
    assert_close(g, host(x).mean(axis=1)[..., None] * host(v)[:, None, :])
    of_bias = lambda w: anynet.grad(lambda b: total((product(w) + b) ** 2))(b)
    g = anynet.grad(lambda w: total(of_bias(w) * v[0, :]))(w)
    assert_close(g, 2 * host(x).sum(axis=1)[..., None] * host(v)[0])


def test_derivatives_of_derivatives(backend):
    x = backend.asarray(np.array(0.7))
    derivative = lambda x: array_namespace(x).sin(x)
    for expected in (np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7)):
        derivative = anynet.grad(derivative)
        assert float(derivative(x)) == pytest.approx(expected, rel=1e-12)


def test_nested_gradients_do_not_confuse_their_variables(backend):
    x = backend.asarray(np.array(3.0))
    outer = anynet.grad(lambda x: x * anynet.grad(lambda y: x + y)(x))
    assert float(outer(x)) == 1.0
    mixed = anynet.grad(lambda x: anynet.grad(lambda y: x * x * y * y)(x))
    assert float(mixed(x)) == pytest.approx(6 * 3.0**2)


def test_stop_gradient(backend):
    x = normal(backend, 3)
    assert_close(
        anynet.grad(lambda x: total(x * anynet.stop_gradient(x)))(x),
        host(x),
    )
    assert anynet.stop_gradient([x, 1])[0] is x
    inner = anynet.grad(lambda y: total(y * anynet.stop_gradient(y)))
    assert_close(anynet.grad(lambda x: total(inner(x) ** 2))(x), np.zeros(3))


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: x, r"returned shape \(3,\) of .*float64: reduce it"),
        (lambda x: 1.0, "returned 1.0, which depends on no argument"),
        (lambda x: total(anynet.stop_gradient(x)), "is an argument unused"),
        (
            lambda x: array_namespace(x).argmax(x),
            "a scalar of .*int64: integers and booleans have no derivative",
        ),
        (
            lambda x: total(x + 1j),
            r"a scalar of .*complex128: take its abs\(\)",
        ),
        (
            lambda x: (total(x), x),
            "returned a tuple: return the scalar alone",
        ),
        (
            lambda x: x + float(total(x)),
            r"float\(\) of Traced.* would cut it out",
        ),
    ],
)
def test_values_without_gradient_raise(backend, f, message):
    with pytest.raises((DifferentiationError, NoRuleError), match=message):
        anynet.grad(f)(normal(backend, 3))


@pytest.mark.parametrize("argument", [2.0, 3, [], {"n": 1}])
def test_arguments_without_floating_arrays_raise(argument):
    with pytest.raises(DifferentiationError, match="holds no floating array"):
        anynet.grad(lambda x: x)(argument)


def test_integers_are_constants(backend):
    with pytest.raises(DifferentiationError, match="holds no floating array"):
        anynet.grad(total)(backend.asarray([1, 2]))


def test_traced_arrays_after_the_call_raise(backend):
    kept = []

    def f(x):
        kept.append(x)
        return total(x)

    anynet.grad(f)(normal(backend, 2))
    with pytest.raises(DifferentiationError, match="used after the call"):
        kept[0] + 1


def test_two_libraries_in_one_call_raise():
    strict = pytest.importorskip("array_api_strict", reason="needs a second library")
    w, x = np.ones((3, 2)), strict.ones((4, 3))
    from anynet.primitives import affine

    for f in (
        lambda w: affine(x, w, None),
        lambda w: anynet.grad(lambda w: total(affine(x, w, None)))(w),
    ):
        with pytest.raises(
            MixedArraysError,
            match=r"array_api_strict on .*CPU_DEVICE.* and numpy on cpu",
        ):
            f(w)


def test_two_devices_in_one_call_raise():
    pytest.importorskip("array_api_strict", reason="needs a library with several devices")
    x = normal(anynet.get_backend("array_api_strict"), 4, 3)
    w = normal(anynet.get_backend("array_api_strict:device1"), 3, 2)
    from anynet.primitives import affine

    with pytest.raises(MixedArraysError, match=r"affine: .*CPU_DEVICE.* and .*device1"):
        affine(x, w, None)


def test_arrays_are_freed_after_the_walk():
    class Array(np.ndarray):
        pass

    gc.collect()
    gc.disable()
    try:
        x = np.ones((10, 10)).view(Array)
        reference = weakref.ref(x)
        anynet.value_and_grad(lambda x: total(array_namespace(x).exp(x) * x))(x)
        del x
        assert reference() is None
    finally:
        gc.enable()


def test_several_outputs(backend):
    def rule(xp, out, x):
        return lambda g: sum(
            (part * factor for part, factor in zip(g, (2, 3), strict=True) if part is not None),
            0 * x,
        )

    @autodiff.primitive(rule)
    def both(x):
        return 2 * x, 3 * x

    x = normal(backend, 3)
    assert_close(anynet.grad(lambda x: total(both(x)[0]))(x), np.full(3, 2.0))
    assert_close(
        anynet.grad(lambda x: total(both(x)[0] + both(x)[1]))(x),
        np.full(3, 5.0),
    )


def test_wrap_of_several_arrays():
    x = np.ones(2)
    for several in ([x, 3], (x, 3)):
        wrapped = wrap(several)
        assert type(wrapped) is type(several)
        assert [type(part) for part in wrapped] == [Traced, int]


def test_differentiable_namespace(backend):
    seen = {}

    def f(x):
        xp = array_namespace(x)
        seen["same"] = xp is autodiff.differentiable(backend.xp)
        seen["zeros"] = type(xp.zeros((2,), dtype=x.dtype, device=x.device))
        seen["like"] = xp.ones_like(x).shape
        seen["pi"] = xp.pi
        seen["bool"] = bool(x[0] > x[0] - 1)
        seen["dtype"] = xp.float32 == backend.xp.float32
        seen["eps"] = float(xp.finfo(x.dtype).eps)
        return total(x)

    anynet.grad(f)(normal(backend, 2))
    assert seen == {
        "same": True,
        "zeros": Traced,
        "like": (2,),
        "pi": backend.xp.pi,
        "bool": True,
        "dtype": True,
        "eps": np.finfo("float64").eps,
    }


def test_trees_of_other_structure_raise():
    with pytest.raises(ValueError, match="'b' is in the first and not in the other"):
        tree.pairs({"b": np.ones(2)}, {"a": np.ones(2)})
    with pytest.raises(TypeError, match="make it a list"):
        tree.pairs((np.ones(2),), (np.ones(2),))
