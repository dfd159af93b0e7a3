"""Functions to differentiate, the shapes of their arguments, and comparison with differences."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from helpers import host
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import anynet
from anynet.array import array_namespace, conj, device
from anynet.tracing.trace import wrap


@dataclass(frozen=True)
class Shapes:
    """Shapes of the arguments: one example, and a strategy of hypothesis for small shapes."""

    example: list[tuple[int, ...]]
    drawn: st.SearchStrategy[list[tuple[int, ...]]]


def _one(**sizes: int) -> st.SearchStrategy[list[tuple[int, ...]]]:
    return hnp.array_shapes(**sizes).map(lambda shape: [shape])


_batch = hnp.array_shapes(min_dims=0, max_dims=1, min_side=0, max_side=2)
_some = hnp.array_shapes(min_dims=0, max_dims=1, min_side=1, max_side=2)
_side = st.integers(0, 3)
_length = st.integers(1, 3)

ANY = Shapes([(3, 4)], _one(min_dims=0, max_dims=2, min_side=0, max_side=3))
AXES = Shapes([(2, 3, 4)], _one(min_dims=1, max_dims=3, min_side=0, max_side=2))
FULL = Shapes([(2, 3, 4)], _one(min_dims=1, max_dims=3, min_side=1, max_side=3))
PAIRS = Shapes(
    [(3, 4), (2, 1, 4)],
    hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=2, max_dims=2).map(
        lambda shapes: list(shapes.input_shapes)
    ),
)
VECTORS = Shapes([(3,), (4,)], st.tuples(_side, _side).map(lambda s: [(s[0],), (s[1],)]))
TRIPLES = Shapes([(2, 3), (2, 3)], _batch.map(lambda batch: [(*batch, 3), (*batch, 3)]))
PLANE = Shapes([(3, 4)], st.tuples(_length, _length).map(lambda shape: [shape]))
SQUARE = Shapes(
    [(2, 3, 3)],
    st.tuples(_batch, _side).map(lambda s: [(*s[0], s[1], s[1])]),
)
MATRIX = Shapes(
    [(2, 3, 4)],
    st.tuples(_batch, _length, _length).map(lambda s: [(*s[0], *s[1:])]),
)
SOME_MATRIX = Shapes(
    [(2, 3, 4)],
    st.tuples(_some, _length, _length).map(lambda s: [(*s[0], *s[1:])]),
)
STACK = Shapes(
    [(2, 3, 4)],
    st.tuples(_batch, _side, _side).map(lambda s: [(*s[0], *s[1:])]),
)
LONG = Shapes(
    [(2, 3)],
    st.tuples(st.integers(2, 3), st.integers(3, 5)).map(lambda shape: [shape]),
)
PRODUCT = Shapes(
    [(2, 3, 4), (4, 2)],
    st.tuples(_batch, _side, _side, _side).map(
        lambda s: [(*s[0], s[1], s[2]), (s[2], s[3]) if s[3] else (s[2],)]
    ),
)
SYSTEM = Shapes(
    [(2, 3, 3), (2, 3, 2)],
    st.tuples(_batch, _side, st.integers(1, 2)).map(
        lambda s: [(*s[0], s[1], s[1]), (*s[0], s[1], s[2])]
    ),
)
VECTOR_SYSTEM = Shapes(
    [(2, 3, 3), (3,)],
    st.tuples(_batch, _side).map(lambda s: [(*s[0], s[1], s[1]), (s[1],)]),
)


@dataclass(frozen=True)
class Case:
    """A function, called as function(xp, *arrays), its shapes, and an interval where it is
    smooth."""

    function: Callable[..., Any]
    shapes: Shapes = ANY
    # The middle is not 0, where `abs` and others have no derivative.
    low: float = -1.03
    high: float = 1.27

    def point(self, shapes: list[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
        """Return arguments with distinct values, so that no branches meet near them."""
        sizes = [math.prod(shape) for shape in shapes]
        count = sum(sizes)
        fractions = (np.random.default_rng(seed).permutation(count) + 0.5) / max(count, 1)
        values = self.low + (self.high - self.low) * fractions
        parts = np.split(values, np.cumsum(sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def drawn(shape: tuple[int, ...], low: float, high: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, size=shape)


def weighted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a scalar function whose cotangents all differ, in both parts of complex values."""

    def scalar(point: Any) -> Any:
        xp = array_namespace(*point)
        y = function(xp, *point)
        if xp.isdtype(y.dtype, "complex floating"):
            y = xp.real(y) + 0.7 * xp.imag(y)
        weights = xp.cos(xp.arange(math.prod(y.shape), dtype=y.dtype, device=device(y)))
        return xp.sum(y * xp.reshape(weights, y.shape))

    return scalar


def along(gradient: Any, v: list[np.ndarray]) -> float:
    """Return the derivative of a real function along a direction, from its gradient."""
    total = 0.0
    for g, part in zip(gradient, v, strict=True):
        total += float(np.sum(np.real(np.conj(host(g)) * part)))
    return total


def directions(point: list[Any], seed: int) -> list[np.ndarray]:
    """Return a random direction at a point: one array for each of its arrays."""
    generator = np.random.default_rng(seed)
    direction = []
    for x in point:
        v = generator.normal(size=x.shape)
        if "complex" in str(x.dtype):
            v = v + 1j * generator.normal(size=x.shape)
        direction.append(v)
    return direction


def constants(point: list[Any], direction: list[np.ndarray]) -> list[Any]:
    """Return a direction as constants on the libraries and devices of the point."""
    return [
        wrap(array_namespace(x).asarray(v, device=device(x)))
        for x, v in zip(point, direction, strict=True)
    ]


def numerical(
    f: Callable[..., Any],
    point: list[Any],
    v: list[np.ndarray],
    step: float = 1e-3,
) -> float:
    """Return the central difference of fourth order along v.

    Source: Abramowitz and Stegun, Handbook of mathematical functions, 25.3.6.
    """
    change = constants(point, v)

    def at(distance: float) -> float:
        moved = [wrap(x) + distance * part for x, part in zip(point, change, strict=True)]
        return float(f(moved))

    near = at(step) - at(-step)
    far = at(2 * step) - at(-2 * step)
    return (8 * near - far) / (12 * step)


def agree(
    f: Callable[..., Any],
    point: list[Any],
    orders: tuple[int, ...] = (1, 2),
) -> None:
    """Compare the derivatives of a scalar function of a list of arrays with central differences."""
    first = anynet.grad(f)
    v = directions(point, 1)
    if 1 in orders:
        analytic = along(first(point), v)
        difference = numerical(f, point, v)
        assert analytic == pytest.approx(difference, rel=1e-6, abs=1e-9), "first derivative"
    if 2 in orders:
        u = constants(point, directions(point, 2))

        def slope(point: Any) -> Any:
            """Return the derivative along u."""
            xp = array_namespace(*point)
            pairs = zip(u, first(point), strict=True)
            return sum(xp.real(xp.sum(conj(part) * g)) for part, g in pairs)

        analytic = along(anynet.grad(slope)(point), v)
        difference = numerical(slope, point, v)
        assert analytic == pytest.approx(difference, rel=1e-6, abs=1e-9), "second derivative"


def _named(name: str) -> Callable[..., Any]:
    return lambda xp, *arrays: getattr(xp, name)(*arrays)


def symmetric(xp: Any, x: Any) -> Any:
    """Return a symmetric matrix whose eigenvalues are far from each other."""
    return x + xp.matrix_transpose(x) + _scale(xp, x)


def positive(xp: Any, x: Any) -> Any:
    """Return a symmetric positive definite matrix."""
    return xp.matmul(x, xp.matrix_transpose(x)) + _scale(xp, x)


def regular(xp: Any, x: Any) -> Any:
    """Return a matrix whose singular values are far from each other and from zero."""
    rows, columns = x.shape[-2:]
    n = max(rows, columns)
    scale = xp.reshape(xp.arange(n, dtype=x.dtype, device=device(x)) * 4 + 4, (n, 1))
    return x + (xp.eye(n, dtype=x.dtype, device=device(x)) * scale)[:rows, :columns]


def _scale(xp: Any, x: Any) -> Any:
    n = x.shape[-1]
    diagonal = xp.arange(n, dtype=x.dtype, device=device(x)) * 4 + 4
    return xp.eye(n, dtype=x.dtype, device=device(x)) * diagonal


def fix(xp: Any, v: Any) -> Any:
    """Return a matrix whose columns have a positive diagonal. A decomposition leaves their signs
    open."""
    return v * xp.expand_dims(xp.sign(xp.linalg.diagonal(v)), axis=-2)


def indices(xp: Any, x: Any, *values: int) -> Any:
    return xp.asarray(values, device=device(x))


_UNARY = {
    "abs": (0.1, 2), "acos": (-0.9, 0.9), "acosh": (1.2, 3), "asin": (-0.9, 0.9), "asinh": (-2, 2),
    "atan": (-2, 2), "atanh": (-0.9, 0.9), "cos": (-3, 3), "cosh": (-2, 2), "exp": (-2, 2),
    "expm1": (-2, 2), "log": (0.3, 3), "log1p": (-0.7, 3), "log2": (0.3, 3), "log10": (0.3, 3),
    "negative": (-2, 2), "positive": (-2, 2), "reciprocal": (0.3, 2), "sin": (-3, 3),
    "sinh": (-2, 2), "sqrt": (0.3, 3), "square": (-2, 2), "tan": (-1, 1), "tanh": (-2, 2),
}  # fmt: skip
_BINARY = {
    "add": (-2, 2), "atan2": (0.3, 2), "divide": (0.4, 2), "hypot": (0.3, 2), "logaddexp": (-2, 2),
    "maximum": (-2, 2), "minimum": (-2, 2), "multiply": (-2, 2), "pow": (0.4, 2),
    "subtract": (-2, 2),
}  # fmt: skip

ELEMENTWISE = {
    **{name: Case(_named(name), ANY, *limits) for name, limits in _UNARY.items()},
    **{name: Case(_named(name), PAIRS, *limits) for name, limits in _BINARY.items()},
    "abs of complex": Case(lambda xp, x: xp.abs(x + 2j)),
    "clip": Case(lambda xp, x: xp.clip(x, -0.517, 0.519)),
    "clip by arrays": Case(lambda xp, x, limit: xp.clip(x, max=limit), PAIRS),
    "conj": Case(lambda xp, x: xp.conj(x * (1 + 2j)) * (x + 3j)),
    "copysign": Case(lambda xp, x: xp.copysign(x, xp.cos(x)), ANY, 0.2, 2),
    "real and imag": Case(lambda xp, x: xp.real(xp.exp(x * 2j)) * xp.imag((x + 1j) ** 3)),
    "remainder": Case(lambda xp, x, y: xp.remainder(x + 3, y + 1.2), PAIRS, 0, 0.1),
    "sign": Case(lambda xp, x: xp.sign(x) * x),
    "sign of complex": Case(lambda xp, x: xp.sign(x + 2j)),
    "where": Case(lambda xp, x, y: xp.where(x > y, x * x, 3 * y), PAIRS),
}

STATISTICAL = {
    **{
        name: Case(lambda xp, x, name=name: getattr(xp, name)(x), FULL)
        for name in ("sum", "mean", "max", "min", "var", "std")
    },
    "sum of nothing": Case(lambda xp, x: xp.sum(x, axis=0), AXES),
    "mean of the last": Case(lambda xp, x: xp.mean(x, axis=-1, keepdims=True), FULL),
    "max of the first": Case(lambda xp, x: xp.max(x, axis=0), FULL),
    "min of all axes": Case(
        lambda xp, x: xp.min(x, axis=tuple(range(x.ndim)), keepdims=True),
        FULL,
    ),
    "var corrected": Case(
        lambda xp, x: xp.var(xp.concat([x, x * x + 2]), axis=0, correction=1),
        FULL,
    ),
    "std of the first": Case(
        lambda xp, x: xp.std(xp.concat([x, x * x + 2]), axis=0, keepdims=True),
        FULL,
    ),
    "cumulative_sum": Case(lambda xp, x: xp.cumulative_sum(x, axis=-1), AXES),
    "cumulative_sum initial": Case(
        lambda xp, x: xp.cumulative_sum(x, axis=0, include_initial=True),
        AXES,
    ),
    "cumulative_prod": Case(lambda xp, x: xp.cumulative_prod(x, axis=0), AXES),
    "cumulative_prod initial": Case(
        lambda xp, x: xp.cumulative_prod(x, axis=-1, include_initial=True),
        AXES,
    ),
    "prod": Case(lambda xp, x: xp.prod(x, axis=0), AXES),
    "prod of odd length": Case(lambda xp, x: xp.prod(x, axis=1), LONG),
    "prod of all": Case(lambda xp, x: xp.prod(1 + x, keepdims=True)),
    "diff": Case(lambda xp, x: xp.diff(x, axis=0, n=2), FULL),
    "diff appended": Case(lambda xp, x: xp.diff(x, axis=-1, append=x[..., :1]), FULL),
}

MANIPULATION = {
    "astype": Case(lambda xp, x: xp.astype(x, xp.complex128) ** 2),
    "broadcast_arrays": Case(lambda xp, x, y: xp.broadcast_arrays(x, y**2)[1], PAIRS),
    "broadcast_to": Case(lambda xp, x: xp.broadcast_to(x, (2, *x.shape))),
    "concat": Case(lambda xp, x: xp.concat([x, 2 * x, x * x], axis=-1), AXES),
    "concat flat": Case(lambda xp, x: xp.concat([x, 3 * x], axis=None)),
    "expand_dims": Case(lambda xp, x: xp.expand_dims(x, axis=-1)),
    "flip": Case(lambda xp, x: xp.flip(x)),
    "flip of the first": Case(lambda xp, x: xp.flip(x, axis=0), AXES),
    "moveaxis": Case(lambda xp, x: xp.moveaxis(x, 0, -1), AXES),
    "permute_dims": Case(lambda xp, x: xp.permute_dims(x, (*range(1, x.ndim), 0)), AXES),
    "repeat": Case(lambda xp, x: xp.repeat(x, 2, axis=-1), AXES),
    "repeat by array": Case(
        lambda xp, x: xp.repeat(x, xp.arange(x.shape[0], device=device(x)), axis=0),
        AXES,
    ),
    "repeat of all": Case(lambda xp, x: xp.repeat(x, 3)),
    "reshape": Case(lambda xp, x: xp.reshape(x, (math.prod(x.shape), 1))),
    "roll": Case(lambda xp, x: xp.roll(x, 1)),
    "roll of both": Case(lambda xp, x: xp.roll(x, (1, -2), axis=(0, -1)), AXES),
    "squeeze": Case(lambda xp, x: xp.squeeze(xp.expand_dims(x, axis=0), 0)),
    "stack": Case(lambda xp, x: xp.stack([x, x * x], axis=-1)),
    "tile fewer axes": Case(lambda xp, x: xp.tile(x, (3,)), AXES),
    "tile": Case(lambda xp, x: xp.tile(x, (2, 3))),
    "unstack": Case(lambda xp, x: xp.unstack(x)[0] * xp.unstack(x)[-1], FULL),
    "unstack from the end": Case(
        lambda xp, x: xp.unstack(x, axis=-1)[0] * xp.unstack(x, axis=-1)[-1],
        FULL,
    ),
    "meshgrid": Case(lambda xp, x, y: xp.meshgrid(x, y**2)[1], VECTORS),
    "meshgrid ij": Case(lambda xp, x, y: xp.meshgrid(x, y**2, indexing="ij")[0], VECTORS),
    "tril": Case(lambda xp, x: xp.tril(x, k=-1), STACK),
    "triu": Case(lambda xp, x: xp.triu(x, k=1), STACK),
}

SEARCHING = {
    "unique_all": Case(lambda xp, x: xp.unique_all(x).values ** 2),
    "unique_counts": Case(lambda xp, x: xp.unique_counts(x)[0] ** 2),
    "unique_inverse": Case(lambda xp, x: xp.unique_inverse(xp.concat([x, x])).values ** 2, AXES),
    "unique_values": Case(lambda xp, x: xp.unique_values(x) ** 2),
    "sort": Case(lambda xp, x: xp.sort(x), AXES),
    "sort descending": Case(lambda xp, x: xp.sort(x, axis=0, descending=True), AXES),
    "take": Case(lambda xp, x: xp.take(x, indices(xp, x, 0, -1, 0), axis=0), FULL),
    "take_along_axis": Case(
        lambda xp, x: xp.take_along_axis(x, xp.argsort(x * x, axis=-1), axis=-1),
        AXES,
    ),
    "integer": Case(lambda xp, x: x[-1, ...] ** 2, FULL),
    "slices": Case(lambda xp, x: x[::-1, ..., None, ::2] ** 2, PLANE),
    "none": Case(lambda xp, x: x[None, ..., None]),
    "integer arrays": Case(
        lambda xp, x: x[indices(xp, x, 0, -1, 0), indices(xp, x, -1, 0, -1)],
        PLANE,
    ),
    "rows": Case(lambda xp, x: x[indices(xp, x, 0, -1, 0), ...], FULL),
    "mask": Case(lambda xp, x: x[x > 0] ** 2),
    "mask of rows": Case(lambda xp, x: x[x[:, 0] > 0, :] ** 2, PLANE),
}


def sum_of_cubes(xp: Any, x: Any) -> Any:
    """Return a real sum over the last axis, which does not depend on the order of its terms."""
    return xp.sum(xp.abs(x + 1) ** 3, axis=-1)


LINEAR_ALGEBRA = {
    "matmul": Case(lambda xp, x, y: xp.matmul(x, y), PRODUCT),
    "matmul of a vector": Case(lambda xp, x, y: xp.matmul(y[..., 0], x), SYSTEM),
    "matrix_transpose": Case(lambda xp, x: xp.matrix_transpose(x), STACK),
    "vecdot": Case(lambda xp, x, y: xp.vecdot(x, y), TRIPLES),
    "tensordot": Case(lambda xp, x, y: xp.tensordot(x, y, axes=((-1,), (0,))), PRODUCT),
    "tensordot outer": Case(lambda xp, x, y: xp.tensordot(x, y, axes=0), VECTORS),
    "linalg.cholesky": Case(lambda xp, x: xp.linalg.cholesky(positive(xp, x)), SQUARE),
    "linalg.cholesky upper": Case(
        lambda xp, x: xp.linalg.cholesky(positive(xp, x), upper=True), SQUARE
    ),
    "linalg.cross": Case(lambda xp, x, y: xp.linalg.cross(x, y), TRIPLES),
    "linalg.det": Case(lambda xp, x: xp.linalg.det(regular(xp, x)), SQUARE),
    "linalg.diagonal": Case(lambda xp, x: xp.linalg.diagonal(x, offset=-1), STACK),
    "linalg.eig vectors": Case(
        lambda xp, x: sum_of_cubes(xp, xp.linalg.eig(regular(xp, x))[1].mT), SQUARE
    ),
    "linalg.eig": Case(lambda xp, x: sum_of_cubes(xp, xp.linalg.eig(regular(xp, x))[0]), SQUARE),
    "linalg.eigvals": Case(
        lambda xp, x: sum_of_cubes(xp, xp.linalg.eigvals(symmetric(xp, x))), SQUARE
    ),
    "linalg.eigh values": Case(lambda xp, x: xp.linalg.eigh(symmetric(xp, x))[0], SQUARE),
    "linalg.eigh vectors": Case(lambda xp, x: fix(xp, xp.linalg.eigh(symmetric(xp, x))[1]), SQUARE),
    "linalg.eigvalsh": Case(lambda xp, x: xp.linalg.eigvalsh(symmetric(xp, x)), SQUARE),
    "linalg.inv": Case(lambda xp, x: xp.linalg.inv(regular(xp, x)), SQUARE),
    "linalg.matmul": Case(lambda xp, x: xp.linalg.matmul(x, xp.linalg.matrix_transpose(x)), STACK),
    "linalg.matrix_norm": Case(lambda xp, x: xp.linalg.matrix_norm(x), MATRIX),
    "linalg.matrix_norm nuc": Case(
        lambda xp, x: xp.linalg.matrix_norm(regular(xp, x), ord="nuc", keepdims=True), MATRIX
    ),
    "linalg.matrix_norm 1": Case(lambda xp, x: xp.linalg.matrix_norm(xp.exp(x), ord=1), MATRIX),
    "linalg.matrix_norm -inf": Case(
        lambda xp, x: xp.linalg.matrix_norm(xp.exp(x), ord=-math.inf), MATRIX
    ),
    "linalg.matrix_norm 2": Case(
        lambda xp, x: xp.linalg.matrix_norm(regular(xp, x), ord=2), MATRIX
    ),
    "linalg.matrix_power": Case(lambda xp, x: xp.linalg.matrix_power(x, 5), SQUARE),
    "linalg.matrix_power 0": Case(lambda xp, x: xp.linalg.matrix_power(x, 0) + x, SQUARE),
    "linalg.matrix_power -2": Case(
        lambda xp, x: xp.linalg.matrix_power(regular(xp, x), -2), SQUARE
    ),
    "linalg.outer": Case(lambda xp, x, y: xp.linalg.outer(x, y), VECTORS),
    "linalg.pinv": Case(lambda xp, x: xp.linalg.pinv(regular(xp, x)), MATRIX),
    "linalg.qr q": Case(lambda xp, x: xp.linalg.qr(regular(xp, x))[0] * 1.0, MATRIX),
    "linalg.qr r": Case(lambda xp, x: xp.linalg.qr(regular(xp, x))[1] ** 2, MATRIX),
    "linalg.slogdet": Case(lambda xp, x: xp.linalg.slogdet(regular(xp, x))[1], SQUARE),
    "linalg.solve": Case(lambda xp, x, y: xp.linalg.solve(regular(xp, x), y), SYSTEM),
    "linalg.solve a vector": Case(
        lambda xp, x, y: xp.linalg.solve(regular(xp, x), y), VECTOR_SYSTEM
    ),
    "linalg.svd u": Case(
        lambda xp, x: fix(xp, xp.linalg.svd(regular(xp, x), full_matrices=False)[0]), MATRIX
    ),
    "linalg.svd values": Case(lambda xp, x: xp.linalg.svd(regular(xp, x))[1], MATRIX),
    "linalg.svd vh": Case(
        lambda xp, x: fix(xp, xp.linalg.svd(regular(xp, x), full_matrices=False)[2].mT), MATRIX
    ),
    "linalg.svd all": Case(
        lambda xp, x: xp.matmul(*xp.linalg.svd(regular(xp, x), full_matrices=False)[::2]), MATRIX
    ),
    "linalg.svdvals": Case(lambda xp, x: xp.linalg.svdvals(regular(xp, x)), MATRIX),
    "linalg.trace": Case(lambda xp, x: xp.linalg.trace(x * x, offset=1), STACK),
    "linalg.vecdot": Case(lambda xp, x: xp.linalg.vecdot(x, x**2), AXES),
    "linalg.vector_norm": Case(lambda xp, x: xp.linalg.vector_norm(x), FULL),
    "linalg.vector_norm -inf": Case(lambda xp, x: xp.linalg.vector_norm(x, ord=-math.inf), LONG),
    "linalg.vector_norm -inf of rows": Case(
        lambda xp, x: xp.linalg.vector_norm(x, axis=-1, ord=-math.inf), LONG
    ),
    "linalg.vector_norm -2": Case(
        lambda xp, x: xp.linalg.vector_norm(xp.exp(x), axis=0, ord=-2), FULL
    ),
    "linalg.vector_norm of planes": Case(
        lambda xp, x: xp.linalg.vector_norm(x, axis=(0, 1), keepdims=True), LONG
    ),
    "linalg.vector_norm 3": Case(lambda xp, x: xp.linalg.vector_norm(x, axis=-1, ord=3), FULL),
    "linalg.vector_norm 1": Case(
        lambda xp, x: xp.linalg.vector_norm(x, axis=0, ord=1, keepdims=True), FULL
    ),
    "linalg.vector_norm inf": Case(
        lambda xp, x: xp.linalg.vector_norm(x, axis=-1, ord=math.inf), FULL
    ),
}


def _c(xp: Any, x: Any) -> Any:
    return xp.astype(x, xp.complex128) * (1 + 0.5j)


FOURIER = {
    "fft.fft": Case(lambda xp, x: xp.abs(xp.fft.fft(_c(xp, x), axis=0)) ** 2, FULL),
    "fft.fft longer": Case(lambda xp, x: xp.fft.fft(_c(xp, x), n=4) ** 2, FULL),
    "fft.ifft shorter": Case(lambda xp, x: xp.fft.ifft(_c(xp, x), n=1, norm="ortho") ** 2, FULL),
    "fft.fftn": Case(lambda xp, x: xp.fft.fftn(_c(xp, x)) ** 2, FULL),
    "fft.ifftn": Case(
        lambda xp, x: xp.fft.ifftn(_c(xp, x), s=(2, 3), axes=(-2, -1)) ** 2, SOME_MATRIX
    ),
    "fft.rfft": Case(lambda xp, x: xp.fft.rfft(x) ** 2, FULL),
    "fft.rfft odd": Case(lambda xp, x: xp.fft.rfft(x, n=3, axis=0, norm="forward"), FULL),
    "fft.irfft": Case(lambda xp, x: xp.fft.irfft(xp.fft.rfft(x) ** 2, n=4), FULL),
    "fft.irfft odd": Case(lambda xp, x: xp.fft.irfft(_c(xp, x), n=3, norm="ortho"), FULL),
    "fft.irfft of its own length": Case(lambda xp, x: xp.fft.irfft(_c(xp, x)), LONG),
    "fft.fftn of lengths": Case(lambda xp, x: xp.fft.fftn(_c(xp, x), s=(3,)), LONG),
    "fft.ifftn of lengths": Case(lambda xp, x: xp.fft.ifftn(_c(xp, x), s=(3, 2)), LONG),
    "fft.rfftn of lengths": Case(lambda xp, x: xp.fft.rfftn(x, s=(4, 2), axes=(1, 0)), LONG),
    "fft.irfftn of its own length": Case(lambda xp, x: xp.fft.irfftn(_c(xp, x)), LONG),
    "fft.hfft of its own length": Case(lambda xp, x: xp.fft.hfft(_c(xp, x) * (1 + 2j)), LONG),
    "fft.rfftn": Case(lambda xp, x: xp.fft.rfftn(x) ** 2, FULL),
    "fft.irfftn": Case(
        lambda xp, x: xp.fft.irfftn(xp.fft.rfftn(x, axes=(-2, -1)) ** 2, s=(2, 2), axes=(-2, -1)),
        SOME_MATRIX,
    ),
    "fft.hfft": Case(lambda xp, x: xp.fft.hfft(_c(xp, x) * (1 + 2j), n=4), FULL),
    "fft.ihfft": Case(lambda xp, x: xp.fft.ihfft(x) * (1 + 2j), FULL),
    "fft.fftshift": Case(lambda xp, x: xp.fft.fftshift(x), FULL),
    "fft.ifftshift": Case(lambda xp, x: xp.fft.ifftshift(x, axes=(0, -1)), MATRIX),
}

CASES = {
    **ELEMENTWISE,
    **STATISTICAL,
    **MANIPULATION,
    **SEARCHING,
    **LINEAR_ALGEBRA,
    **FOURIER,
}


def hermitian(xp: Any, x: Any) -> Any:
    """Return a positive definite Hermitian matrix whose eigenvalues are far from each other."""
    return xp.matmul(x, conj(x.mT)) + _scale(xp, x)


_HOLOMORPHIC = """
    acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 negative positive
    reciprocal sin sinh sqrt square tan tanh
""".split()

#: Functions of complex arrays, holomorphic or not. Those of decompositions do not depend on the
#: phases of vectors.
COMPLEX = {
    **{
        name: Case(_named(name), ANY, 0.2, 0.9)
        for name in (*_HOLOMORPHIC, "abs", "conj", "imag", "real", "sign")
    },
    **{
        name: Case(_named(name), PAIRS, 0.2, 0.9)
        for name in ("add", "divide", "multiply", "pow", "subtract")
    },
    "acosh on the left": Case(lambda xp, x: xp.acosh(-x), ANY, 0.2, 0.9),
    "sum": Case(_named("sum"), FULL),
    "mean": Case(_named("mean"), FULL),
    "prod": Case(_named("prod"), FULL),
    "cumulative_prod": Case(lambda xp, x: xp.cumulative_prod(x, axis=0), FULL),
    "where": Case(lambda xp, x, y: xp.where(xp.real(x) > 0.5, x * x, 3 * y), PAIRS),
    "slices": CASES["slices"],
    "matmul": CASES["matmul"],
    "vecdot": CASES["vecdot"],
    "vecdot of a real array": Case(lambda xp, x, y: xp.vecdot(xp.real(x), y), TRIPLES),
    "linalg.cholesky": Case(lambda xp, x: xp.linalg.cholesky(hermitian(xp, x)), SQUARE),
    "linalg.cholesky upper": Case(
        lambda xp, x: xp.linalg.cholesky(hermitian(xp, x), upper=True),
        SQUARE,
    ),
    "linalg.det": CASES["linalg.det"],
    "linalg.eigh values": Case(lambda xp, x: xp.linalg.eigh(hermitian(xp, x))[0], SQUARE),
    "linalg.eigh vectors": Case(
        lambda xp, x: xp.abs(xp.linalg.eigh(hermitian(xp, x))[1]) ** 2,
        SQUARE,
    ),
    "linalg.inv": CASES["linalg.inv"],
    "linalg.matrix_norm nuc": CASES["linalg.matrix_norm nuc"],
    "linalg.pinv": CASES["linalg.pinv"],
    "linalg.qr q": CASES["linalg.qr q"],
    "linalg.qr r": CASES["linalg.qr r"],
    "linalg.slogdet sign": Case(lambda xp, x: xp.linalg.slogdet(regular(xp, x))[0], SQUARE),
    "linalg.slogdet": CASES["linalg.slogdet"],
    "linalg.solve": CASES["linalg.solve"],
    "linalg.svd u": Case(
        lambda xp, x: xp.abs(xp.linalg.svd(regular(xp, x), full_matrices=False)[0]) ** 2,
        MATRIX,
    ),
    "linalg.svd vh": Case(
        lambda xp, x: xp.abs(xp.linalg.svd(regular(xp, x), full_matrices=False)[2]) ** 2,
        MATRIX,
    ),
    "linalg.svd all": CASES["linalg.svd all"],
    "linalg.svdvals": CASES["linalg.svdvals"],
    "linalg.vector_norm": CASES["linalg.vector_norm"],
    "linalg.vector_norm 3": CASES["linalg.vector_norm 3"],
    "fft.fft": Case(lambda xp, x: xp.fft.fft(x * x), FULL),
    "fft.irfft": Case(lambda xp, x: xp.fft.irfft(x * x, n=4), FULL),
}


def complex_point(case: Case, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Return complex arguments whose real and imaginary parts lie in the case's interval."""
    real, imaginary = case.point(shapes), case.point(shapes, seed=1)
    return [x + 1j * y for x, y in zip(real, imaginary, strict=True)]
