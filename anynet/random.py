"""Random arrays without hidden state: a key goes in, and an array comes out that is the same on
every library.

The generator enciphers a counter with a key, see `anynet.primitives.threefry`. It adds, shifts and
xors 32-bit words, so every library computes the same bits. The words are int32, which all libraries
fully support.

Use each key once. `split` and `fold_in` make new keys.
"""

import math
from operator import index

from anynet.arguments import describe
from anynet.array import (
    Array,
    DType,
    Namespace,
    array_namespace,
    device,
    is_narrow,
)
from anynet.backend import Backend, check_dtype, get_backend
from anynet.errors import ArgumentError, ArgumentTypeError, DTypeError
from anynet.primitives.normal import CELLS, FRACTION, normal_quantile
from anynet.primitives.threefry import shift_right, threefry

__all__ = [
    "bernoulli",
    "bits",
    "fold_in",
    "integers",
    "key",
    "normal",
    "permutation",
    "split",
    "uniform",
]


def key(seed: int, backend: Backend | str | None = None) -> Array:
    """Return the key of a seed, (2,) int32 words on the backend's device.

    Args:
        seed: an integer from 0 to 2⁶⁴ - 1.
        backend: a backend or its name, see `anynet.get_backend`.

    Raises:
        ArgumentError: the seed is out of range.
        ArgumentTypeError: the seed is not an integer.

    >>> anynet.random.key(7, "numpy")
    array([0, 7], dtype=int32)

    """
    try:
        seed = index(seed)
    except TypeError:
        raise ArgumentTypeError(
            f"seed is {describe(seed)}: wanted an integer from 0 to 2**64 - 1"
        ) from None
    if not 0 <= seed < 2**64:
        raise ArgumentError(f"seed is {seed}: wanted an integer from 0 to 2**64 - 1")
    backend = get_backend(backend)
    words = [_signed(seed >> 32), _signed(seed & 0xFFFFFFFF)]
    return backend.asarray(words, dtype=backend.xp.int32)


def fold_in(key: Array, number: int) -> Array:
    """Return a new key, (2,), derived from a key and an integer such as the index of an epoch.

    Args:
        key: a key, (2,).
        number: an integer from 0 to 2³² - 1.

    Raises:
        ArgumentError: the integer is out of range.

    >>> key = anynet.random.key(0, "numpy")
    >>> anynet.random.fold_in(key, 3).shape
    (2,)

    """
    if not 0 <= number < 2**32:
        raise ArgumentError(f"number is {number}: wanted an integer from 0 to 2**32 - 1")
    xp = array_namespace(key)
    counter = xp.full(
        (1,),
        _signed(number),
        dtype=xp.int32,
        device=device(key),
    )
    return xp.concat(threefry(key, xp.zeros_like(counter), counter))


def split(key: Array, number: int = 2) -> Array:
    """Return new keys, (number, 2), independent of each other and of the key.

    >>> weights, dropout = anynet.random.split(anynet.random.key(0, "numpy"))
    >>> weights.shape
    (2,)

    """
    xp = array_namespace(key)
    counter = xp.arange(number, dtype=xp.int32, device=device(key))
    return xp.stack(threefry(key, xp.full_like(counter, -1), counter), axis=-1)


def bits(key: Array, shape: tuple[int, ...]) -> Array:
    """Return random int32 words of the shape. All 32 bits are random.

    >>> anynet.random.bits(anynet.random.key(0, "numpy"), (2,))
    array([ -469148612, -1057198839], dtype=int32)

    """
    xp = array_namespace(key)
    count = math.prod(shape)
    half = (count + 1) // 2
    counter = xp.arange(half, dtype=xp.int32, device=device(key))
    words = xp.concat(threefry(key, xp.full_like(counter, -2), counter))
    return xp.reshape(words[:count], shape)


def uniform(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType = None,
    low: float = 0.0,
    high: float = 1.0,
) -> Array:
    """Return values of the uniform distribution on low ≤ x < high, of the shape.

    The values are multiples of 2⁻²⁴ (2⁻⁵³ for float64) of the range, rounded to the dtype. Rounding
    may give high. All libraries give the same bits, compiled or not.

    Args:
        key: a key, (2,).
        shape: the shape of the result.
        dtype: a floating dtype, default float32.
        low: the lower end of the range.
        high: the upper end of the range.

    Raises:
        DTypeError: the dtype is not floating, or the library lacks it.

    >>> anynet.random.uniform(anynet.random.key(0, "numpy"), (3,), low=-1.0).dtype
    dtype('float32')

    """
    xp = array_namespace(key)
    dtype = floating(xp, dtype)
    is_double = dtype == xp.float64
    if is_double:
        words = bits(key, (*shape, 2))
        upper = xp.astype(shift_right(words[..., 0], 6), dtype) * 2.0**-26
        lower = xp.astype(shift_right(words[..., 1], 5), dtype) * 2.0**-53
    else:
        words = bits(key, shape)
        upper = xp.astype(shift_right(words, 20), xp.float32) * 2.0**-12
        lower = xp.astype(shift_right(words, 8) & 0xFFF, xp.float32) * 2.0**-24
    if (low, high) == (0.0, 1.0):
        x = xp.astype(upper + lower, dtype, copy=False)
        # Rounding may have led to 1.
        return _at_most(1 - float(xp.finfo(dtype).eps) / 2, x) if is_narrow(x) else x
    # Products of factors with half the digits are exact. A compiler that fuses them with sums then
    # gives the same values.
    first, second = _halves(high - low, 26 if is_double else 12)
    x = second * lower + second * upper + first * lower + first * upper + low
    return xp.astype(x, dtype, copy=False)


def _at_most(limit: float, x: Array) -> Array:
    xp = array_namespace(x)
    return xp.minimum(x, xp.full((), limit, dtype=x.dtype, device=device(x)))


def _halves(x: float, digits: int) -> tuple[float, float]:
    """Return two values of this many binary digits whose sum is x, rounded to twice as many."""
    if x == 0 or not math.isfinite(x):
        return x, 0.0
    unit = 2.0 ** (math.frexp(x)[1] - digits)
    first = round(x / unit) * unit
    second = round((x - first) / unit * 2**digits)
    return first, second * unit * 2.0**-digits


def normal(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType = None,
) -> Array:
    """Return values of the standard normal distribution, of the shape.

    Each value is the quantile at the middle of one of 2²³ cells of equal probability. It is
    computed in integers, so all libraries give the same bits, compiled or not. Values of another
    dtype are those of float32, rounded.

    Args:
        key: a key, (2,).
        shape: the shape of the result.
        dtype: a floating dtype, default float32.

    Raises:
        DTypeError: the dtype is not floating, or the library lacks it.

    >>> x = anynet.random.normal(anynet.random.key(0, "numpy"), (10_000,))
    >>> f"{x.mean():.2f} {x.std():.2f}"
    '0.01 0.99'

    """
    xp = array_namespace(key)
    cells = shift_right(bits(key, shape), 9) - CELLS
    return xp.astype(quantile(cells), floating(xp, dtype), copy=False)


def quantile(cells: Array) -> Array:
    """Return the quantile of the normal distribution at the middle of each cell, float32, see
    `normal_quantile`.
    """
    xp = array_namespace(cells)
    return xp.astype(normal_quantile(cells), xp.float32) * 2.0**-FRACTION


def integers(
    key: Array,
    shape: tuple[int, ...],
    low: int,
    high: int,
) -> Array:
    """Return int32 values drawn from low ≤ x < high, of the shape.

    The probability of each value is off by less than (high - low) / 2³¹.

    Args:
        key: a key, (2,).
        shape: the shape of the result.
        low: the smallest value.
        high: the largest value plus 1.

    Raises:
        ArgumentError: the range is empty, or not within int32.

    >>> dice = anynet.random.integers(anynet.random.key(0, "numpy"), (100,), 1, 7)
    >>> int(dice.min()), int(dice.max())
    (1, 6)

    """
    if not -(2**31) <= low < high <= 2**31 - 1 or high - low > 2**31 - 1:
        raise ArgumentError(
            f"low is {low} and high is {high}: wanted low < high, both within int32"
        )
    xp = array_namespace(key)
    ones = (1,) * max(len(shape), 1)
    span = xp.full(
        ones,
        high - low,
        dtype=xp.int32,
        device=device(key),
    )
    words = shift_right(bits(key, shape), 1)
    return xp.reshape(xp.remainder(words, span) + low, shape)


def bernoulli(
    key: Array,
    probability: float,
    shape: tuple[int, ...],
    *,
    coarse: bool = False,
) -> Array:
    """Return booleans of the shape, each true with the probability.

    Args:
        key: a key, (2,).
        probability: from 0 to 1, rounded up to a multiple of 2⁻²⁴.
        shape: the shape of the result.
        coarse: do half the work, and round up to a multiple of 2⁻¹⁶.

    Raises:
        ArgumentError: the probability is out of range.

    >>> kept = anynet.random.bernoulli(anynet.random.key(0, "numpy"), 0.8, (1000,))
    >>> int(kept.sum())
    807

    """
    if not 0 <= probability <= 1:
        raise ArgumentError(f"probability is {probability}: wanted a number from 0 to 1")
    if not coarse:
        return shift_right(bits(key, shape), 8) < math.ceil(probability * 2**24)
    count = math.prod(shape)
    words = bits(key, ((count + 1) // 2,))
    xp = array_namespace(words)
    halves = xp.concat([words & 0xFFFF, shift_right(words, 16)])
    return xp.reshape(halves[:count] < math.ceil(probability * 2**16), shape)


def permutation(key: Array, n: int) -> Array:
    """Return the integers from 0 to n - 1 in random order, (n,) int32.

    >>> anynet.random.permutation(anynet.random.key(0, "numpy"), 5)
    array([3, 1, 0, 4, 2], dtype=int32)

    """
    xp = array_namespace(key)
    order = xp.argsort(bits(key, (n,)), stable=True)
    return xp.astype(order, xp.int32)


def floating(xp: Namespace, dtype: DType) -> DType:
    """Return the dtype, float32 for None.

    Raises:
        DTypeError: the dtype is not floating, or the library lacks it.

    """
    if dtype is None:
        return xp.float32
    if xp.isdtype(dtype, ("bool", "integral")):
        raise DTypeError(f"dtype is {dtype}: wanted a floating one, such as xp.float32")
    check_dtype(xp, dtype)
    return dtype


def _signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word
