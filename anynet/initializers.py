"""Initializers: the first values of parameters, each a function of (key, shape, dtype).

The fan-in of a weight is the number of terms in one output, the fan-out the number of outputs that
one input goes into. A weight of two axes is (in, out), as Linear's. One of more axes is a
convolution's, (out_channels, in_channels / groups, …), where each fan also counts the positions of
the kernel: in_channels / groups or out_channels times kernel height times kernel width. A shape
does not show the groups, so the fan-out ignores them.

The same key gives the same values on every library. Values of float64 are those of float32.
"""

import math
from collections.abc import Callable
from functools import partial

from anynet import random
from anynet.array import Array, DType, Namespace, array_namespace, device
from anynet.errors import ArgumentError, ShapeError
from anynet.primitives.normal import CELLS

__all__ = [
    "constant",
    "he",
    "he_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier",
    "xavier_uniform",
    "zeros",
]

Initializer = Callable[[Array, tuple[int, ...], DType], Array]


def zeros(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    """Return zeros, on the device of the key.

    Args:
        key: a random key, which gives the library and the device only.
        shape: of the result.
        dtype: of the result, floating.

    >>> initializers.zeros(anynet.random.key(0), (2,), np.float32)
    array([0., 0.], dtype=float32)

    """
    return array_namespace(key).zeros(shape, dtype=dtype, device=device(key))


def ones(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    """Return ones, on the device of the key.

    Args:
        key: a random key, which gives the library and the device only.
        shape: of the result.
        dtype: of the result, floating.

    >>> initializers.ones(anynet.random.key(0), (2,), np.float32)
    array([1., 1.], dtype=float32)

    """
    return array_namespace(key).ones(shape, dtype=dtype, device=device(key))


def constant(value: float) -> Initializer:
    """Return an initializer that fills an array with a value.

    Args:
        value: finite.

    Raises:
        ArgumentError: the value is not finite.

    >>> initializers.constant(0.25)(anynet.random.key(0), (2,), np.float32)
    array([0.25, 0.25], dtype=float32)

    """
    if not -math.inf < value < math.inf:
        raise ArgumentError(f"value is {value}: wanted a finite number")
    return partial(_constant, value)


def normal(standard_deviation: float = 0.01) -> Initializer:
    """Return an initializer that draws from N(0, standard_deviation²).

    Args:
        standard_deviation: finite, 0 or more. The default is the book's.

    Raises:
        ArgumentError: a standard deviation out of range.

    >>> draw = initializers.normal(0.1)
    >>> round(float(draw(anynet.random.key(0), (1000,), np.float32).std()), 2)
    0.1

    Source: Deep Learning from Scratch, chapters 4.5.1 and 6.2.

    """
    _check_deviation(standard_deviation)
    return partial(_normal, standard_deviation)


def uniform(low: float = -0.1, high: float = 0.1) -> Initializer:
    """Return an initializer that draws uniformly from low ≤ x < high.

    Args:
        low: finite.
        high: finite, above low.

    Raises:
        ArgumentError: the limits are not finite, or low is not below high.

    >>> draw = initializers.uniform(0.0, 1.0)
    >>> draw(anynet.random.key(0), (2, 3), np.float32).shape
    (2, 3)

    """
    if not -math.inf < low < high < math.inf:
        raise ArgumentError(
            f"low is {low} and high is {high}: wanted two finite numbers, low < high"
        )
    return partial(_uniform, low, high)


def truncated_normal(standard_deviation: float = 0.01, cut: float = 2.0) -> Initializer:
    """Return an initializer that draws from N(0, standard_deviation²) within ±cut · the deviation.

    With a cut of 2 the values have a standard deviation of 0.88 · standard_deviation.

    Args:
        standard_deviation: of the distribution before it is cut, finite, 0 or more.
        cut: in 0 < cut ≤ 5.

    Raises:
        ArgumentError: a setting out of range.

    >>> draw = initializers.truncated_normal(1.0, cut=2.0)
    >>> bool(abs(draw(anynet.random.key(0), (1000,), np.float32)).max() <= 2)
    True

    """
    _check_deviation(standard_deviation)
    if not 0 < cut <= 5:
        raise ArgumentError(
            f"cut is {cut}: wanted a number above 0 and up to 5, beyond which float32 draws nothing"
        )
    return partial(_truncated_normal, standard_deviation, cut)


def variance_scaling(
    scale: float = 1.0,
    fan: str = "in",
    distribution: str = "normal",
) -> Initializer:
    """Return an initializer that draws values of mean 0 and variance scale / fan.

    `xavier` is (1, "average") and `he` is (2, "in").

    Args:
        scale: finite, above 0. Use 1 for tanh and sigmoid, 2 for ReLU.
        fan: "in" keeps the variance of activations, "out" that of gradients. "average" is half of
            the sum of both fans.
        distribution: "normal", or "uniform" in ±√(3 · scale / fan).

    Raises:
        ArgumentError: a setting that is none of these.
        ShapeError: when it draws, a shape of fewer than two axes.

    >>> draw = initializers.variance_scaling(2.0, "in")
    >>> round(float(draw(anynet.random.key(0), (200, 50), np.float32).std()), 2)
    0.1

    """
    if not 0 < scale < math.inf:
        raise ArgumentError(f"scale is {scale}: wanted a finite number above 0")
    if fan not in _FANS:
        raise ArgumentError(f"fan is {fan!r}: wanted 'in', 'out' or 'average'")
    if distribution not in ("normal", "uniform"):
        raise ArgumentError(f"distribution is {distribution!r}: wanted 'normal' or 'uniform'")
    return partial(_variance_scaling, scale, fan, distribution)


def xavier(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    """Return values drawn from N(0, 2 / (fan_in + fan_out)), for sigmoid and tanh.

    The book has the simpler form 1 / fan_in.

    Args:
        key: a random key.
        shape: of two axes or more.
        dtype: floating.

    Raises:
        ShapeError: a shape of fewer than two axes.

    >>> round(float(initializers.xavier(anynet.random.key(0), (150, 50), np.float32).std()), 2)
    0.1

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010, equation 12; Deep Learning from Scratch, chapter 6.2.2.

    """
    return _XAVIER(key, shape, dtype)


def xavier_uniform(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    """Return values drawn uniformly from ±√(6 / (fan_in + fan_out)), for sigmoid and tanh.

    Args:
        key: a random key.
        shape: of two axes or more.
        dtype: floating.

    Raises:
        ShapeError: a shape of fewer than two axes.

    >>> initializers.xavier_uniform(anynet.random.key(0), (4, 3), np.float32).shape
    (4, 3)

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010, equation 16.

    """
    return _XAVIER_UNIFORM(key, shape, dtype)


def he(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    """Return values drawn from N(0, 2 / fan_in), for ReLU.

    Args:
        key: a random key.
        shape: of two axes or more.
        dtype: floating.

    Raises:
        ShapeError: a shape of fewer than two axes.

    >>> round(float(initializers.he(anynet.random.key(0), (200, 50), np.float32).std()), 2)
    0.1

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015, equation 10; Deep
    Learning from Scratch, chapter 6.2.3.

    """
    return _HE(key, shape, dtype)


def he_uniform(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    """Return values drawn uniformly from ±√(6 / fan_in), for ReLU.

    Args:
        key: a random key.
        shape: of two axes or more.
        dtype: floating.

    Raises:
        ShapeError: a shape of fewer than two axes.

    >>> initializers.he_uniform(anynet.random.key(0), (4, 3), np.float32).shape
    (4, 3)

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015, equation 10.

    """
    return _HE_UNIFORM(key, shape, dtype)


def orthogonal(gain: float = 1.0) -> Initializer:
    """Return an initializer that draws matrices Q with Qᵀ Q = gain² · I, uniformly.

    With more columns than rows, Q Qᵀ = gain² · I. A convolution's weight counts as a matrix of
    out_channels rows. The library's own QR decomposition computes it, so libraries agree up to
    rounding only.

    Args:
        gain: finite, above 0.

    Raises:
        ArgumentError: a gain out of range.
        ShapeError: when it draws, a shape of fewer than two axes.

    >>> q = initializers.orthogonal()(anynet.random.key(0), (3, 2), np.float32)
    >>> bool(np.allclose(q.T @ q, np.eye(2), atol=1e-6))
    True

    Source: Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks, ICLR 2014; Mezzadri, How to generate random matrices from the
    classical compact groups, Notices of the AMS 54, 2007.

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


# Initializers are partial functions of these, which can be copied and pickled.
def _constant(
    value: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    xp = array_namespace(key)
    return xp.full(shape, value, dtype=dtype, device=device(key))


def _normal(
    standard_deviation: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    xp = array_namespace(key)
    values = standard_deviation * random.normal(key, shape, _precise(xp, dtype))
    return xp.astype(values, dtype, copy=False)


def _precise(xp: Namespace, dtype: DType) -> DType:
    """Return float32 for a dtype of fewer bits: compiled values rounded once are equal."""
    return xp.float64 if random.floating(xp, dtype) == xp.float64 else xp.float32


def _uniform(
    low: float,
    high: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    xp = array_namespace(key)
    values = random.uniform(key, shape, xp.float32, low, high)
    return xp.astype(values, dtype, copy=False)


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
    values = random.quantile(xp.astype(cells, xp.int32))
    limit = xp.full_like(values, cut)
    # Rounding may lead past the cut.
    values = xp.minimum(xp.maximum(values, -limit), limit)
    values = standard_deviation * xp.astype(values, _precise(xp, dtype), copy=False)
    return xp.astype(values, dtype, copy=False)


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
    limit = math.sqrt(3) * deviation
    return _uniform(-limit, limit, key, shape, dtype)


def _orthogonal(
    gain: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"a weight of shape {shape} cannot be orthogonal: wanted two axes or more, all above 0"
        )
    xp = array_namespace(key)
    rows, columns = shape[0], math.prod(shape[1:])
    tall = (max(rows, columns), min(rows, columns))
    # Decompositions take float32 and float64 only.
    precise = _precise(xp, dtype)
    q, r = xp.linalg.qr(random.normal(key, tall, precise))
    diagonal = xp.linalg.diagonal(r)
    # Libraries choose the signs of columns differently. With a positive diagonal R is unique, and Q
    # uniform.
    ones = xp.ones_like(diagonal)
    q = q * xp.where(diagonal < 0, -ones, ones)
    matrix = q if rows >= columns else q.T
    return gain * xp.astype(xp.reshape(matrix, shape), dtype, copy=False)


def _check_deviation(standard_deviation: float) -> None:
    if not 0 <= standard_deviation < math.inf:
        raise ArgumentError(
            f"standard_deviation is {standard_deviation}: wanted a finite number of 0 or more"
        )


_XAVIER = variance_scaling(1.0, "average")
_XAVIER_UNIFORM = variance_scaling(1.0, "average", "uniform")
_HE = variance_scaling(2.0, "in")
_HE_UNIFORM = variance_scaling(2.0, "in", "uniform")
