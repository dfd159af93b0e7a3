"""Every rule against central differences, over shapes that hypothesis draws, first and second derivatives."""

import numpy as np
import pytest
from derivatives import BINARY, REDUCTIONS, SHAPED, UNARY, agree, drawn, weighted
from helpers import host
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp

import anynet
from anynet.array import array_namespace
from anynet.autodiff import rules
from anynet.autodiff.rules import COMPOSITIONS, RULES
from anynet.autodiff.rules.chapters import CHAPTERS, WITHOUT_DERIVATIVE
from anynet.autodiff.trace import Primitive
from anynet.errors import NoRuleError


@pytest.mark.parametrize("name", UNARY)
def test_unary(backend, name):
    for shape in ((), (3,), (2, 0), (2, 3)):
        agree(weighted(lambda xp, x: getattr(xp, name)(x)), backend.asarray(drawn(shape, *UNARY[name], 0)))


@pytest.mark.parametrize("name", BINARY)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=3))
def test_binary_broadcast(backend, name, shapes):
    a, b = (backend.asarray(drawn(shape, *BINARY[name], i)) for i, shape in enumerate(shapes.input_shapes))
    agree(weighted(lambda xp, x: getattr(xp, name)(x, b)), a)
    if name != "copysign":
        agree(weighted(lambda xp, x: getattr(xp, name)(a, x)), b)


@pytest.mark.parametrize("number", [2, 2.5, 0, 1, -1])
def test_operators_with_numbers(backend, number):
    x = backend.asarray(drawn((3,), 0.5, 2, 0))
    for f in (
        lambda x: x + number,
        lambda x: number - x,
        lambda x: x * number,
        lambda x: number / x,
        lambda x: x**number,
        lambda x: (number + 3) ** x,
        lambda x: -x + abs(x),
    ):
        agree(weighted(lambda xp, x, f=f: f(x)), x)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(backend, name, axis, keepdims):
    x = backend.asarray(drawn((2, 3, 4), -1, 1, 5))
    agree(weighted(lambda xp, x: getattr(xp, name)(x, axis=axis, keepdims=keepdims)), x)


@pytest.mark.parametrize("name", SHAPED)
def test_manipulation(backend, name):
    agree(weighted(SHAPED[name]), backend.asarray(drawn((2, 3, 4), -1, 1, 7)))


@pytest.mark.parametrize(
    ("left", "right"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((1, 2, 3), (5, 3, 2))],
)
def test_matmul(backend, left, right):
    a, b = backend.asarray(drawn(left, -1, 1, 0)), backend.asarray(drawn(right, -1, 1, 1))
    agree(weighted(lambda xp, x: xp.matmul(x, b)), a)
    agree(weighted(lambda xp, x: xp.matmul(a, x)), b)


def test_vecdot(backend):
    a, b = backend.asarray(drawn((2, 3), -1, 1, 0)), backend.asarray(drawn((2, 3), -1, 1, 1))
    agree(weighted(lambda xp, x: xp.vecdot(x, b)), a)
    agree(weighted(lambda xp, x: xp.vecdot(a, x, axis=-1)), b)


def test_remainder(backend):
    x, y = backend.asarray(drawn((4,), 3.1, 3.9, 0)), backend.asarray(drawn((4,), 1.1, 1.2, 0))
    agree(weighted(lambda xp, x: xp.remainder(x, y)), x)
    agree(weighted(lambda xp, y: xp.remainder(x, y)), y)


def test_ties_share_the_cotangent(backend):
    x = backend.asarray([1.0, 1.0, 0.0])
    maximum = anynet.grad(lambda x: array_namespace(x).max(x))
    np.testing.assert_array_equal(host(maximum(x)), [0.5, 0.5, 0.0])
    other = backend.asarray([1.0, 0.0, 0.0])
    both = anynet.grad(lambda x: array_namespace(x).sum(array_namespace(x).maximum(x, other)))
    np.testing.assert_array_equal(host(both(x)), [0.5, 1.0, 0.5])
    absolute = anynet.grad(lambda x: array_namespace(x).sum(array_namespace(x).abs(x)))
    np.testing.assert_array_equal(host(absolute(x)), [1.0, 1.0, 0.0])


def test_power_at_zero(backend):
    zero = backend.asarray([0.0])
    assert host(anynet.grad(lambda x: array_namespace(x).sum(x**2))(zero)) == 0
    assert host(anynet.grad(lambda x: array_namespace(x).sum(x**0))(zero)) == 0
    power = anynet.grad(lambda y: array_namespace(y).sum(array_namespace(y).pow(zero, y)))
    assert host(power(backend.asarray([2.0]))) == 0


def test_every_function_of_the_standard_is_ruled_composed_or_marked():
    """array_api_strict has the standard's functions and no others; those that take no arrays have no derivative."""
    import array_api_strict as strict

    without_arrays = """
        arange asarray astype can_cast empty empty_like eye finfo from_dlpack full full_like iinfo isdtype linspace ones
        ones_like result_type zeros zeros_like fftfreq rfftfreq
    """.split()
    names = {name for name in strict.__all__ if callable(getattr(strict, name)) and name not in without_arrays}
    names = {name for name in names if not isinstance(getattr(strict, name), type) and name[0] != "_"}
    names = {name for name in names if name.islower() and "flags" not in name and not hasattr(strict._dtypes, name)}
    for extension in ("linalg", "fft"):
        module = getattr(strict, extension)
        names |= {f"{extension}.{name}" for name in module.__all__ if name not in without_arrays}
    names -= {
        "broadcast_shapes",
        "isin",
        "linalg.eig",
        "linalg.eigvals",
    }  # of the standard after the one that is kept to here
    known = [*RULES, *COMPOSITIONS, *WITHOUT_DERIVATIVE]
    assert len(known) == len(set(known))
    same = {f"linalg.{name}" for name in ("matmul", "matrix_transpose", "tensordot", "vecdot")}
    assert names - set(known) - same - {"concat", "stack"} == set()
    assert set(known) <= {name for chapter in CHAPTERS.values() for name in chapter}


def test_a_missing_rule_names_the_function_and_the_file(backend):
    unruled = Primitive("prod", rules._missing("prod", "statistical"))
    with pytest.raises(NoRuleError, match=r"'prod': add one to anynet/autodiff/rules/statistical.py"):
        anynet.grad(lambda x: unruled(x))(backend.asarray([1.0, 2.0]))
