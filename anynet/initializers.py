"""Initializers: how parameters get their first numbers, each a function of (key, shape, dtype).

The fan-in of a weight is how many numbers one output is the sum of, the fan-out how many outputs
one input goes into. A weight of two axes is (in, out), as Linear's. One of more is a convolution's,
(out_channels, in_channels / groups, …), where each fan counts the positions of the kernel too:
in_channels / groups or out_channels times kernel height times kernel width. What groups take from
the fan-out is not to be seen in a shape, and does not count.

The same key gives the same numbers on every library; those of float64 are those of float32.
"""

import math
from collections.abc import Callable
from functools import partial

from anynet import random
from anynet.array import Array, DType, Namespace, array_namespace, device
from anynet.errors import ArgumentError, ShapeError
from anynet.primitives.normal import CELLS

Initializer = Callable[[Array, tuple[int, ...], DType], Array]


def zeros(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Return zeros; the key says only where."""
    return array_namespace(key).zeros(shape, dtype=dtype, device=device(key))


def ones(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Return ones; the key says only where."""
    return array_namespace(key).ones(shape, dtype=dtype, device=device(key))


def normal(standard_deviation: float = 0.01) -> Initializer:
    """Return an initializer that draws from N(0, standard_deviation²); 0.01 is the book's.

    Source: Deep Learning from Scratch, chapters 4.5.1 and 6.2.
    """
    _check_deviation(standard_deviation)
    return partial(_normal, standard_deviation)


def uniform(low: float = -0.1, high: float = 0.1) -> Initializer:
    """Return an initializer that draws evenly from low ≤ x < high.

    Raises:
        ArgumentError: the limits are not finite, or low is not below high.

    """
    if not -math.inf < low < high < math.inf:
        raise ArgumentError(
            f"low is {low} and high is {high}: wanted two finite numbers, low < high"
        )
    return partial(_uniform, low, high)


def truncated_normal(standard_deviation: float = 0.01, cut: float = 2.0) -> Initializer:
    """Return an initializer that draws from N(0, standard_deviation²) what is within cut ·
    standard_deviation of 0.

    With the cut at 2 the numbers that are left deviate by 0.88 · standard_deviation.

    Raises:
        ArgumentError: a deviation that is not a finite number of 0 or more, or a cut not above 0
            and up to 5.

    """
    _check_deviation(standard_deviation)
    if not 0 < cut <= 5:
        raise ArgumentError(
            f"cut is {cut}: wanted a number above 0 and up to 5, beyond which float32 draws nothing"
        )
    return partial(_truncated_normal, standard_deviation, cut)


def variance_scaling(
    scale: float = 1.0, fan: str = "in", distribution: str = "normal"
) -> Initializer:
    """Return an initializer whose numbers have the variance scale / fan.

    Args:
        scale: above 0; 1 for tanh and sigmoid, 2 for ReLU.
        fan: "in" keeps the variance on the way forward, "out" that of the derivatives on the way
            back, "average", half of their sum, a bit of both.
        distribution: "normal", or "uniform" in ±√(3 · scale / fan).

    Raises:
        ArgumentError: a setting that is none of these.

    `xavier` is (1, "average") and `he` is (2, "in").

    """
    if not 0 < scale < math.inf:
        raise ArgumentError(f"scale is {scale}: wanted a finite number above 0")
    if fan not in _FANS:
        raise ArgumentError(f"fan is {fan!r}: wanted 'in', 'out' or 'average'")
    if distribution not in ("normal", "uniform"):
        raise ArgumentError(f"distribution is {distribution!r}: wanted 'normal' or 'uniform'")

    return partial(_variance_scaling, scale, fan, distribution)


def xavier(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Draw from N(0, 2 / (fan_in + fan_out)), for sigmoid and tanh; the book's simpler form is 1 /
    fan_in.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010, equation 12; Deep Learning from Scratch, chapter 6.2.2.
    """
    return _XAVIER(key, shape, dtype)


def xavier_uniform(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Draw evenly from ±√(6 / (fan_in + fan_out)), for sigmoid and tanh.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010, equation 16.
    """
    return _XAVIER_UNIFORM(key, shape, dtype)


def he(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Draw from N(0, 2 / fan_in), for ReLU.

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015, equation 10; Deep
    Learning from Scratch, chapter 6.2.3.
    """
    return _HE(key, shape, dtype)


def he_uniform(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Draw evenly from ±√(6 / fan_in), for ReLU.

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015, equation 10.
    """
    return _HE_UNIFORM(key, shape, dtype)


def orthogonal(gain: float = 1.0) -> Initializer:
    """Return an initializer of matrices Q, evenly drawn, with Qᵀ Q = gain² · I, or Q Qᵀ where there
    are more columns.

    A convolution's weight counts as (out_channels, …), flattened. The library's own QR
    decomposition computes it, so that libraries agree up to rounding only. Source: Saxe, McClelland
    and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks, ICLR 2014; Mezzadri, How to generate random matrices from the classical compact
    groups, Notices of the AMS 54, 2007.

    Raises:
        ArgumentError: a gain that is not a finite number above 0.
        ShapeError: when it draws, a shape of fewer than two axes.

    """
    if not 0 < gain < math.inf:
        raise ArgumentError(f"gain is {gain}: wanted a finite number above 0")

    return partial(_orthogonal, gain)


_FANS: dict[str, Callable[[int, int], float]] = {
    "in": lambda fan_in, fan_out: fan_in,
    "out": lambda fan_in, fan_out: fan_out,
    "average": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"a weight of shape {shape} has no fan-in and fan-out: wanted (in, out), or a "
            "convolution's (out_channels, in_channels, …), all above 0"
        )
    if len(shape) == 2:
        return shape[0], shape[1]
    positions = math.prod(shape[2:])
    return shape[1] * positions, shape[0] * positions


# Partial functions of these are what makes an initializer, which can then be copied and pickled.
def _normal(
    standard_deviation: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    xp = array_namespace(key)
    return xp.astype(
        standard_deviation * random.normal(key, shape, _precise(xp, dtype)),
        dtype,
        copy=False,
    )


def _precise(xp: Namespace, dtype: DType) -> DType:
    """Return float32 for a dtype of fewer bits: rounded once, numbers are the same whether compiled
    or not.
    """
    return xp.float64 if random.floating(xp, dtype) == xp.float64 else xp.float32


def _uniform(
    low: float,
    high: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    xp = array_namespace(key)
    return xp.astype(random.uniform(key, shape, xp.float32, low, high), dtype, copy=False)


def _truncated_normal(
    standard_deviation: float,
    cut: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    probability = math.erf(cut / math.sqrt(2))
    xp = array_namespace(key)
    # Quantiles, as in `random.normal`, but only of the cells between the cuts.
    cells = xp.floor(random.uniform(key, shape, None, -probability, probability) * CELLS)
    numbers = random.quantile(xp.astype(cells, xp.int32))
    limit = xp.full_like(numbers, cut)
    # Rounding may lead past the cut.
    numbers = xp.minimum(xp.maximum(numbers, -limit), limit)
    numbers = standard_deviation * xp.astype(numbers, _precise(xp, dtype), copy=False)
    return xp.astype(numbers, dtype, copy=False)


def _variance_scaling(
    scale: float,
    fan: str,
    distribution: str,
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    deviation = math.sqrt(scale / _FANS[fan](*_fans(shape)))
    if distribution == "normal":
        return _normal(deviation, key, shape, dtype)
    return _uniform(
        -math.sqrt(3) * deviation,
        math.sqrt(3) * deviation,
        key,
        shape,
        dtype,
    )


def _orthogonal(gain: float, key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"a weight of shape {shape} cannot be orthogonal: wanted two axes or more, all above 0"
        )
    xp = array_namespace(key)
    rows, columns = shape[0], math.prod(shape[1:])
    tall = (max(rows, columns), min(rows, columns))
    # Decompositions are for these two dtypes.
    precise = _precise(xp, dtype)
    q, r = xp.linalg.qr(random.normal(key, tall, precise))
    diagonal = xp.linalg.diagonal(r)
    # Which sign a library gives a column is its own affair; R with a positive diagonal is unique,
    # and Q even.
    q = q * xp.where(diagonal < 0, -xp.ones_like(diagonal), xp.ones_like(diagonal))
    return gain * xp.astype(xp.reshape(q if rows >= columns else q.T, shape), dtype, copy=False)


def _check_deviation(standard_deviation: float) -> None:
    if not 0 <= standard_deviation < math.inf:
        raise ArgumentError(
            f"standard_deviation is {standard_deviation}: wanted a finite number of 0 or more"
        )


_XAVIER = variance_scaling(1.0, "average")
_XAVIER_UNIFORM = variance_scaling(1.0, "average", "uniform")
_HE = variance_scaling(2.0, "in")
_HE_UNIFORM = variance_scaling(2.0, "in", "uniform")
