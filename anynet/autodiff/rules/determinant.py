"""Derivatives of the determinant, also where the matrix has no inverse.

The derivative of det x is the matrix of cofactors, for every rank. It equals det(x) · x⁻ᵀ where
there is an inverse. For x = u · diag(s) · v, the cofactors are the product of the cofactors of the
three factors. The cofactors of diag(s) are the products of all singular values but one. Sources:
Jacobi's formula; Stewart, On the adjugate matrix, Linear algebra and its applications 283, 1998.
"""

from typing import Any

from anynet.array import Array, Namespace, array_namespace, conj, device
from anynet.tracing.trace import primitive


def _cofactors_rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    # The second derivative of a determinant is symmetric.
    return lambda g: cofactors_along(x, g)


@primitive(_cofactors_rule)
def cofactors(x: Array) -> Array:
    """Return the cofactors of square matrices (…, n, n), the derivative of det x."""
    xp = array_namespace(x)
    u, s, v, phase = _factors(xp, x)
    return phase * xp.matmul(conj(u) * xp.expand_dims(_without_one(xp, s), axis=-2), conj(v))


def _cofactors_along_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    h: Array,
) -> Any:
    return lambda g: _third(xp, x, h, g), lambda g: cofactors_along(x, g)


@primitive(_cofactors_along_rule)
def cofactors_along(x: Array, h: Array) -> Array:
    """Return the derivative of `cofactors` at x along h, both (…, n, n)."""
    xp = array_namespace(x, h)
    u, s, v, phase = _factors(xp, x)
    inner = xp.matmul(conj(u).mT, xp.matmul(h, conj(v).mT))
    products = xp.astype(_without_two(xp, s), x.dtype)
    eye = xp.eye(
        x.shape[-1],
        dtype=x.dtype,
        device=device(x),
    )
    traces = xp.matmul(products, xp.sum(eye * inner, axis=-1, keepdims=True))
    return phase * xp.matmul(conj(u), xp.matmul(eye * traces - products * inner.mT, conj(v)))


def _factors(xp: Namespace, x: Array) -> tuple[Array, Array, Array, Array]:
    """Return u, s and v with x = u · diag(s) · v, and det(u · v), (…, 1, 1), of modulus 1."""
    u, s, v = xp.linalg.svd(x, full_matrices=False)
    phase = xp.linalg.slogdet(u)[0] * xp.linalg.slogdet(v)[0]
    return u, s, v, xp.reshape(phase, (*phase.shape, 1, 1))


def _without_one(xp: Namespace, s: Array) -> Array:
    """Return the product of all other elements, for each element of (…, n)."""
    chosen = xp.eye(s.shape[-1], dtype=xp.int32, device=device(s)) == 1
    one = xp.ones((), dtype=s.dtype, device=device(s))
    return xp.prod(xp.where(chosen, one, xp.expand_dims(s, axis=-2)), axis=-1)


def _without_two(xp: Namespace, s: Array) -> Array:
    """Return the product of all others, for each pair of descending singular values (…, n).

    The diagonal is 0.
    """
    n = s.shape[-1]
    row, column = xp.expand_dims(s, axis=-1), xp.expand_dims(s, axis=-2)
    larger = xp.maximum(row, column)
    rest = _without_one(xp, s)
    # Divide the product of all but the smaller value by the larger value.
    product = xp.maximum(xp.expand_dims(rest, axis=-1), xp.expand_dims(rest, axis=-2))
    # Both values may be 0. The product is not 0 only if these are the last two.
    of_zeros = xp.prod(
        s[..., : max(n - 2, 0), None],
        axis=-2,
        keepdims=True,
    )
    nothing = larger == 0
    divisor = xp.where(nothing, xp.ones_like(larger), larger)
    products = xp.where(nothing, of_zeros, product / divisor)
    on_diagonal = xp.eye(n, dtype=xp.int32, device=device(s)) == 1
    return xp.where(on_diagonal, xp.zeros_like(products), products)


def _third(
    xp: Namespace,
    x: Array,
    h: Array,
    g: Array,
) -> Array:
    """Return the third derivative of det at x along h and g. x must have an inverse."""
    inverse = xp.linalg.inv(x)
    a, b = xp.matmul(inverse, g), xp.matmul(inverse, h)
    ab = xp.matmul(a, b)
    eye = xp.eye(
        x.shape[-1],
        dtype=x.dtype,
        device=device(x),
    )

    def trace(m: Array) -> Array:
        return xp.sum(eye * m, axis=(-2, -1), keepdims=True)

    along = (
        (trace(a) * trace(b) - trace(ab)) * eye - trace(b) * a - trace(a) * b + ab + xp.matmul(b, a)
    )
    size = xp.linalg.det(x)
    return xp.reshape(size, (*size.shape, 1, 1)) * xp.matmul(along, inverse).mT
