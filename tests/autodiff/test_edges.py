"""Derivatives at zeros, ties, infinities, NaN, singular matrices, and of empty arrays.

Each row has a function, a point, and the right gradient of the sum of the function's results. It
comes from PyTorch or JAX, with which the test compares again where the backend is one of them, or
else from a limit, a law or a convention, which the row states."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from derivatives import agree, weighted
from helpers import host, normal

import anynet
from anynet import functions, losses
from anynet.array import array_namespace
from anynet.errors import DifferentiationError, ShapeError

# NumPy warns of infinities and NaN, which are what is asked for here.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:.*degrees of freedom")

INF, NAN = math.inf, math.nan
BOTH = "PyTorch and JAX"


@dataclass(frozen=True)
class Edge:
    """A function of arrays, the point, and the gradient by each argument."""

    function: Callable[..., Any]
    point: tuple[Any, ...]
    right: tuple[Any, ...]
    source: str


def of(name: str, *pairs: tuple[float, float], source: str = BOTH) -> Edge:
    """Return the row of a function of one array, from pairs of a point and the derivative there."""
    points, right = zip(*pairs, strict=True)
    return Edge(lambda xp, x: getattr(xp, name)(x), (points,), (right,), source)


def of_two(name: str, *triples: Any, source: str = BOTH) -> Edge:
    """Return the row of a function of two arrays, from pairs of points and pairs of derivatives."""
    points, right = zip(*triples, strict=True)
    return Edge(
        lambda xp, x, y: getattr(xp, name)(x, y),
        tuple(zip(*points, strict=True)),
        tuple(zip(*right, strict=True)),
        source,
    )


def call(function: Callable[..., Any], x: Any, right: Any, source: str = BOTH) -> Edge:
    return Edge(function, (x,), (right,), source)


_SELU = 1.0507009873554805 * 1.6732632423543772
_COSINE = 0.7071067811865476

ELEMENTWISE = {
    "abs": of("abs", (0.0, 0), (-0.0, 0), (INF, 1), (-INF, -1), source="PyTorch; JAX gives 1 at 0"),
    "sqrt": of("sqrt", (0.0, INF), (4.0, 0.25), (INF, 0)),
    "log": of("log", (0.0, INF), (INF, 0), (NAN, NAN)),
    "log1p": of("log1p", (-1.0, INF), (1e-20, 1), (INF, 0)),
    "exp": of("exp", (-INF, 0), (0.0, 1), (INF, INF)),
    "expm1": of("expm1", (-INF, 0), (1e-20, 1), (0.0, 1)),
    "tanh": of("tanh", (0.0, 1), (400.0, 0), (-INF, 0), (INF, 0)),
    "reciprocal": of("reciprocal", (0.0, -INF), (-0.0, -INF), (INF, 0), (-2.0, -0.25)),
    "square": of("square", (0.0, 0), (-INF, -INF), (1e200, 2e200)),
    "asin": of("asin", (0.0, 1), (1.0, INF), (-1.0, INF)),
    "acos": of("acos", (0.0, -1), (1.0, -INF), (-1.0, -INF)),
    "acosh": of(
        "acosh",
        (1.0, INF),
        (1e200, 1e-200),
        source="the limit 1 / x; a square in between overflows",
    ),
    "acosh outside": of(
        "acosh", (0.5, NAN), (-2.0, NAN), source="the function is NaN there; PyTorch gives 1 / √3"
    ),
    "asinh": of("asinh", (0.0, 1), (INF, 0)),
    "asinh of large numbers": of(
        "asinh", (1e200, 1e-200), (-1e200, 1e-200), source="the limit 1 / |x|"
    ),
    "atan": of("atan", (0.0, 1), (1e200, 0), (-INF, 0)),
    "atanh": of("atanh", (0.0, 1), (1.0, INF), (-1.0, INF)),
    "maximum": of_two(
        "maximum",
        ((1.0, 1.0), (0.5, 0.5)),
        ((0.0, -0.0), (0.5, 0.5)),
        ((-INF, -INF), (0.5, 0.5)),
        ((INF, 1.0), (1, 0)),
    ),
    "minimum": of_two(
        "minimum",
        ((1.0, 1.0), (0.5, 0.5)),
        ((0.0, -0.0), (0.5, 0.5)),
        ((INF, INF), (0.5, 0.5)),
        ((INF, 1.0), (0, 1)),
        ((2.0, 3.0), (1, 0)),
    ),
    "hypot": of_two(
        "hypot",
        ((3.0, -4.0), (0.6, -0.8)),
        ((0.0, 2.0), (0, 1)),
        ((1e200, 1e200), (_COSINE, _COSINE)),
        ((1.0, INF), (0, NAN)),
        source="PyTorch",
    ),
    "hypot at the origin": of_two(
        "hypot",
        ((0.0, 0.0), (0, 0)),
        source="the convention, as for the norm; PyTorch gives NaN, JAX 0.5",
    ),
    "atan2": of_two(
        "atan2",
        ((0.0, 0.0), (0, 0)),
        ((1.0, 0.0), (0, -1)),
        ((0.0, -1.0), (-1, 0)),
        ((-2.0, 0.0), (0, 0.5)),
        source="PyTorch; JAX gives NaN at the origin",
    ),
    "atan2 of small and large numbers": of_two(
        "atan2",
        ((1e-200, 1e-200), (5e199, -5e199)),
        ((1e200, 1e200), (5e-201, -5e-201)),
        source="x2 / (x1² + x2²) and -x1 / (x1² + x2²), where the squares vanish or overflow",
    ),
    "logaddexp": of_two(
        "logaddexp",
        ((0.0, 0.0), (0.5, 0.5)),
        ((1e200, 1e200), (0.5, 0.5)),
        ((INF, 1.0), (1, 0)),
        ((-INF, 1.0), (0, 1)),
        ((0.0, 40.0), (4.248354255291589e-18, 1)),
        ((-1e308, 1e308), (0, 1)),
        source="PyTorch; JAX gives 1 twice at 1e200, and e of the other one beside an infinity",
    ),
    "logaddexp of equal infinities": of_two(
        "logaddexp",
        ((-INF, -INF), (0.5, 0.5)),
        ((INF, INF), (0.5, 0.5)),
        source="the limit along x1 = x2; PyTorch gives NaN, JAX NaN and 1",
    ),
    "pow": of_two(
        "pow",
        ((0.0, 0.0), (0, 0)),
        ((0.0, 2.0), (0, 0)),
        ((0.0, 1.0), (1, 0)),
        ((0.0, 0.5), (INF, 0)),
        ((0.0, -1.0), (-INF, -INF)),
        ((INF, 0.0), (0, INF)),
        ((NAN, 0.0), (0, NAN)),
        ((-2.0, 3.0), (12, NAN)),
        source="PyTorch; JAX gives NaN at 0 ** 0 and for negative exponents of 0",
    ),
    "0 ** x": call(lambda xp, x: 0.0**x, (2.0, 0.0, 1.0), (0, 0, 0), "PyTorch"),
    "x ** 0": call(lambda xp, x: x**0, (2.0, 0.0, INF), (0, 0, 0)),
    "x ** 1": call(lambda xp, x: x**1, (2.0, 0.0, INF), (1, 1, 1)),
    "x ** -1": call(lambda xp, x: x**-1, (2.0, 0.0, INF), (-0.25, -INF, 0)),
    "x ** 0.5": call(lambda xp, x: x**0.5, (4.0, 0.0, INF), (0.25, INF, 0)),
    "divide": of_two(
        "divide", ((1.0, 0.0), (INF, -INF)), ((1.0, INF), (0, 0)), ((0.0, 2.0), (0.5, 0))
    ),
    "multiply": of_two("multiply", ((0.0, INF), (INF, 0)), ((-0.0, 2.0), (2, 0))),
    "copysign": of_two(
        "copysign",
        ((0.0, -1.0), (0, 0)),
        ((-2.0, 3.0), (-1, 0)),
        ((2.0, -0.0), (-1, 0)),
        source="PyTorch; JAX gives ±1 at 0",
    ),
    "remainder": of_two(
        "remainder",
        ((1.0, 0.1), (1, -9)),
        ((2.0, 0.1), (1, -19)),
        ((5.0, 3.0), (1, -1)),
        ((-5.0, 3.0), (1, 2)),
        ((5.0, -3.0), (1, 2)),
        ((6.0, 3.0), (1, -2)),
        ((0.0, 3.0), (1, 0)),
        ((1e-20, 1.0), (1, 0)),
        source="PyTorch; JAX takes floor(1.0 / 0.1), which is 10 and not the quotient",
    ),
    "remainder by infinities": of_two(
        "remainder",
        ((1.0, INF), (1, 0)),
        ((-1.0, INF), (1, 1)),
        ((1.0, -INF), (1, 1)),
        ((-1.0, -INF), (1, 0)),
    ),
    "remainder of a tiny negative number": of_two("remainder", ((-1e-20, 1.0), (1, 1))),
    "clip": call(
        lambda xp, x: xp.clip(x, -1.0, 1.0),
        (-2.0, -1.0, 0.0, 1.0, 2.0, INF),
        (0, 1, 1, 1, 0, 0),
        "PyTorch; JAX shares at the limits",
    ),
    "clip by arrays": Edge(
        lambda xp, x, low, high: xp.clip(x, low, high),
        ((0.0, 0.0, 0.5), (1.0, -2.0, 0.0), (2.0, -1.0, 1.0)),
        ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
        BOTH,
    ),
    "clip by limits that cross": Edge(
        lambda xp, x, low, high: xp.clip(x, low, high),
        ((0.0, 5.0), (2.0, 3.0), (1.0, 1.0)),
        ((0, 0), (0, 0), (1, 1)),
        BOTH,
    ),
    "where": call(lambda xp, x: xp.where(x > 0, xp.log(x), x), (1.0, -1.0, INF), (1, 1, 0)),
}


def ours(name: str, *pairs: tuple[float, float], source: str) -> Edge:
    points, right = zip(*pairs, strict=True)
    return Edge(
        lambda xp, x: getattr(functions, name)(x),
        (points,),
        (right,),
        source,
    )


# PyTorch and JAX have these outside the namespace of the standard; test_functions.py compares them.
ACTIVATIONS = {
    "relu": ours("relu", (0.0, 0), (-0.0, 0), (INF, 1), (-INF, 0), source="0 at 0"),
    "leaky_relu": ours(
        "leaky_relu",
        (0.0, 0.01),
        (-INF, 0.01),
        source="the negative slope at 0",
    ),
    "elu": ours("elu", (0.0, 1), (-INF, 0), (INF, 1), source="smooth"),
    "selu": ours("selu", (0.0, _SELU), (-INF, 0), source="the slope from below at 0"),
    "hard_sigmoid": ours(
        "hard_sigmoid",
        (-3.0, 0),
        (3.0, 0),
        (0.0, 1 / 6),
        source="0 where the cuts are",
    ),
    "sigmoid": ours(
        "sigmoid",
        (0.0, 0.25),
        (-40.0, math.exp(-40)),
        (-800.0, 0),
        (INF, 0),
        source="σ (1 - σ)",
    ),
    "softplus": ours(
        "softplus",
        (0.0, 0.5),
        (-800.0, 0),
        (800.0, 1),
        (-INF, 0),
        (INF, 1),
        source="σ",
    ),
    "gelu": ours("gelu", (0.0, 0.5), (50.0, 1), (-50.0, 0), source="Φ(x) + x φ(x)"),
    "silu": ours("silu", (0.0, 0.5), (800.0, 1), (-800.0, 0), source="limits"),
    "mish": ours(
        "mish",
        (0.0, 0.6),
        (800.0, 1),
        (-800.0, 0),
        source="limits; tanh(log 2) at 0",
    ),
    "erf": ours(
        "erf",
        (0.0, 2 / math.sqrt(math.pi)),
        (30.0, 0),
        (INF, 0),
        source="2 / √π exp(-x²)",
    ),
}

_ROWS = np.array([[1.0, 2, 3], [4, 5, 6]])

STATISTICAL = {
    "max": call(lambda xp, x: xp.max(x), (1.0, 1.0, 0.0), (0.5, 0.5, 0)),
    "max of infinities": call(lambda xp, x: xp.max(x), (-INF, -INF), (0.5, 0.5)),
    "max of zeros": call(lambda xp, x: xp.max(x), (0.0, -0.0), (0.5, 0.5)),
    "min": call(lambda xp, x: xp.min(x), (1.0, 0.0, 0.0), (0, 0.5, 0.5)),
    "min along an axis": call(
        lambda xp, x: xp.min(x, axis=-1), [[2.0, 2], [0, 1]], [[0.5, 0.5], [1, 0]]
    ),
    "sort": call(
        lambda xp, x: (
            xp.sort(x) * xp.asarray([1.0, 10.0, 100.0], dtype=x.dtype, device=_place(xp, x))
        ),
        (2.0, 1.0, 1.0),
        (100, 1, 10),
        "of equal elements the first one stays the first, PyTorch and JAX",
    ),
    "sort descending": call(
        lambda xp, x: (
            xp.sort(x, descending=True)
            * xp.asarray([1.0, 10.0, 100.0], dtype=x.dtype, device=_place(xp, x))
        ),
        (1.0, 2.0, 1.0),
        (10, 1, 100),
        "of equal elements the first one stays the first; JAX turns them round",
    ),
    "prod of one zero": call(lambda xp, x: xp.prod(x), (0.0, 2.0, 3.0), (6, 0, 0)),
    "prod of two zeros": call(lambda xp, x: xp.prod(x), (0.0, 0.0, 3.0), (0, 0, 0)),
    "prod of odd length": call(lambda xp, x: xp.prod(x, axis=1), _ROWS, [[6, 3, 2], [30, 24, 20]]),
    "prod of an infinity": call(lambda xp, x: xp.prod(x), (INF, 1.0, 2.0), (2, INF, INF), "JAX"),
    "prod of nothing": call(lambda xp, x: xp.prod(x), np.zeros((0,)), np.zeros((0,))),
    "cumulative_prod": call(lambda xp, x: xp.cumulative_prod(x), (2.0, 0.0, 3.0), (1, 8, 0)),
    "cumulative_prod of two zeros": call(
        lambda xp, x: xp.cumulative_prod(x), (0.0, 0.0, 3.0), (1, 0, 0)
    ),
    "var of one element": call(lambda xp, x: xp.var(x), (5.0,), (0,)),
    "var with too much corrected": call(
        lambda xp, x: xp.var(x, correction=3),
        (1.0, 2.0),
        (NAN, NAN),
        "the function is infinite or NaN",
    ),
    "std of equal elements": call(
        lambda xp, x: xp.std(x), (2.0, 2.0), (0, 0), "PyTorch; JAX gives NaN"
    ),
    "std of one element": call(
        lambda xp, x: xp.std(x, axis=0), [[5.0, 1.0]], [[0, 0]], "PyTorch; JAX gives NaN"
    ),
    "sum of nothing": call(lambda xp, x: xp.sum(x, axis=1), np.zeros((2, 0)), np.zeros((2, 0))),
    "mean of one": call(lambda xp, x: xp.mean(x, axis=(0, -1)), [[3.0]], [[1]]),
    "mean of a scalar": call(lambda xp, x: xp.mean(x), 3.0, 1),
    "cumulative_sum of nothing": call(
        lambda xp, x: xp.cumulative_sum(x, axis=0), np.zeros((0, 2)), np.zeros((0, 2))
    ),
}


def _place(xp: Any, x: Any) -> Any:
    """Return the device of an array of anynet, None for a library that has one device."""
    return getattr(x, "device", None) if xp.__name__.startswith("anynet") else None


def norm(x: Any, right: Any, source: str = "PyTorch", **settings: Any) -> Edge:
    return call(lambda xp, x: xp.linalg.vector_norm(x, **settings), x, right, source)


def matrix_norm(ord: Any, x: Any, right: Any, source: str = "PyTorch") -> Edge:
    return call(lambda xp, x: xp.linalg.matrix_norm(x, ord=ord), x, right, source)


def det(x: Any, right: Any, source: str = "JAX") -> Edge:
    return call(lambda xp, x: xp.linalg.det(x), x, right, source)


def product(name: str, x: Any, y: Any, *right: Any) -> Edge:
    return Edge(lambda xp, x, y: getattr(xp, name)(x, y), (x, y), right, BOTH)


_EYE = np.eye(2)
_LINE = [0.0, 3.0, 4.0]
_RANK_ONE = np.outer([1.0, 2, 3], [1.0, -1, 2])
_RANK_TWO = _RANK_ONE + np.diag([1.0, 0, 0])
_OF_RANK_TWO = np.array([[0.0, 0, 0], [0, 6, 3], [0, -4, -2]])

LINEAR_ALGEBRA = {
    "det of rank n - 1": det([[1.0, 2], [2, 4]], [[4, -2], [-2, 1]]),
    "det of three rows": det(_RANK_TWO, _OF_RANK_TWO),
    "det of rank n - 2": det(_RANK_ONE, np.zeros((3, 3))),
    "det of zeros": det(np.zeros((2, 2)), np.zeros((2, 2))),
    "det of one zero": det([[0.0]], [[1]]),
    "det of nothing": det(np.zeros((0, 0)), np.zeros((0, 0)), "no element; JAX's own raises"),
    "det of no matrix": det(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), BOTH),
    "det of many": det(
        np.stack([_RANK_TWO, 2 * np.eye(3), _RANK_ONE]),
        np.stack([_OF_RANK_TWO, 4 * np.eye(3), np.zeros((3, 3))]),
    ),
    "det of large numbers": det(1e150 * np.eye(3), 1e300 * np.eye(3)),
    "vector_norm of zeros": norm([0.0, 0, 0], [0, 0, 0], "PyTorch; JAX gives NaN"),
    "vector_norm of a matrix": norm([[0.0, 3], [0, -4]], [[0, 0.6], [0, -0.8]], BOTH),
    "vector_norm of rows": norm([[0.0, 3], [0, 0]], [[0, 1], [0, 0]], axis=1),
    "vector_norm of large numbers": norm(
        [1e200, 1e200], [_COSINE, _COSINE], "x / norm; squares overflow"
    ),
    "vector_norm of small numbers": norm(
        [1e-200, 1e-200], [_COSINE, _COSINE], "x / norm; squares vanish"
    ),
    "vector_norm 1": norm([0.0, -3.0, 2.0], [0, -1, 1], "PyTorch; JAX gives 1 at 0", ord=1),
    "vector_norm 3": norm(_LINE, [0, 9 / 91 ** (2 / 3), 16 / 91 ** (2 / 3)], BOTH, ord=3),
    "vector_norm 3 of zeros": norm([0.0, 0], [0, 0], ord=3),
    "vector_norm 0.5": norm(_LINE, [0, 2.1547005383792515, 1.8660254037844386], ord=0.5),
    "vector_norm inf": norm([3.0, -3.0, 1.0], [0.5, -0.5, 0], BOTH, ord=INF),
    "vector_norm inf of a matrix": norm([[3.0, 1], [1, -4]], [[0, 0], [0, -1]], BOTH, ord=INF),
    "vector_norm inf of nothing": norm(np.zeros((0,)), np.zeros((0,)), "JAX", ord=INF),
    "vector_norm -inf": norm([3.0, -3.0, 1.0], [0, 0, 1], BOTH, ord=-INF),
    "vector_norm -inf of equal elements": norm([2.0, -2.0, 5.0], [0.5, -0.5, 0], BOTH, ord=-INF),
    "vector_norm -1": norm([2.0, 2.0], [0.25, 0.25], BOTH, ord=-1),
    "vector_norm -1 of a zero": norm(_LINE, [0, 0, 0], "PyTorch; JAX gives NaN", ord=-1),
    "matrix_norm of zeros": matrix_norm("fro", np.zeros((2, 2)), np.zeros((2, 2))),
    "matrix_norm nuc": matrix_norm("nuc", _EYE, _EYE, BOTH),
    "matrix_norm 1": matrix_norm(1, _EYE, 0.5 * _EYE, "PyTorch; JAX takes 1 for the sign of 0"),
    "matrix_norm -1": matrix_norm(-1, _EYE, 0.5 * _EYE),
    "matrix_norm inf": matrix_norm(INF, _EYE, 0.5 * _EYE),
    "matrix_norm -inf": matrix_norm(-INF, [[1.0, 1], [2, 2]], [[1, 1], [0, 0]], BOTH),
    "matrix_norm 2": matrix_norm(2, _EYE, 0.5 * _EYE, BOTH),
    "matrix_norm -2": matrix_norm(-2, _EYE, 0.5 * _EYE, BOTH),
    "matrix_norm 2 of nothing": matrix_norm(2, np.zeros((2, 0)), np.zeros((2, 0)), "JAX"),
    "matrix_norm 1 of nothing": matrix_norm(1, np.zeros((2, 0)), np.zeros((2, 0)), "JAX"),
    "eigvalsh of equal eigenvalues": call(lambda xp, x: xp.linalg.eigvalsh(x), _EYE, _EYE),
    "eigh of equal eigenvalues": call(
        lambda xp, x: xp.linalg.eigh(x)[1] ** 2, _EYE, np.full((2, 2), NAN)
    ),
    "svd of equal singular values": call(
        lambda xp, x: xp.linalg.svd(x, full_matrices=False)[0] ** 2, _EYE, np.full((2, 2), NAN)
    ),
    "svdvals of equal singular values": call(lambda xp, x: xp.linalg.svdvals(x), _EYE, _EYE),
    "pinv of zeros": call(lambda xp, x: xp.linalg.pinv(x), np.zeros((2, 3)), np.zeros((2, 3))),
    "trace of a wide matrix": call(lambda xp, x: xp.linalg.trace(x), np.ones((2, 3)), np.eye(2, 3)),
    "matrix_power of nilpotent": call(
        lambda xp, x: xp.linalg.matrix_power(x, 2), [[0.0, 1], [0, 0]], [[1, 0], [2, 1]]
    ),
    "matmul of nothing": product(
        "matmul", np.zeros((2, 0)), np.zeros((0, 3)), np.zeros((2, 0)), np.zeros((0, 3))
    ),
    "matmul of no rows": product(
        "matmul", np.zeros((0, 2)), np.ones((2, 3)), np.zeros((0, 2)), np.zeros((2, 3))
    ),
    "vecdot of nothing": product(
        "vecdot", np.zeros((0,)), np.zeros((0,)), np.zeros((0,)), np.zeros((0,))
    ),
}

# Arguments for which a library raises.
LACKING = {"array_api_strict": {"clip by limits that cross": "the standard has no such clip"}}

EDGES = {**ELEMENTWISE, **STATISTICAL, **LINEAR_ALGEBRA, **ACTIVATIONS}


def total(function: Callable[..., Any]) -> Callable[..., Any]:
    def scalar(*arrays: Any) -> Any:
        xp = array_namespace(*arrays)
        return xp.sum(function(xp, *arrays))

    return scalar


def placed(backend: Any, edge: Edge) -> list[Any]:
    return [backend.asarray(np.asarray(x, dtype="float64")) for x in edge.point]


def compare(found: Any, edge: Edge, atol: float) -> None:
    for g, right in zip(found, edge.right, strict=True):
        np.testing.assert_allclose(
            g,
            np.asarray(right, dtype="float64"),
            rtol=1e-9,
            atol=atol,
            strict=True,
        )


def tolerance(name: str) -> float:
    """Return the tolerance for a derivative of 0. Decompositions round."""
    return 1e-13 if name in LINEAR_ALGEBRA else 1e-290


@pytest.mark.parametrize("name", EDGES)
def test_edge(backend, name):
    """The derivative equals the value of the row, and PyTorch's or JAX's if the row names them."""
    if name in LACKING.get(backend.name, {}):
        pytest.skip(reason=LACKING[backend.name][name])
    edge = EDGES[name]
    f, point = total(edge.function), placed(backend, edge)
    arguments = tuple(range(len(point)))
    compare(
        [host(g) for g in anynet.grad(f, arguments)(*point)],
        edge,
        tolerance(name),
    )
    if backend.name == "torch" and edge.source.startswith("PyTorch"):
        import torch

        point = [x.requires_grad_() for x in point]
        compare(
            [host(g) for g in torch.autograd.grad(f(*point), point)],
            edge,
            tolerance(name),
        )
    if backend.name == "jax" and edge.source.startswith((BOTH, "JAX")):
        import jax

        compare(
            [host(g) for g in jax.grad(f, arguments)(*point)],
            edge,
            tolerance(name),
        )


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_determinants_of_every_rank(backend, rank, kind):
    """First and second derivatives of a batch of matrices equal differences."""
    generator = np.random.default_rng(rank)

    def normal(*shape: int) -> np.ndarray:
        x = generator.normal(size=shape)
        return x if kind == "float64" else x + 1j * generator.normal(size=shape)

    x = backend.asarray(normal(2, 4, rank) @ normal(2, rank, 4) / 4)
    agree(weighted(lambda xp, x: xp.linalg.det(x)), [x])


#: A function of a vector, the point, and the Hessian, which is that of JAX, or of a formula where
#: JAX divides by 0.
SECOND = {
    "pow at an exponent of 0": (
        lambda xp, x: x[0] ** x[1],
        [2.0, 0.0],
        [[0, 0.5], [0.5, math.log(2) ** 2]],
    ),
    "x ** 0": (lambda xp, x: xp.sum(x**0), [0.0, 1.0], [[0, 0], [0, 0]]),
    "x ** 2 at 0": (
        lambda xp, x: xp.sum(x**2),
        [0.0, 1.0],
        [[2, 0], [0, 2]],
    ),
    "x ** 1 at 0": (
        lambda xp, x: xp.sum(x**1),
        [0.0, 1.0],
        [[0, 0], [0, 0]],
    ),
    "logaddexp of equal elements": (
        lambda xp, x: xp.logaddexp(x[0], x[1]),
        [0.0, 0.0],
        [[0.25, -0.25], [-0.25, 0.25]],
    ),
    "atan2 on an axis": (
        lambda xp, x: xp.atan2(x[0], x[1]),
        [0.0, 2.0],
        [[0, -0.25], [-0.25, 0]],
    ),
    "hypot on an axis": (
        lambda xp, x: xp.hypot(x[0], x[1]),
        [0.0, 2.0],
        [[0.5, 0], [0, 0]],
    ),
    "asinh at 0": (
        lambda xp, x: xp.sum(xp.asinh(x)),
        [0.0, 1.0],
        [[0, 0], [0, -(2**-1.5)]],
    ),
    "vector_norm on an axis": (
        lambda xp, x: xp.linalg.vector_norm(x),
        [0.0, 2.0],
        [[0.5, 0], [0, 0]],
    ),
    "matrix_norm on an axis": (
        lambda xp, x: xp.linalg.matrix_norm(x[None, :]),
        [0.0, 2.0],
        [[0.5, 0], [0, 0]],
    ),
    "prod with a zero": (
        lambda xp, x: xp.prod(x),
        [0.0, 2.0, 3.0],
        [[0, 3, 2], [3, 0, 0], [2, 0, 0]],
    ),
    "det of zeros": (
        lambda xp, x: xp.linalg.det(xp.reshape(x, (2, 2))),
        [0.0, 0, 0, 0],
        [[0, 0, 0, 1], [0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]],
    ),
    "huber at 0": (
        lambda xp, x: losses.huber(x, xp.zeros_like(x), reduction="sum"),
        [0.0, 0.5, 2.0],
        [[1, 0, 0], [0, 1, 0], [0, 0, 0]],
    ),
    "var of equal elements": (
        lambda xp, x: xp.var(x),
        [1.0, 1.0],
        [[0.5, -0.5], [-0.5, 0.5]],
    ),
    "softplus": (
        lambda xp, x: xp.sum(functions.softplus(x)),
        [0.0, 800.0],
        [[0.25, 0], [0, 0]],
    ),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivative(backend, name):
    function, point, right = SECOND[name]
    found = anynet.hessian(lambda x: function(array_namespace(x), x))(
        backend.asarray(np.asarray(point))
    )
    np.testing.assert_allclose(host(found), right, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("sqrt", [-INF, -1 / 32]),
        ("log", [-INF, -1 / 16]),
        ("acosh", [NAN, -4 * 15**-1.5]),
    ],
)
def test_infinite_derivatives_do_not_spread(backend, name, right):
    """Only the second derivative by the element itself is infinite, or NaN outside the domain."""
    slope = anynet.grad(lambda x: array_namespace(x).sum(getattr(array_namespace(x), name)(x)))
    found = anynet.grad(lambda x: array_namespace(x).sum(slope(x)))(
        backend.asarray(np.array([0.0, 4.0]))
    )
    np.testing.assert_allclose(host(found), right)


def test_third_derivative_of_a_determinant(backend):
    """The third derivative for three rows is constant, and follows by inclusion-exclusion."""
    a, b, c, d = (np.random.default_rng(seed).normal(size=(3, 3)) for seed in range(4))
    det = np.linalg.det
    right = det(b + c + d) - det(b + c) - det(b + d) - det(c + d) + det(b) + det(c) + det(d)
    start, *along = map(backend.asarray, (a, b, c, d))
    f = lambda *t: array_namespace(*t).linalg.det(
        sum(x * y for x, y in zip(t, along, strict=True)) + start
    )
    for i in range(3):
        f = anynet.grad(f, i)
    np.testing.assert_allclose(host(f(*[backend.asarray(0.0)] * 3)), right)


def test_sign_of_a_complex_zero(backend):
    """It has no derivative there, and passes none. PyTorch returns NaN."""
    x = backend.asarray(np.array([0j, 2 + 0j]))
    found = anynet.grad(
        lambda x: array_namespace(x).sum(array_namespace(x).imag(array_namespace(x).sign(x)))
    )(x)
    np.testing.assert_allclose(host(found), [0, 0.5j])


def test_singular_matrices_raise(backend):
    """They raise where the library does. Elsewhere the derivative is NaN or infinite."""
    x = backend.asarray(np.array([[1.0, 2], [2, 4]]))
    for f in (
        lambda xp, x: xp.linalg.slogdet(x)[1],
        lambda xp, x: xp.linalg.qr(x @ xp.zeros_like(x))[1],
    ):
        if backend.name in ("numpy", "array_api_strict", "torch"):
            with pytest.raises(
                DifferentiationError,
                match="has no derivative at this matrix",
            ):
                anynet.grad(total(f))(x)
        else:
            assert not np.isfinite(host(anynet.grad(total(f))(x))).any()


def test_wrong_arguments_of_fourier_transforms_raise(backend):
    """The errors are those of the libraries without a derivative."""
    real, complex_ = (
        backend.asarray(np.ones((2, 1))),
        backend.asarray(np.ones((2, 2), "complex128")),
    )

    def slope(f, x):
        return anynet.grad(
            lambda x: array_namespace(x).sum(array_namespace(x).abs(f(array_namespace(x), x)))
        )(x)

    with pytest.raises(DifferentiationError, match="complex128 was given"):
        slope(lambda xp, x: xp.fft.rfft(x), complex_)
    with pytest.raises(ShapeError, match="n is 0"):
        slope(lambda xp, x: xp.fft.irfft(x), real)
    with pytest.raises(ShapeError, match="one length for each axis"):
        slope(lambda xp, x: xp.fft.fftn(x, s=(2, 2), axes=(0,)), complex_)
    with pytest.raises(ShapeError, match="square"):
        slope(lambda xp, x: xp.linalg.matrix_power(x, 1), real)


@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        (((2, 2), (2, 2)), 3),
        (((2, 2), (2, 2)), ((5,), (0,))),
        (((2, 3), (3, 2)), ((0, 1), (0, 1))),
        (((2, 3), (6,)), ((0, 1), (0,))),
    ],
)
def test_wrong_axes_of_tensordot_raise(backend, shapes, axes):
    """The products of the lengths may be equal."""
    x1, x2 = (normal(backend, *shape) for shape in shapes)

    def total(x1, x2):
        xp = x1.__array_namespace__()
        return xp.sum(xp.tensordot(x1, x2, axes=axes))

    with pytest.raises(ShapeError, match="tensordot: "):
        anynet.grad(total)(x1, x2)
