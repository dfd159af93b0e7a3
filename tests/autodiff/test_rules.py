"""Every rule against central differences, over shapes that hypothesis draws, first and second derivatives."""

import math

import numpy as np
import pytest
from helpers import host
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import anynet
from anynet.array import array_namespace
from anynet.autodiff.rules import RULES
from anynet.autodiff.rules.chapters import CHAPTERS, WITHOUT_DERIVATIVE
from anynet.autodiff.trace import STANDARD, lift
from anynet.errors import NoRuleError

# Where each function is smooth: its arguments are drawn from here.
UNARY = {
    "abs": (0.1, 2), "acos": (-0.9, 0.9), "acosh": (1.1, 3), "asin": (-0.9, 0.9), "asinh": (-2, 2), "atan": (-2, 2),
    "atanh": (-0.9, 0.9), "cos": (-3, 3), "cosh": (-2, 2), "exp": (-2, 2), "expm1": (-2, 2), "log": (0.1, 3),
    "log1p": (-0.9, 3), "log2": (0.1, 3), "log10": (0.1, 3), "negative": (-2, 2), "positive": (-2, 2),
    "reciprocal": (0.2, 2), "sin": (-3, 3), "sinh": (-2, 2), "sqrt": (0.1, 3), "square": (-2, 2), "tan": (-1.2, 1.2),
    "tanh": (-2, 2),
}  # fmt: skip
BINARY = {
    "add": (-2, 2), "atan2": (0.3, 2), "copysign": (0.2, 2), "divide": (0.3, 2), "hypot": (0.2, 2),
    "logaddexp": (-2, 2), "maximum": (-2, 2), "minimum": (-2, 2), "multiply": (-2, 2), "pow": (0.3, 2),
    "subtract": (-2, 2),
}  # fmt: skip


def directional(f, x, order=1):
    """Return the analytic and the numerical derivative of f along a random direction, of the gradient for order 2."""
    xp = array_namespace(x)
    if order == 2:
        weights = xp.asarray(np.random.default_rng(2).normal(size=x.shape), device=x.device)
        first = anynet.grad(f)
        return directional(lambda y: array_namespace(y).sum(first(y) * weights), x)
    v = np.random.default_rng(1).normal(size=x.shape)
    analytic = np.sum(host(anynet.grad(f)(x)) * v)
    step = 1e-5 * xp.asarray(v, device=x.device)
    # As constants, for not every library reads a slice backwards, and anynet does.
    return analytic, float((f(lift(x + step)) - f(lift(x - step))) / 2e-5)


def agree(f, x, orders=(1, 2)):
    for order in orders:
        analytic, numerical = directional(f, x, order)
        assert analytic == pytest.approx(numerical, rel=2e-6, abs=2e-7), f"derivative {order}"


def drawn(shape, low, high, seed):
    return np.random.default_rng(seed).uniform(low, high, size=shape)


def weighted(function, seed=3):
    """Return a scalar function whose cotangents all differ."""

    def f(x):
        xp = array_namespace(x)
        y = function(xp, x)
        weights = xp.reshape(xp.cos(xp.arange(math.prod(y.shape), dtype=y.dtype, device=y.device)), y.shape)
        return xp.sum(y * weights)

    return f


@pytest.mark.parametrize("name", UNARY)
def test_unary(backend, name):
    for shape in ((), (3,), (2, 0), (2, 3)):
        agree(weighted(lambda xp, x: getattr(xp, name)(x)), backend.asarray(drawn(shape, *UNARY[name], 0)))


@pytest.mark.parametrize("name", BINARY)
@settings(max_examples=15, deadline=None)
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=3), data=st.data())
def test_binary_broadcast(name, shapes, data):
    backend = anynet.get_backend(data.draw(st.sampled_from(["numpy", "array_api_strict"])))
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


REDUCTIONS = ["sum", "mean", "max", "min", "var", "std"]


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(backend, name, axis, keepdims):
    x = backend.asarray(drawn((2, 3, 4), -1, 1, 5))
    agree(weighted(lambda xp, x: getattr(xp, name)(x, axis=axis, keepdims=keepdims)), x)


SHAPED = {
    "reshape": lambda xp, x: xp.reshape(x, (4, -1)),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (2, 0, 1)),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, -1),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=1),
    "squeeze": lambda xp, x: xp.squeeze(xp.expand_dims(x, axis=0), 0),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (5, 2, 3, 4)),
    "concat": lambda xp, x: xp.concat([x, 2 * x, x * x], axis=1),
    "concat flat": lambda xp, x: xp.concat([x, 3 * x], axis=None),
    "stack": lambda xp, x: xp.stack([x, 2 * x], axis=-1),
    "flip": lambda xp, x: xp.flip(x, axis=(0, 2)),
    "roll": lambda xp, x: xp.roll(x, (1, -2), axis=(0, 2)),
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=1),
    "cumulative_sum initial": lambda xp, x: xp.cumulative_sum(x, axis=-1, include_initial=True),
    "astype": lambda xp, x: xp.astype(x, xp.float64),
    "where": lambda xp, x: xp.where(x > 0, x * x, 3 * x),
    "clip": lambda xp, x: xp.clip(x, -0.5, 0.5),
    "clip by arrays": lambda xp, x: xp.clip(x, max=0.3 * x * x),
    "matrix_transpose": lambda xp, x: xp.matrix_transpose(x),
    "slice": lambda xp, x: x[:, ::-2, 1],
    "slice and none": lambda xp, x: x[None, 1, ..., 1:3],
}


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


def test_every_function_is_ruled_marked_or_missing_aloud(backend):
    names = {name for chapter in CHAPTERS.values() for name in chapter}
    assert names >= WITHOUT_DERIVATIVE
    assert not WITHOUT_DERIVATIVE & RULES.keys()
    assert RULES.keys() <= names
    for chapter, members in CHAPTERS.items():
        for name in set(members) - WITHOUT_DERIVATIVE - RULES.keys():
            with pytest.raises(NoRuleError, match=f"'{name}': add one to anynet/autodiff/rules/{chapter}.py"):
                STANDARD[name].rule()


def test_a_missing_rule_names_the_function_and_the_file(backend):
    x = backend.asarray([1.0, 2.0])
    with pytest.raises(NoRuleError, match=r"'prod': add one to anynet/autodiff/rules/statistical.py"):
        anynet.grad(lambda x: array_namespace(x).prod(x))(x)
