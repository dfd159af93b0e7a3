"""Rules and decompositions of the standard's matrix functions.

A decomposition has a derivative where it is unique and smooth. For the vectors of two equal
eigenvalues or singular values the cotangent is NaN, as in JAX and PyTorch. Sources: Giles,
Collected matrix derivative results for forward and reverse mode algorithmic differentiation, 2008;
Townsend, Differentiating the singular value decomposition, 2016; Walter and Lehmann, Algorithmic
differentiation of linear algebra functions, 2010; Wan and Zhang, Automatic differentiation for
complex valued SVD, 2019.
"""

import math
from collections.abc import Callable
from typing import Any

from anynet.array import (
    Array,
    Axes,
    DType,
    Namespace,
    conj,
    device,
    is_complex,
    is_narrow,
    widened,
)
from anynet.autodiff.gradients import stop_gradient
from anynet.autodiff.rules.determinant import cofactors
from anynet.autodiff.rules.table import Table
from anynet.errors import DifferentiationError, NoRuleError, ShapeError

RULES = rule = Table()
DECOMPOSITIONS = decomposition = Table()
linalg_rule = Table("linalg.")
linalg_decomposition = Table("linalg.")


@rule
def matmul(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    """Differentiate x1 @ x2: g @ x2ᵀ and x1ᵀ @ g.

    A vector counts as a matrix of one row or one column.
    """
    row, column = x1.ndim == 1, x2.ndim == 1

    def matrix(g: Array) -> Array:
        if column:
            g = xp.expand_dims(g, axis=-1)
        return xp.expand_dims(g, axis=-2) if row else g

    def to_x1(g: Array) -> Array:
        right = xp.expand_dims(x2, axis=-1) if column else x2
        c = xp.matmul(matrix(g), xp.matrix_transpose(right))
        return xp.squeeze(c, axis=-2) if row else c

    def to_x2(g: Array) -> Array:
        left = xp.expand_dims(x1, axis=-2) if row else x1
        c = xp.matmul(xp.matrix_transpose(left), matrix(g))
        return xp.squeeze(c, axis=-1) if column else c

    return to_x1, to_x2


@rule
def matrix_transpose(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: xp.matrix_transpose(g)


@rule
def vecdot(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
    *,
    axis: int = -1,
) -> Any:
    """Differentiate the sum of conj(x1) · x2. For a real x1 the walker takes the real part."""
    return (
        lambda g: conj(xp.expand_dims(g, axis=axis) * x2),
        lambda g: xp.expand_dims(g, axis=axis) * conj(x1),
    )


@decomposition
def tensordot(
    xp: Namespace,
    x1: Array,
    x2: Array,
    /,
    *,
    axes: Any = 2,
) -> Array:
    """Move the summed axes together, for one product of matrices."""
    if isinstance(axes, int):
        axes = tuple(range(x1.ndim - axes, x1.ndim)), tuple(range(axes))
    for x, part in zip((x1, x2), axes, strict=True):
        if not all(-x.ndim <= axis < x.ndim for axis in part):
            raise ShapeError(
                f"tensordot: axes {(*part,)} were given for an array of shape {(*x.shape,)}: "
                f"wanted axes from {-x.ndim} to {x.ndim - 1}"
            )
    gone1 = tuple(a % x1.ndim for a in axes[0])
    gone2 = tuple(a % x2.ndim for a in axes[1])
    summed1 = tuple(x1.shape[i] for i in gone1)
    summed2 = tuple(x2.shape[i] for i in gone2)
    if summed1 != summed2:
        raise ShapeError(
            f"tensordot: shapes {(*x1.shape,)} and {(*x2.shape,)} with axes {axes} were given: "
            f"wanted summed axes of equal lengths, not {summed1} and {summed2}"
        )
    left1 = tuple(i for i in range(x1.ndim) if i not in gone1)
    left2 = tuple(i for i in range(x2.ndim) if i not in gone2)
    inner = math.prod(summed1)
    rows = tuple(x1.shape[i] for i in left1)
    columns = tuple(x2.shape[i] for i in left2)
    m1 = xp.reshape(xp.permute_dims(x1, (*left1, *gone1)), (math.prod(rows), inner))
    m2 = xp.reshape(xp.permute_dims(x2, (*gone2, *left2)), (inner, math.prod(columns)))
    return xp.reshape(xp.matmul(m1, m2), (*rows, *columns))


@linalg_rule
def inv(
    xp: Namespace,
    out: Array,
    x: Array,
    /,
) -> Any:
    return lambda g: -xp.matmul(out.mT, xp.matmul(g, out.mT))


@linalg_rule
def solve(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
    /,
) -> Any:
    """Differentiate x1⁻¹ x2. A vector counts as a matrix of one column."""
    vector = x2.ndim == 1

    def matrix(g: Array) -> Array:
        return _column(xp, g) if vector else g

    def to_x2(g: Array) -> Array:
        c = xp.linalg.solve(x1.mT, matrix(g))
        return c[..., 0] if vector else c

    def to_x1(g: Array) -> Array:
        return -xp.matmul(xp.linalg.solve(x1.mT, matrix(g)), matrix(out).mT)

    return to_x1, to_x2


@linalg_rule
def det(
    xp: Namespace,
    out: Array,
    x: Array,
    /,
) -> Any:
    """Differentiate the determinant, also of a matrix that has no inverse."""
    return lambda g: _column(xp, _column(xp, g)) * cofactors(x)


@linalg_rule
def slogdet(
    xp: Namespace,
    out: Any,
    x: Array,
    /,
) -> Any:
    """Differentiate log abs det of a matrix that has an inverse.

    The sign of a real determinant is constant.
    """
    sign, logarithm = out

    def pullback(g: Any) -> Array:
        of_sign, of_logarithm = g
        c = xp.zeros_like(logarithm) if of_logarithm is None else of_logarithm
        if of_sign is not None and is_complex(sign):
            c = c - 1j * xp.real(1j * of_sign * sign)
        inverse = _regular("slogdet", "a matrix that has an inverse", xp.linalg.inv, x)
        return _column(xp, _column(xp, c)) * inverse.mT

    return pullback


def _regular(
    name: str,
    wanted: str,
    function: Callable[..., Array],
    *args: Array,
) -> Array:
    """Call a function that raises at a singular matrix in some libraries."""
    try:
        return function(*args)
    except (ValueError, RuntimeError) as error:
        # The error of a singular matrix derives from one of these, by the library.
        raise DifferentiationError(
            f"{name} has no derivative at this matrix: {error}; wanted {wanted}"
        ) from error


def _column(xp: Namespace, x: Array) -> Array:
    return xp.expand_dims(x, axis=-1)


def _row(xp: Namespace, x: Array) -> Array:
    return xp.expand_dims(x, axis=-2)


def _adjoint(x: Array) -> Array:
    return conj(x.mT)


def _hermitian(x: Array) -> Array:
    """Return the Hermitian part of a matrix."""
    return 0.5 * (x + _adjoint(x))


def _eye(xp: Namespace, like: Array) -> Array:
    return xp.eye(
        like.shape[-1],
        dtype=like.dtype,
        device=device(like),
    )


def _diagonal(xp: Namespace, x: Array) -> Array:
    """Return diagonal matrices of vectors."""
    return _column(xp, x) * _eye(xp, x)


def _of_conjugates(pullback: Callable[..., Array]) -> Callable[..., Array]:
    """Return a pullback for cotangents, from one for their conjugates.

    The sources write cotangents as inner products, which conjugates them.
    """

    def conjugated(g: Any) -> Array:
        parts = g if isinstance(g, tuple) else (g,)
        return conj(pullback(*(None if part is None else conj(part) for part in parts)))

    return conjugated


@linalg_rule
def cholesky(
    xp: Namespace,
    out: Array,
    x: Array,
    /,
    *,
    upper: bool = False,
) -> Any:
    """Differentiate with respect to a Hermitian matrix. Its cotangent is Hermitian too."""
    lower = _adjoint(out) if upper else out

    def pullback(g: Array) -> Array:
        product = xp.matmul(_adjoint(lower), _adjoint(g) if upper else g)
        halved = 0.5 * (xp.tril(product) + xp.tril(product, k=-1))
        c = xp.linalg.solve(_adjoint(lower), halved)
        return _hermitian(_adjoint(xp.linalg.solve(_adjoint(lower), _adjoint(c))))

    return _of_conjugates(pullback)


def _inverse_differences(xp: Namespace, w: Array) -> Array:
    """Return 1 / (w_j - w_i), with 0 on the diagonal.

    It is NaN where two are equal, because their vectors have no derivative.
    """
    difference = _row(xp, w) - _column(xp, w)
    equal = difference == 0
    undefined = xp.full_like(difference, math.nan)
    divisor = xp.where(equal, xp.ones_like(difference), difference)
    inverses = xp.where(equal, undefined, 1 / divisor)
    return xp.where(_eye(xp, w) == 1, xp.zeros_like(inverses), inverses)


@linalg_rule
def eigh(
    xp: Namespace,
    out: Any,
    x: Array,
    /,
) -> Any:
    """Differentiate with respect to a Hermitian matrix. Its cotangent is Hermitian too.

    A complex eigenvector is unique up to a factor of modulus 1.
    """
    w, v = out

    def pullback(of_w: Any, of_v: Any) -> Array:
        inner = xp.zeros_like(x)
        if of_v is not None:
            inner = inner + _inverse_differences(xp, w) * xp.matmul(_adjoint(v), of_v)
        if of_w is not None:
            inner = inner + _diagonal(xp, of_w)
        return _hermitian(xp.matmul(v, xp.matmul(inner, _adjoint(v))))

    return _of_conjugates(pullback)


@linalg_rule
def eig(
    xp: Namespace,
    out: Any,
    x: Array,
    /,
) -> Any:
    """Differentiate the eigenvalues, and the eigenvectors of length 1.

    A vector is unique up to a factor of modulus 1. A function that depends on that factor has no
    derivative. Source: PyTorch's linalg_eig_backward.
    """
    w, v = out

    def pullback(of_w: Any, of_v: Any) -> Array:
        inner = xp.zeros_like(v)
        if of_v is not None:
            product = xp.matmul(_adjoint(v), of_v)
            lengths = xp.linalg.diagonal(product)
            if is_complex(product):
                lengths = xp.real(lengths)
            stretched = xp.matmul(_adjoint(v), v) * _row(xp, lengths)
            inner = inner + conj(_inverse_differences(xp, w)) * (product - stretched)
        if of_w is not None:
            inner = inner + _diagonal(xp, of_w)
        right = xp.matmul(inner, _adjoint(v))
        return xp.linalg.solve(xp.astype(_adjoint(v), right.dtype), right)

    return _of_conjugates(pullback)


@linalg_decomposition
def eigvals(xp: Namespace, x: Array, /) -> Array:
    return xp.linalg.eig(x)[0]


@linalg_decomposition
def eigvalsh(xp: Namespace, x: Array, /) -> Array:
    return xp.linalg.eigh(x)[0]


@linalg_rule
def svd(
    xp: Namespace,
    out: Any,
    x: Array,
    /,
    *,
    full_matrices: bool = True,
) -> Any:
    """Differentiate the reduced decomposition.

    The vectors of singular values of 0 are not unique.
    """
    rows, columns = x.shape[-2:]
    beyond = full_matrices and rows != columns

    def pullback(
        of_u: Any,
        of_s: Any,
        of_vh: Any,
    ) -> Array:
        if beyond and (of_u is not None or of_vh is not None):
            raise NoRuleError(
                "the vectors of svd have a derivative for full_matrices=False only, where the "
                "matrix is not square"
            )
        u, s, vh = xp.linalg.svd(x, full_matrices=False) if beyond else out
        inner = _diagonal(xp, xp.zeros_like(s) if of_s is None else of_s)
        c = xp.zeros_like(x)
        f = _inverse_differences(xp, s * s)
        if of_u is not None:
            product = xp.matmul(_adjoint(u), of_u)
            skew = product - _adjoint(product)
            inner = inner + f * skew * _row(xp, s)
            if is_complex(x):
                # The two vectors of a pair share a factor of modulus 1.
                inner = inner + skew * _diagonal(xp, 0.5 / s)
            if rows > columns:
                c = c + xp.matmul((of_u - xp.matmul(u, product)) / _row(xp, s), vh)
        if of_vh is not None:
            product = xp.matmul(of_vh, _adjoint(vh))
            inner = inner + _column(xp, s) * (f * (_adjoint(product) - product))
            if columns > rows:
                c = c + xp.matmul(u, (of_vh - xp.matmul(product, vh)) / _column(xp, s))
        return c + xp.matmul(u, xp.matmul(inner, vh))

    return _of_conjugates(pullback)


@linalg_decomposition
def svdvals(xp: Namespace, x: Array, /) -> Array:
    return xp.linalg.svd(x, full_matrices=False)[1]


@linalg_rule
def qr(
    xp: Namespace,
    out: Any,
    x: Array,
    /,
    *,
    mode: str = "reduced",
) -> Any:
    """Differentiate the reduced decomposition of a matrix whose first columns are independent."""
    rows, columns = x.shape[-2:]
    if mode != "reduced" and rows > columns:
        raise NoRuleError(
            "qr has a derivative for mode='reduced' only, where there are more rows than columns"
        )
    q, r = out
    split = min(rows, columns)
    square = r[..., :, :split]

    def pullback(of_q: Any, of_r: Any) -> Array:
        of_q = xp.zeros_like(q) if of_q is None else of_q
        of_r = xp.zeros_like(r) if of_r is None else of_r
        # The columns after the square are Qᴴ times the same columns of x.
        rest = of_r[..., :, split:]
        of_q = of_q + xp.matmul(x[..., :, split:], _adjoint(rest))
        m = xp.matmul(square, _adjoint(of_r[..., :, :split])) - xp.matmul(_adjoint(of_q), q)
        c = of_q + xp.matmul(q, _hermitian(xp.tril(m) + xp.tril(m, k=-1)))
        solve = xp.linalg.solve
        solved = _regular("qr", "independent columns", solve, square, _adjoint(c))
        return xp.concat([_adjoint(solved), xp.matmul(q, rest)], axis=-1)

    return _of_conjugates(pullback)


@linalg_rule
def pinv(
    xp: Namespace,
    out: Array,
    x: Array,
    /,
    *,
    rtol: Array | float | None = None,
) -> Any:
    """Differentiate where the rank does not change."""

    def pullback(g: Array) -> Array:
        outh, gh = _adjoint(out), _adjoint(g)
        left = gh - xp.matmul(x, xp.matmul(out, gh))
        right = gh - xp.matmul(xp.matmul(gh, out), x)
        c = xp.matmul(left, xp.matmul(out, outh)) + xp.matmul(xp.matmul(outh, out), right)
        return c - xp.matmul(outh, xp.matmul(g, outh))

    return _of_conjugates(pullback)


@linalg_decomposition
def outer(
    xp: Namespace,
    x1: Array,
    x2: Array,
    /,
) -> Array:
    return xp.expand_dims(x1, axis=-1) * xp.expand_dims(x2, axis=0)


@linalg_decomposition
def cross(
    xp: Namespace,
    x1: Array,
    x2: Array,
    /,
    *,
    axis: int = -1,
) -> Array:
    a, b = (xp.moveaxis(x, axis, -1) for x in (x1, x2))
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return xp.moveaxis(xp.stack(parts, axis=-1), -1, axis)


@linalg_decomposition
def diagonal(
    xp: Namespace,
    x: Array,
    /,
    *,
    offset: int = 0,
) -> Array:
    """Take every (columns + 1)-th element of the flattened matrix."""
    rows, columns = x.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    start = offset if offset >= 0 else -offset * columns
    flat = xp.reshape(x, (*x.shape[:-2], rows * columns))
    if not length:
        return flat[..., :0]
    stop = start + (length - 1) * (columns + 1) + 1
    return flat[..., start : stop : columns + 1]


@linalg_decomposition
def trace(
    xp: Namespace,
    x: Array,
    /,
    *,
    offset: int = 0,
    dtype: DType | None = None,
) -> Array:
    return xp.sum(
        xp.linalg.diagonal(x, offset=offset),
        axis=-1,
        dtype=dtype,
    )


@linalg_decomposition
def matrix_power(
    xp: Namespace,
    x: Array,
    n: int,
    /,
) -> Array:
    """Square repeatedly."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"matrix_power: shape {tuple(x.shape)} was given: wanted square matrices, (…, n, n)"
        )
    if n < 0:
        x, n = xp.linalg.inv(x), -n
    result = None
    while n:
        n, odd = divmod(n, 2)
        if odd:
            result = x if result is None else xp.matmul(result, x)
        x = xp.matmul(x, x) if n else x
    if result is None:
        return xp.broadcast_to(_eye(xp, x), x.shape)
    return result


@linalg_decomposition
def vector_norm(
    xp: Namespace,
    x: Array,
    /,
    *,
    axis: Axes = None,
    keepdims: bool = False,
    ord: float = 2,
) -> Array:
    """Return the norm.

    The derivative by an element of 0 is 0, and so is every derivative where the norm is 0.
    """
    if is_narrow(x):
        # Powers of many elements overflow.
        wide = vector_norm(xp, widened(x), axis=axis, keepdims=keepdims, ord=ord)
        return xp.astype(wide, x.dtype)
    if axis is None and not keepdims:
        x, axis = xp.reshape(x, (-1,)), 0
    size = xp.abs(x)
    if ord == 0:
        return xp.sum(
            xp.astype(size != 0, size.dtype),
            axis=axis,
            keepdims=keepdims,
        )
    if ord == 1:
        return xp.sum(size, axis=axis, keepdims=keepdims)
    extreme = _largest(xp, size, axis) if ord > 0 else xp.min(size, axis=axis, keepdims=True)
    norm = extreme
    if not math.isinf(ord):
        norm = _scaled_norm(xp, x, size, stop_gradient(extreme), axis, ord)
    return norm if keepdims else xp.squeeze(norm, axis=axis)


def _scaled_norm(
    xp: Namespace,
    x: Array,
    size: Array,
    scale: Array,
    axis: Axes,
    ord: float,
) -> Array:
    """Return the norm as a multiple of a scale, so that no power overflows or underflows.

    The reduced axes stay, with length one.
    """
    usable = xp.logical_and(xp.isfinite(scale), scale != 0)
    scale = xp.where(usable, scale, xp.ones_like(scale))
    if ord == 2:
        # Squares of x, and not of abs(x), because the second derivative at 0 is not 0.
        x = x / scale
        powers = xp.real(x * xp.conj(x)) if is_complex(x) else x * x
    else:
        zero = size == 0
        of_zero = xp.full_like(size, 0.0 if ord > 0 else math.inf)
        ratio = xp.where(zero, xp.ones_like(size), size / scale)
        powers = xp.where(zero, of_zero, ratio**ord)
    total = xp.sum(powers, axis=axis, keepdims=True)
    nothing = total == 0 if ord > 0 else xp.isinf(total)
    root = xp.where(nothing, xp.ones_like(total), total) ** (1 / ord)
    return xp.where(nothing, xp.zeros_like(total), scale * root)


def _largest(
    xp: Namespace,
    x: Array,
    axis: Axes,
) -> Array:
    """Return the largest element along axes, which keep length one. It is 0 for no elements."""
    if 0 in x.shape:
        return xp.sum(x, axis=axis, keepdims=True)
    return xp.max(x, axis=axis, keepdims=True)


@linalg_decomposition
def matrix_norm(
    xp: Namespace,
    x: Array,
    /,
    *,
    keepdims: bool = False,
    ord: float | str = "fro",
) -> Array:
    if ord == "fro":
        norm = xp.linalg.vector_norm(x, axis=(-2, -1), keepdims=True)
    elif ord == "nuc":
        norm = xp.expand_dims(xp.sum(xp.linalg.svdvals(x), axis=-1, keepdims=True), axis=-1)
    else:
        order = float(ord)
        if abs(order) == 2:
            sizes = xp.expand_dims(xp.linalg.svdvals(x), axis=-1)
        else:
            sizes = xp.sum(
                xp.abs(x),
                axis=-2 if abs(order) == 1 else -1,
                keepdims=True,
            )
        axes = (-2, -1)
        norm = _largest(xp, sizes, axes) if order > 0 else xp.min(sizes, axis=axes, keepdims=True)
    return norm if keepdims else xp.squeeze(norm, axis=(-2, -1))


RULES.update(linalg_rule)
DECOMPOSITIONS.update(linalg_decomposition)
