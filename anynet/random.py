"""Random numbers without a hidden state: a key goes in, an array comes out, the same on every
library.

The generator is a counter enciphered with a key, by `anynet.primitives.threefry`. It adds, shifts
and xors 32-bit words, so every library computes the same bits. The words are int32, which all
libraries have in full.

A key is used once. `split` and `fold_in` make new ones of it.
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
    """Return the key of a seed, two int32 words on the backend's device; seeds are integers in 0 …
    2⁶⁴ - 1.
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
    return backend.asarray(
        [_signed(seed >> 32), _signed(seed & 0xFFFFFFFF)],
        dtype=backend.xp.int32,
    )


def fold_in(key: Array, number: int) -> Array:
    """Return a new key made of a key and an integer in 0 … 2³² - 1, such as the number of an
    epoch.
    """
    if not 0 <= number < 2**32:
        raise ArgumentError(f"number is {number}: wanted an integer from 0 to 2**32 - 1")
    xp = array_namespace(key)
    counter = xp.full((1,), _signed(number), dtype=xp.int32, device=device(key))
    return xp.concat(threefry(key, xp.zeros_like(counter), counter))


def split(key: Array, number: int = 2) -> Array:
    """Return (number, 2) new keys, independent of each other and of the key."""
    xp = array_namespace(key)
    counter = xp.arange(number, dtype=xp.int32, device=device(key))
    return xp.stack(threefry(key, xp.full_like(counter, -1), counter), axis=-1)


def bits(key: Array, shape: tuple[int, ...]) -> Array:
    """Return random int32 words of the shape: all 32 bits are random."""
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
    """Return numbers drawn evenly from low ≤ x < high, of the shape; float32 unless another dtype
    is given.

    The values are multiples of 2⁻²⁴ (2⁻⁵³ for float64) of the range, rounded to the dtype, where
    rounding may lead to high. All libraries give the same bits, compiled or not.
    """
    xp = array_namespace(key)
    dtype = floating(xp, dtype)
    if dtype == xp.float64:
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
    # Products of factors of half the digits are exact. So it is all the same whether a compiler
    # joins them with sums.
    first, second = _halves(high - low, 26 if dtype == xp.float64 else 12)
    x = second * lower + second * upper + first * lower + first * upper + low
    return xp.astype(x, dtype, copy=False)


def _at_most(limit: float, x: Array) -> Array:
    xp = array_namespace(x)
    return xp.minimum(x, xp.full((), limit, dtype=x.dtype, device=device(x)))


def _halves(x: float, digits: int) -> tuple[float, float]:
    """Return two numbers of so many binary digits each whose sum is x, rounded to twice as many."""
    if x == 0 or not math.isfinite(x):
        return x, 0.0
    unit = 2.0 ** (math.frexp(x)[1] - digits)
    first = round(x / unit) * unit
    return first, round((x - first) / unit * 2**digits) * unit * 2.0**-digits


def normal(key: Array, shape: tuple[int, ...], dtype: DType = None) -> Array:
    """Return numbers of the standard normal distribution; float32 unless another dtype is given.

    Each is the quantile of the middle of one of 2²³ cells of the same probability. It is computed
    in integers, so that all libraries give the same bits, compiled or not. Those of another dtype
    are those of float32, rounded.
    """
    xp = array_namespace(key)
    return xp.astype(
        quantile(shift_right(bits(key, shape), 9) - CELLS),
        floating(xp, dtype),
        copy=False,
    )


def quantile(cells: Array) -> Array:
    """Return the quantile of the normal distribution in the middle of each cell, float32; see
    `normal_quantile`.
    """
    xp = array_namespace(cells)
    return xp.astype(normal_quantile(cells), xp.float32) * 2.0**-FRACTION


def integers(key: Array, shape: tuple[int, ...], low: int, high: int) -> Array:
    """Return int32 numbers drawn from low ≤ x < high; each is off its probability by less than
    (high - low) / 2³¹.
    """
    if not -(2**31) <= low < high <= 2**31 - 1 or high - low > 2**31 - 1:
        raise ArgumentError(
            f"low is {low} and high is {high}: wanted low < high, both within int32"
        )
    xp = array_namespace(key)
    span = xp.full(
        (1,) * max(len(shape), 1),
        high - low,
        dtype=xp.int32,
        device=device(key),
    )
    return xp.reshape(xp.remainder(shift_right(bits(key, shape), 1), span) + low, shape)


def bernoulli(
    key: Array,
    probability: float,
    shape: tuple[int, ...],
    *,
    coarse: bool = False,
) -> Array:
    """Return booleans, true with the probability to a multiple of 2⁻²⁴; coarsely, for half the
    work, of 2⁻¹⁶.
    """
    if not 0 <= probability <= 1:
        raise ArgumentError(f"probability is {probability}: wanted a number from 0 to 1")
    if not coarse:
        return shift_right(bits(key, shape), 8) < math.ceil(probability * 2**24)
    count = math.prod(shape)
    words = bits(key, ((count + 1) // 2,))
    halves = array_namespace(words).concat([words & 0xFFFF, shift_right(words, 16)])
    return array_namespace(words).reshape(halves[:count] < math.ceil(probability * 2**16), shape)


def permutation(key: Array, n: int) -> Array:
    """Return the numbers 0 … n - 1 in random order, int32, by sorting random words."""
    xp = array_namespace(key)
    return xp.astype(xp.argsort(bits(key, (n,)), stable=True), xp.int32)


def floating(xp: Namespace, dtype: DType) -> DType:
    """Return the dtype, float32 for None; as integers all values would be 0."""
    if dtype is None:
        return xp.float32
    if xp.isdtype(dtype, ("bool", "integral")):
        raise DTypeError(f"dtype is {dtype}: wanted a floating one, such as xp.float32")
    check_dtype(xp, dtype)
    return dtype


def _signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word
