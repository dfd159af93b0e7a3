"""The error function, which the standard lacks."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, widened
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive

# Rational approximations in double precision, highest power first: S. L. Moshier, Cephes
# mathematical library, ndtr.c. erf(x) = x · P(x²) / Q(x²) for |x| < 1.
CENTRE = (
    (
        9.60497373987051638749,
        90.0260197203842689217,
        2232.00534594684319226,
        7003.32514112805075473,
        55592.3013010394962768,
    ),
    (
        1.0,
        33.5617141647503099647,
        521.357949780152679795,
        4594.32382970980127987,
        22629.0000613890934246,
        49267.3942608635921086,
    ),
)
# erf(x) = 1 - exp(-x²) · P(x) / Q(x) for 1 ≤ x < 8.
TAIL = (
    (
        2.46196981473530512524e-10,
        0.564189564831068821977,
        7.46321056442269912687,
        48.6371970985681366614,
        196.520832956077098242,
        526.445194995477358631,
        934.528527171957607540,
        1027.55188689515710272,
        557.535335369399327526,
    ),
    (
        1.0,
        13.2281951154744992508,
        86.7072140885989742329,
        354.937778887819891062,
        975.708501743205489753,
        1823.90916687909736289,
        2246.33760818710981792,
        1656.66309194161350182,
        557.535340817727675546,
    ),
)
# For larger x, erf(x) is 1 in float64.
LIMIT = 6.0


def _rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    wide = widened(x)
    return lambda g: g * ((2 / math.sqrt(math.pi)) * xp.exp(-wide * wide))


@primitive(_rule, kind=REAL)
@in_float32
def erf(x: Array) -> Array:
    """Return 2/√π · ∫₀ˣ exp(-t²) dt for every element, of x's shape and floating dtype.

    It is in [-1, 1], with an error of a few units in the last place, in float32 and in float64.
    Source: Abramowitz and Stegun, Handbook of mathematical functions, 7.1.1.

    >>> import numpy as np
    >>> anynet.functions.erf(np.array([0.0, 10.0]))
    array([0., 1.])

    """
    xp = array_namespace(x)
    limit = xp.full_like(x, LIMIT)
    x = xp.minimum(xp.maximum(x, -limit), limit)
    size, square = xp.abs(x), x * x
    centre = x * _ratio(CENTRE, square)
    tail = 1 - xp.exp(-square) * _ratio(TAIL, size)
    return xp.where(
        size < 1,
        centre,
        xp.where(x < 0, -tail, tail),
    )


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    above, below = (_polynomial(coefficients, x) for coefficients in polynomials)
    return above / below


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    result = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result * x + coefficient
    return result
