"""Rules of the standard's element-wise functions, real and complex.

At ties, `maximum` and `minimum` pass half of the cotangent to each argument, and so does
`logaddexp` where both are the same infinity. At zero, `abs`, `sign` and `copysign` pass none.
`atan2` and `hypot` have no derivative at the origin, and pass none there. Where the derivative is
infinite, as that of `sqrt` at zero, so is the cotangent. At its limits, `clip` passes the cotangent
on, as in PyTorch. tests/autodiff/test_edges.py lists the values.
"""

# A rule has the parameters of the function, also those that the derivative does not use.

import math
from typing import Any

from anynet import array
from anynet.array import Array, Namespace, is_complex
from anynet.autodiff.rules.table import Table
from anynet.primitives.indexing import one

RULES = rule = Table()


def _nonzero(xp: Namespace, x: Array) -> Array:
    """Return x with ones in place of zeros, as a divisor."""
    return xp.where(x == 0, xp.ones_like(x), x)


def _share(
    xp: Namespace,
    wins: Array,
    ties: Array,
    dtype: Any,
) -> Array:
    """Return 1 where an argument wins, ½ where two are equal, 0 elsewhere."""
    return xp.astype(wins, dtype) + 0.5 * xp.astype(ties, dtype)


@rule
def abs_(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    # The sign of a complex number is the number over its modulus.
    return lambda g: g * array.conj(xp.sign(x))


@rule
def acos(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: -g / xp.sqrt(1 - x * x)


@rule
def acosh(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    # The root of the product has the other sign for half of all complex values, so there are two
    # roots. A sum would lose the negative zero, which tells the side of the branch cut.
    return lambda g: g / xp.sqrt(x - 1) / xp.sqrt(x - -1)


@rule
def add(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    return lambda g: g, lambda g: g


@rule
def asin(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g / xp.sqrt(1 - x * x)


@rule
def asinh(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    if is_complex(x):
        return lambda g: g / xp.sqrt(x * x + 1)
    # x * x would overflow.
    return lambda g: g / xp.hypot(x, xp.ones_like(x))


@rule
def atan(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g / (1 + x * x)


@rule
def atan2(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    # Divide by the length twice, because its square would overflow or underflow.
    length = _nonzero(xp, xp.hypot(x1, x2))
    return (
        lambda g: g * (x2 / length / length),
        lambda g: g * (-x1 / length / length),
    )


@rule
def atanh(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g / (1 - x * x)


@rule
def clip(
    xp: Namespace,
    out: Array,
    x: Array,
    min: Any = None,
    max: Any = None,
) -> Any:
    """Pass the cotangent to x inside and on the limits, and to a limit where it clips.

    Where min > max, max is the result.
    """

    def to_max(g: Array) -> Array:
        cut = x > max if min is None else xp.logical_or(x > max, out < min)
        return g * xp.astype(cut, g.dtype)

    return (
        lambda g: g * xp.astype(x == out, g.dtype),
        None
        if min is None
        else lambda g: g * xp.astype(xp.logical_and(x < min, out == min), g.dtype),
        None if max is None else to_max,
    )


@rule
def conj(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return array.conj


@rule
def copysign(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    return lambda g: g * xp.sign(x1) * xp.sign(out), None


@rule
def cos(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: -g * xp.sin(x)


@rule
def cosh(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * xp.sinh(x)


@rule
def divide(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    return lambda g: g / x2, lambda g: -g * (out / x2)


@rule
def exp(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * out


@rule
def expm1(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * (out + 1)


@rule
def hypot(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    length = _nonzero(xp, out)
    return lambda g: g * (x1 / length), lambda g: g * (x2 / length)


@rule
def imag(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * -1j * xp.ones_like(x)


@rule
def log(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g / x


@rule
def log1p(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g / (1 + x)


@rule
def log2(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g / (x * math.log(2))


@rule
def log10(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g / (x * math.log(10))


@rule
def logaddexp(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    """Pass σ(x1 - x2) to x1 and σ(x2 - x1) to x2."""
    # The difference of two equal infinities counts as 0.
    same, zero = xp.logical_and(x1 == x2, xp.isinf(out)), xp.zeros_like(out)
    difference = xp.where(same, zero, x1) - xp.where(same, zero, x2)
    return (
        lambda g: g * _sigmoid(xp, difference),
        lambda g: g * _sigmoid(xp, -difference),
    )


def _sigmoid(xp: Namespace, x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), accurate also for small results."""
    return xp.exp(-xp.logaddexp(xp.zeros_like(x), -x))


@rule
def maximum(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    return (
        lambda g: g * _share(xp, x1 > x2, x1 == x2, g.dtype),
        lambda g: g * _share(xp, x2 > x1, x1 == x2, g.dtype),
    )


@rule
def minimum(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    return (
        lambda g: g * _share(xp, x1 < x2, x1 == x2, g.dtype),
        lambda g: g * _share(xp, x2 < x1, x1 == x2, g.dtype),
    )


@rule
def multiply(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    return lambda g: g * x2, lambda g: g * x1


@rule
def negative(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: -g


@rule
def positive(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g


@rule
def pow(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    """Differentiate x1 ** x2.

    At a base of 0, the derivative by the exponent is 0 for exponents of 0 and more, and -∞ for
    negative exponents. These are the limits, and at 0 ** 0 the choice of JAX and PyTorch.
    """

    def to_x1(g: Array) -> Array:
        if not hasattr(x2, "dtype"):
            # 0 * g would be NaN for a cotangent that is infinite or NaN.
            return 0 * one(g) if x2 == 0 else g * _slope(xp, x1, x2)
        # For x2 = 0 it is constant in x1, although 0 · 0⁻¹ is NaN. The second derivative is NaN.
        constant = xp.logical_and(x2 == 0, xp.logical_not(xp.abs(x1) > 0))
        c = g * x2 * xp.where(constant, xp.full_like(x1, math.nan), x1) ** (x2 - 1)
        return xp.where(constant, xp.zeros_like(c), c)

    def to_x2(g: Array) -> Array:
        base = x1 if hasattr(x1, "dtype") else xp.full_like(out, x1)
        settled = base == 0 if is_complex(out) else xp.logical_and(base == 0, x2 >= 0)
        return g * out * xp.log(xp.where(settled, xp.ones_like(base), base))

    return to_x1, to_x2


def _slope(
    xp: Namespace,
    x: Array,
    n: Array | float,
) -> Array:
    """Return n xⁿ⁻¹, n ≠ 0, without x⁰, which is not 1 for a complex 0 in every library."""
    if n == 1:
        return xp.ones_like(x)
    return n * (x if n == 2 else x ** (n - 1))


@rule
def real(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    """Pass the cotangent on. The walker makes it complex."""
    return lambda g: g


@rule
def reciprocal(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: -g * out * out


@rule
def remainder(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    def to_x2(g: Array) -> Array:
        # The multiple of x2 that was subtracted. The floor of x1 / x2 is one more where the
        # division rounds up. For an infinite x2 it is 0, or -1 if the result has the sign of x2.
        taken = xp.round(x1 / x2 - out / x2)
        return -g * xp.where(xp.isinf(out), -xp.ones_like(out), taken)

    return lambda g: g, to_x2


@rule
def sign(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    """Differentiate z / |z|, with 0 at 0. The sign of a real value is constant."""
    if not is_complex(x):
        return None

    def pullback(g: Array) -> Array:
        across = g - xp.real(g * out) * xp.conj(out)
        return xp.where(x == 0, xp.zeros_like(across), across) / _nonzero(xp, xp.abs(x))

    return pullback


@rule
def sin(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * xp.cos(x)


@rule
def sinh(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * xp.cosh(x)


@rule
def square(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: 2 * g * x


@rule
def sqrt(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: 0.5 * g / out


@rule
def subtract(
    xp: Namespace,
    out: Array,
    x1: Array,
    x2: Array,
) -> Any:
    return lambda g: g, lambda g: -g


@rule
def tan(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * (1 + out * out)


@rule
def tanh(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * (1 - out * out)
