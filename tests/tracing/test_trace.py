"""Traced arrays and their namespace: sequences, scalars of other libraries, and errors."""

import math

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet.array import array_namespace
from anynet.errors import (
    AttributeNameError,
    CompilationError,
    DifferentiationError,
    MixedArraysError,
)
from anynet.tracing.trace import wrap


def total(x):
    return array_namespace(x).sum(x)


def test_sequences_of_traced_arrays(backend):
    x = normal(backend, 3)
    a, b, c = host(x)
    unpacked = lambda x: (lambda a, b, c: a * b * c)(*x)
    assert_close(anynet.grad(unpacked)(x), [b * c, a * c, a * b])
    assert len(wrap(x)) == 3
    with pytest.raises(TypeError, match="no length"):
        len(wrap(x)[0, ...])


def test_asarray_of_traced_scalars(backend):
    x = normal(backend, 2)
    a, b = host(x)

    def f(x):
        xp = array_namespace(x)
        square = xp.asarray([[x[0], 1.0], [x[1], x[0] * x[1]]])
        return xp.linalg.det(square) * total(xp.full((2, 2), x[0])) + total(xp.full_like(x, x[1]))

    value = a * a * b - b
    assert_close(
        anynet.grad(f)(x),
        [2 * a * b * 4 * a + value * 4, (a * a - 1) * 4 * a + 2],
        rtol=1e-6,
    )


def test_numpy_scalars_beside_arrays_of_other_libraries(backend):
    x = normal(backend, 3)
    for f in (
        lambda x: total(x * np.float64(2)) + total(np.sqrt(4.0) * x),
        lambda x: total(x * 4 + array_namespace(x).finfo(x.dtype).eps * 0),
        lambda x: 2 * total(array_namespace(x).multiply(x, np.float64(2))),
    ):
        assert_close(anynet.grad(f)(x), np.full(3, 4.0), like=x)


def test_namespace_has_only_names_of_the_standard(
    backend,
):
    def f(x):
        xp = array_namespace(x)
        assert xp.finfo(x).bits == 64
        assert xp.result_type(x, xp.float32) == x.dtype
        assert xp.isdtype(x.dtype, "real floating")
        assert not hasattr(xp, "einsum")
        assert not hasattr(xp, "special")
        with pytest.raises(
            AttributeError,
            match=r"einsum is not in the Array API standard.*custom_vjp",
        ):
            xp.einsum("i,i->", x, x)
        return total(x)

    anynet.grad(f)(normal(backend, 3))


def test_compiled_code_takes_constants_only(backend):
    x = normal(backend, 3)
    constant = wrap(x)
    np.testing.assert_array_equal(np.asarray(constant), host(x))
    assert np.asarray(constant, dtype="float32").dtype == np.float32
    with pytest.raises(
        DifferentiationError,
        match=r"a plain array of Traced.* would cut it out.*custom_vjp",
    ):
        anynet.grad(lambda x: total(x * np.asarray(x).max()))(x)
    assert anynet.grad(lambda x: total(x * float(np.asarray(anynet.stop_gradient(x)).max())))(
        x
    ).shape == (3,)


def test_unknown_methods_raise(backend):
    with pytest.raises(
        AttributeError,
        match=r"'detach' is none of them: use a function of its namespace",
    ):
        anynet.grad(lambda x: total(x.detach()))(normal(backend, 3))


def test_functions_of_the_newest_standard(backend):
    x = normal(backend, 3, 3)

    def f(x):
        xp = array_namespace(x)
        assert tuple(xp.broadcast_shapes((2, 1), (3,))) == (2, 3)
        assert xp.isdtype(x.dtype, kind="real floating")
        places = xp.reshape(xp.arange(9, device=x.device), (3, 3))
        return total(
            xp.where(
                xp.isin(places, xp.asarray([1, 5], device=x.device)),
                x,
                x * 2,
            )
        )

    assert_close(anynet.grad(f)(x), [[2, 1, 2], [2, 2, 1], [2, 2, 2]])


def test_plain_beside_traced_arrays_in_third_party_code():
    special = pytest.importorskip("scipy.special", reason="needs SciPy")
    x = np.array([1.0, 2.0])
    mixed = lambda x: total(special.rel_entr(x, np.array([0.5, 0.5])))
    for run in (
        anynet.grad(mixed),
        lambda x: anynet.vjp(mixed, x),
        anynet.compile(mixed),
    ):
        with pytest.raises(
            MixedArraysError,
            match=r"xp = x.__array_namespace__\(\); y = xp.asarray\(y\)",
        ):
            run(x)
    wrapped = lambda x: total(special.rel_entr(x, array_namespace(x).asarray(np.array([0.5, 0.5]))))
    assert_close(anynet.grad(wrapped)(x), np.log(x / 0.5) + 1)


def test_library_functions_raise_for_traced_arrays():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    with pytest.raises(
        DifferentiationError,
        match=r"must be Tensor, not Traced.*xp.exp\(x\).*custom_vjp",
    ):
        anynet.grad(lambda x: torch.exp(x).sum())(torch.ones(3))


SCALARS_OUT = {
    "format": (lambda x: f"{x:.3f}", r"format\(x, '\.3f'\)"),
    "str.format": (lambda x: f"{x:>8}", r"format\(x, '>8'\)"),
    "%": (lambda x: "%.3f" % x, r"float\(\)"),  # noqa: UP031 - what is tested
    "round": (round, r"round\(\)"),
    "round to digits": (lambda x: round(x, 2), r"round\(\)"),
    "int": (int, r"int\(\)"),
    "trunc": (math.trunc, r"trunc\(\)"),
    "floor": (math.floor, r"float\(\)"),
    "sin": (math.sin, r"float\(\)"),
    "range": (range, r"index\(\)"),
}


@pytest.mark.parametrize("way", SCALARS_OUT)
def test_scalar_conversions_of_variables_raise(backend, way):
    """The error has the remedy. A result of stop_gradient is formatted as a Python scalar."""
    function, shown = SCALARS_OUT[way]
    x = backend.asarray(np.asarray(2.0))
    with pytest.raises(
        DifferentiationError,
        match=rf"^{shown} of Traced\(tape.*anynet\.stop_gradient\(x\) if no",
    ):
        anynet.grad(lambda x: function(x) and x)(x)
    with pytest.raises(CompilationError, match=rf"^{shown} of Traced\(recorder"):
        anynet.compile(lambda x: function(x) and x)(x)
    found = []
    if way != "range":
        anynet.grad(lambda x: (found.append(function(anynet.stop_gradient(x))), x)[1])(x)
        assert found == [function(2.0)]


def test_formats_of_constants(backend):
    found = []

    def f(x):
        y = anynet.stop_gradient(x)
        found.append((f"{y:.2e}", f"{y > 0:d}", f"{y}", round(y, 1), math.trunc(y)))
        return x

    anynet.grad(f)(backend.asarray(np.asarray(1.57)))
    exponent, flag, plain, rounded, whole = found[0]
    assert (exponent, flag, rounded, whole) == ("1.57e+00", "1", 1.6, 1)
    assert plain.startswith("Traced(constant")


def test_divmod(backend):
    x = backend.asarray(np.asarray(7.5))
    assert_close(anynet.grad(lambda x: sum(divmod(x, 2)))(x), 1.0)
    assert_close(anynet.grad(lambda x: divmod(16, x)[1])(x), -2.0)


def test_attributes_of_other_libraries_raise(backend):
    for name in ("numpy", "detach", "backward", "grad", "requires_grad_"):
        with pytest.raises(
            AttributeNameError,
            match=f"'{name}' is none of them: use a function of its namespace",
        ):
            getattr(wrap(backend.asarray(np.zeros(2))), name)
