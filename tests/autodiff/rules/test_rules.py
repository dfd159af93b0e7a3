"""Every rule against central differences, first and second derivatives, over shapes that hypothesis
draws."""

import math

import numpy as np
import pytest
from derivatives import (
    CASES,
    COMPLEX,
    agree,
    complex_point,
    drawn,
    weighted,
)
from helpers import host
from hypothesis import HealthCheck, given, settings

import anynet
from anynet.array import array_namespace
from anynet.autodiff import rules
from anynet.autodiff.rules import DECOMPOSITIONS, RULES
from anynet.errors import NoRuleError
from anynet.tracing.standard import CHAPTERS, WITHOUT_DERIVATIVE
from anynet.tracing.trace import Primitive

# What a library lacks, of the standard or beyond it.
LACKING = {
    "array_api_strict": {
        "rows": "the standard has no such key",
        "mask of rows": "the standard has no such key",
    },
    "torch": {"unique_all": "PyTorch has no unique_all"},
}


def holds_for_all(backend, shapes, holds):
    """Check a rule on random shapes. JAX compiles for each shape, so it gets few of them."""
    examples = 4 if backend.name == "jax" else 15
    checks = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    checks(given(shapes.drawn)(holds))()


@pytest.mark.filterwarnings(
    "ignore:`axes` should not be `None`"
)  # NumPy's, of what the standard allows
@pytest.mark.parametrize("name", CASES)
def test_rule(backend, name):
    if name in LACKING.get(backend.name, {}):
        pytest.skip(reason=LACKING[backend.name][name])
    case = CASES[name]
    f = weighted(case.function)
    holds_for_all(
        backend,
        case.shapes,
        lambda shapes: agree(f, [backend.asarray(x) for x in case.point(shapes)]),
    )


@pytest.mark.parametrize("name", COMPLEX)
def test_rule_with_complex_values(backend, name):
    case = COMPLEX[name]
    f = weighted(case.function)
    holds_for_all(
        backend,
        case.shapes,
        lambda shapes: agree(f, [backend.asarray(x) for x in complex_point(case, shapes)]),
    )


def test_every_rule_is_tested():
    tested = {name.partition(" ")[0] for name in (*CASES, *COMPLEX)}
    assert set(RULES) | set(DECOMPOSITIONS) <= tested


@pytest.mark.parametrize("number", [2, 2.5, 0, 1, -1])
def test_operators_with_scalars(backend, number):
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
        agree(weighted(lambda xp, x, f=f: f(x)), [x])


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
    real = lambda f: lambda x: array_namespace(x).sum(array_namespace(x).real(f(x)))
    second = anynet.grad(real(anynet.grad(real(lambda x: x**2))))
    assert host(second(backend.asarray(np.zeros(1, "complex128")))) == 2


def one_sided(f, backend, *numbers):
    """Return the gradient of the sum of f at a point, as numbers."""
    return host(
        anynet.grad(lambda x: array_namespace(x).sum(f(array_namespace(x), x)))(
            backend.asarray(numbers)
        )
    ).tolist()


@pytest.mark.filterwarnings("ignore:divide by zero")  # NumPy says so of every infinity
def test_points_without_a_derivative(backend):
    """The derivative is the convention of the rules, and never NaN."""
    assert one_sided(lambda xp, x: xp.atan2(x, 0 * x), backend, 0.0) == [0]
    assert one_sided(lambda xp, x: xp.hypot(x, x), backend, 0.0) == [0]
    assert one_sided(lambda xp, x: xp.std(x), backend, 2.0, 2.0) == [0, 0]
    assert one_sided(lambda xp, x: xp.linalg.vector_norm(x), backend, 0.0, 0.0) == [0, 0]
    assert one_sided(lambda xp, x: xp.sign(x) + xp.abs(x), backend, 0.0) == [0]
    assert one_sided(lambda xp, x: xp.clip(x, -1, 1), backend, -1.0, 1.0, 2.0) == [1, 1, 0]
    assert one_sided(lambda xp, x: xp.sqrt(x), backend, 0.0) == [math.inf]
    infinity = math.inf
    assert one_sided(lambda xp, x: xp.exp(xp.logaddexp(x, x)), backend, -infinity) == [0]
    assert one_sided(lambda xp, x: xp.logaddexp(x[:1], x[1:]), backend, infinity, 1.0) == [1, 0]


@pytest.mark.filterwarnings("ignore:divide by zero")  # NumPy says so of every infinity
def test_where_blocks_infinities(backend):
    """The branch not taken passes nothing on, whatever came to it."""
    found = one_sided(
        lambda xp, x: xp.sqrt(xp.where(x > 0, x, xp.zeros_like(x))),
        backend,
        4.0,
        -1.0,
    )
    assert found == [0.25, 0]


def test_every_function_has_a_rule_or_decomposition():
    """array_api_strict has exactly the standard's functions."""
    import array_api_strict as strict

    without_arrays = """
        arange asarray astype can_cast empty empty_like eye finfo from_dlpack full full_like iinfo
        isdtype linspace ones ones_like result_type zeros zeros_like fftfreq rfftfreq
    """.split()
    names = {
        name
        for name in strict.__all__
        if callable(getattr(strict, name)) and name not in without_arrays
    }
    names = {
        name for name in names if not isinstance(getattr(strict, name), type) and name[0] != "_"
    }
    names = {
        name
        for name in names
        if name.islower() and "flags" not in name and not hasattr(strict._dtypes, name)
    }
    for extension in ("linalg", "fft"):
        module = getattr(strict, extension)
        names |= {f"{extension}.{name}" for name in module.__all__ if name not in without_arrays}
    names -= {
        "broadcast_shapes",
        "isin",
        "linalg.eig",
        "linalg.eigvals",
    }  # of the standard after the one that is kept to here
    known = [*RULES, *DECOMPOSITIONS, *WITHOUT_DERIVATIVE]
    assert len(known) == len(set(known))
    same = {f"linalg.{name}" for name in ("matmul", "matrix_transpose", "tensordot", "vecdot")}
    assert names - set(known) - same - {"concat", "stack"} == set()
    assert set(known) <= {name for chapter in CHAPTERS.values() for name in chapter}


def test_error_of_a_missing_rule_names_function_and_file(backend):
    unruled = Primitive("prod", rules._missing("prod", "statistical"))
    with pytest.raises(
        NoRuleError,
        match=r"'prod': add one to anynet/autodiff/rules/statistical.py",
    ):
        anynet.grad(lambda x: unruled(x))(backend.asarray([1.0, 2.0]))
