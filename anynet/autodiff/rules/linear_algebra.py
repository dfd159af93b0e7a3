"""Rules and compositions of the standard's matrix functions.

Decompositions have derivatives where they are unique and smooth. Source of the formulas: Giles, Collected matrix
derivative results for forward and reverse mode algorithmic differentiation, 2008; Townsend, Differentiating the
singular value decomposition, 2016; Walter and Lehmann, Algorithmic differentiation of linear algebra functions, 2010.
"""

import math
from typing import Any

from anynet.array import Array, Namespace, device
from anynet.autodiff.rules.table import Table
from anynet.errors import NoRuleError

RULES = rule = Table()
COMPOSITIONS = composition = Table()
linalg_rule = Table("linalg.")
linalg_composition = Table("linalg.")


@rule
def matmul(xp: Namespace, out: Array, x1: Array, x2: Array) -> Any:
    """Differentiate x1 @ x2: g @ x2ᵀ and x1ᵀ @ g; a vector counts as a matrix with one row, or one column."""
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
def matrix_transpose(xp: Namespace, out: Array, x: Array) -> Any:
    return lambda g: xp.matrix_transpose(g)


@rule
def vecdot(xp: Namespace, out: Array, x1: Array, x2: Array, *, axis: int = -1) -> Any:
    """Differentiate the sum of conj(x1) · x2; for a real x1 the walker takes the real part."""
    if not xp.isdtype(x1.dtype, "complex floating"):
        return lambda g: xp.expand_dims(g, axis=axis) * x2, lambda g: xp.expand_dims(g, axis=axis) * x1

    def to_x1(g: Array) -> Array:
        c = xp.expand_dims(g, axis=axis) * x2
        return xp.conj(c) if xp.isdtype(c.dtype, "complex floating") else c

    return to_x1, lambda g: xp.expand_dims(g, axis=axis) * xp.conj(x1)


@composition
def tensordot(xp: Namespace, x1: Array, x2: Array, /, *, axes: Any = 2) -> Array:
    """Bring the summed axes together: one product of matrices."""
    if isinstance(axes, int):
        axes = tuple(range(x1.ndim - axes, x1.ndim)), tuple(range(axes))
    gone1, gone2 = (tuple(a % x.ndim for a in part) for x, part in zip((x1, x2), axes, strict=True))
    left1, left2 = (tuple(i for i in range(x.ndim) if i not in gone) for x, gone in ((x1, gone1), (x2, gone2)))
    inner = math.prod(x1.shape[i] for i in gone1)
    rows, columns = tuple(x1.shape[i] for i in left1), tuple(x2.shape[i] for i in left2)
    m1 = xp.reshape(xp.permute_dims(x1, (*left1, *gone1)), (math.prod(rows), inner))
    m2 = xp.reshape(xp.permute_dims(x2, (*gone2, *left2)), (inner, math.prod(columns)))
    return xp.reshape(xp.matmul(m1, m2), (*rows, *columns))


@linalg_rule
def inv(xp: Namespace, out: Array, x: Array, /) -> Any:
    return lambda g: -xp.matmul(out.mT, xp.matmul(g, out.mT))


@linalg_rule
def solve(xp: Namespace, out: Array, x1: Array, x2: Array, /) -> Any:
    """Differentiate x1⁻¹ x2; a vector counts as a matrix with one column."""
    vector = x2.ndim == 1

    def to_x2(g: Array) -> Array:
        return xp.linalg.solve(x1.mT, g)

    def to_x1(g: Array) -> Array:
        c, solution = to_x2(g), out
        if vector:
            c, solution = xp.expand_dims(c, axis=-1), xp.expand_dims(out, axis=-1)
        return -xp.matmul(c, solution.mT)

    return to_x1, to_x2


@linalg_rule
def det(xp: Namespace, out: Array, x: Array, /) -> Any:
    """Differentiate the determinant of a matrix that has an inverse."""
    return lambda g: xp.expand_dims(xp.expand_dims(g * out, axis=-1), axis=-1) * xp.linalg.inv(x).mT


@linalg_rule
def slogdet(xp: Namespace, out: Any, x: Array, /) -> Any:
    """Differentiate log abs det of a matrix that has an inverse; the sign of a real one is constant."""

    def pullback(g: Any) -> Array:
        of_logarithm = xp.zeros_like(out[1]) if g[1] is None else g[1]
        return xp.expand_dims(xp.expand_dims(of_logarithm, axis=-1), axis=-1) * xp.linalg.inv(x).mT

    return pullback


def _real_only(xp: Namespace, name: str, x: Array) -> None:
    if xp.isdtype(x.dtype, "complex floating"):
        raise NoRuleError(f"{name} has no derivative rule for complex matrices: write one in rules/linear_algebra.py")


@linalg_rule
def cholesky(xp: Namespace, out: Array, x: Array, /, *, upper: bool = False) -> Any:
    """Differentiate with respect to a symmetric matrix: the cotangent is symmetric too."""
    _real_only(xp, "cholesky", x)
    lower = out.mT if upper else out

    def pullback(g: Array) -> Array:
        product = xp.tril(xp.matmul(lower.mT, g.mT if upper else g))
        product = product - 0.5 * product * xp.eye(x.shape[-1], dtype=x.dtype, device=device(x))
        c = xp.linalg.solve(lower.mT, xp.linalg.solve(lower.mT, product.mT).mT)
        return 0.5 * (c + c.mT)

    return pullback


def _differences(xp: Namespace, w: Array) -> Array:
    """Return 1 / (w_j - w_i), zero on the diagonal and where two are equal: no cotangent passes between those."""
    difference = xp.expand_dims(w, axis=-2) - xp.expand_dims(w, axis=-1)
    equal = difference == 0
    return xp.where(equal, xp.zeros_like(difference), 1 / xp.where(equal, xp.ones_like(difference), difference))


@linalg_rule
def eigh(xp: Namespace, out: Any, x: Array, /) -> Any:
    """Differentiate with respect to a symmetric matrix: the cotangent is symmetric too."""
    _real_only(xp, "eigh", x)
    w, v = out

    def pullback(g: Any) -> Array:
        of_w, of_v = g
        inner = xp.zeros_like(x)
        if of_v is not None:
            inner = inner + _differences(xp, w) * xp.matmul(v.mT, of_v)
        if of_w is not None:
            inner = inner + xp.expand_dims(of_w, axis=-1) * xp.eye(x.shape[-1], dtype=x.dtype, device=device(x))
        c = xp.matmul(v, xp.matmul(inner, v.mT))
        return 0.5 * (c + c.mT)

    return pullback


@linalg_composition
def eigvalsh(xp: Namespace, x: Array, /) -> Array:
    return xp.linalg.eigh(x)[0]


@linalg_rule
def svd(xp: Namespace, out: Any, x: Array, /, *, full_matrices: bool = True) -> Any:
    """Differentiate the reduced decomposition; of columns beyond the rank only the space is determined."""
    _real_only(xp, "svd", x)
    u, s, vh = out
    if full_matrices and x.shape[-1] != x.shape[-2]:
        raise NoRuleError("svd has a derivative for full_matrices=False only, where the matrix is not square")
    v = vh.mT

    def pullback(g: Any) -> Array:
        of_u, of_s, of_vh = g
        row = xp.expand_dims(s, axis=-2)
        inner = xp.zeros_like(xp.matmul(u.mT, u))
        c = xp.zeros_like(x)
        f = _differences(xp, s * s)
        if of_s is not None:
            inner = inner + xp.expand_dims(of_s, axis=-1) * xp.eye(s.shape[-1], dtype=x.dtype, device=device(x))
        if of_u is not None:
            product = xp.matmul(u.mT, of_u)
            inner = inner + f * (product - product.mT) * row
            c = c + xp.matmul((of_u - xp.matmul(u, product)) / row, vh)
        if of_vh is not None:
            of_v = of_vh.mT
            product = xp.matmul(v.mT, of_v)
            inner = inner + xp.expand_dims(s, axis=-1) * (f * (product - product.mT))
            c = c + xp.matmul(u, ((of_v - xp.matmul(v, product)) / row).mT)
        return c + xp.matmul(u, xp.matmul(inner, vh))

    return pullback


@linalg_composition
def svdvals(xp: Namespace, x: Array, /) -> Array:
    return xp.linalg.svd(x, full_matrices=False)[1]


@linalg_rule
def qr(xp: Namespace, out: Any, x: Array, /, *, mode: str = "reduced") -> Any:
    """Differentiate the reduced decomposition of a matrix whose first columns are independent."""
    _real_only(xp, "qr", x)
    rows, columns = x.shape[-2:]
    if mode != "reduced" and rows > columns:
        raise NoRuleError("qr has a derivative for mode='reduced' only, where there are more rows than columns")
    q, r = out
    wide = columns > rows

    def pullback(g: Any) -> Array:
        of_q = xp.zeros_like(q) if g[0] is None else g[0]
        of_r = xp.zeros_like(r) if g[1] is None else g[1]
        square = r[..., :rows] if wide else r
        if wide:
            of_q = of_q + xp.matmul(x[..., rows:], of_r[..., rows:].mT)
        m = xp.matmul(square, (of_r[..., :rows] if wide else of_r).mT) - xp.matmul(of_q.mT, q)
        lower = xp.tril(m)
        symmetric = lower + xp.tril(m, k=-1).mT
        c = xp.linalg.solve(square, (of_q + xp.matmul(q, symmetric)).mT).mT
        return xp.concat([c, xp.matmul(q, of_r[..., rows:])], axis=-1) if wide else c

    return pullback


@linalg_rule
def pinv(xp: Namespace, out: Array, x: Array, /, *, rtol: Any = None) -> Any:
    """Differentiate where the rank does not change."""
    _real_only(xp, "pinv", x)

    def pullback(g: Array) -> Array:
        left = g.mT - xp.matmul(x, xp.matmul(out, g.mT))
        right = g.mT - xp.matmul(xp.matmul(g.mT, out), x)
        c = xp.matmul(left, xp.matmul(out, out.mT)) + xp.matmul(xp.matmul(out.mT, out), right)
        return c - xp.matmul(out.mT, xp.matmul(g, out.mT))

    return pullback


@linalg_composition
def outer(xp: Namespace, x1: Array, x2: Array, /) -> Array:
    return xp.expand_dims(x1, axis=-1) * xp.expand_dims(x2, axis=0)


@linalg_composition
def cross(xp: Namespace, x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    a, b = (xp.moveaxis(x, axis, -1) for x in (x1, x2))
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return xp.moveaxis(xp.stack(parts, axis=-1), -1, axis)


@linalg_composition
def diagonal(xp: Namespace, x: Array, /, *, offset: int = 0) -> Array:
    """Read the matrix row by row: the diagonal is every (columns + 1)-th element."""
    rows, columns = x.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    start = offset if offset >= 0 else -offset * columns
    flat = xp.reshape(x, (*x.shape[:-2], rows * columns))
    return flat[..., start : start + (length - 1) * (columns + 1) + 1 : columns + 1] if length else flat[..., :0]


@linalg_composition
def trace(xp: Namespace, x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    return xp.sum(xp.linalg.diagonal(x, offset=offset), axis=-1, dtype=dtype)


@linalg_composition
def matrix_power(xp: Namespace, x: Array, n: int, /) -> Array:
    """Square repeatedly."""
    if n < 0:
        x, n = xp.linalg.inv(x), -n
    result = None
    while n:
        n, odd = divmod(n, 2)
        if odd:
            result = x if result is None else xp.matmul(result, x)
        x = xp.matmul(x, x) if n else x
    return xp.broadcast_to(xp.eye(x.shape[-1], dtype=x.dtype, device=device(x)), x.shape) if result is None else result


@linalg_composition
def vector_norm(xp: Namespace, x: Array, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """Return the norm; where it is 0, the derivative is taken to be 0."""
    if axis is None and not keepdims:
        x, axis = xp.reshape(x, (-1,)), 0
    size = xp.abs(x)
    if ord in (math.inf, -math.inf):
        return (xp.max if ord > 0 else xp.min)(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return xp.sum(xp.astype(size != 0, size.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return xp.sum(size, axis=axis, keepdims=keepdims)
    total = xp.sum(size**ord, axis=axis, keepdims=keepdims)
    nothing = total == 0
    root = xp.where(nothing, xp.ones_like(total), total) ** (1 / ord)
    return xp.where(nothing, xp.zeros_like(total), root)


@linalg_composition
def matrix_norm(xp: Namespace, x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    if ord == "fro":
        norm = xp.linalg.vector_norm(x, axis=(-2, -1), keepdims=True)
    elif ord in ("nuc", 2, -2):
        values = xp.linalg.svdvals(x)
        reduce = {"nuc": xp.sum, 2: xp.max, -2: xp.min}[ord]
        norm = xp.expand_dims(reduce(values, axis=-1, keepdims=True), axis=-1)
    else:
        sums = xp.sum(xp.abs(x), axis=-2 if abs(ord) == 1 else -1, keepdims=True)
        norm = (xp.max if ord > 0 else xp.min)(sums, axis=(-2, -1), keepdims=True)
    return norm if keepdims else xp.squeeze(norm, axis=(-2, -1))


RULES.update(linalg_rule)
COMPOSITIONS.update(linalg_composition)
