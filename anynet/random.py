"""Random numbers without a hidden state: a key goes in, an array comes out, the same on every library.

The generator is a counter enciphered with a key, by `anynet.primitives.threefry`. It adds, shifts and xors 32-bit
words, so every library computes the same bits. The words are int32, which all libraries have in full.

A key is used once. `split` and `fold_in` make new ones of it.
"""

import math
from operator import index

from anynet.arguments import describe
from anynet.array import Array, DType, Namespace, array_namespace, device, is_narrow
from anynet.backend import Backend, check_dtype, get_backend
from anynet.errors import ArgumentError, ArgumentTypeError, DTypeError
from anynet.primitives.threefry import shift_right, threefry


def key(seed: int, backend: Backend | str | None = None) -> Array:
    """Return the key of a seed, two int32 words on the backend's device; seeds are integers in 0 … 2⁶⁴ - 1."""
    try:
        seed = index(seed)
    except TypeError:
        raise ArgumentTypeError(f"seed is {describe(seed)}: wanted an integer from 0 to 2**64 - 1") from None
    if not 0 <= seed < 2**64:
        raise ArgumentError(f"seed is {seed}: wanted an integer from 0 to 2**64 - 1")
    backend = get_backend(backend)
    return backend.asarray([_signed(seed >> 32), _signed(seed & 0xFFFFFFFF)], dtype=backend.xp.int32)


def fold_in(key: Array, number: int) -> Array:
    """Return a new key made of a key and an integer in 0 … 2³² - 1, such as the number of an epoch."""
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


def uniform(key: Array, shape: tuple[int, ...], dtype: DType = None, low: float = 0.0, high: float = 1.0) -> Array:
    """Return numbers drawn evenly from low ≤ x < high, of the shape; float32 unless another dtype is given.

    The values are multiples of 2⁻²⁴ (2⁻⁵³ for float64), rounded to the dtype and stretched to the range, where rounding
    may lead to high.
    """
    xp = array_namespace(key)
    dtype = floating(xp, dtype)
    if dtype == xp.float64:
        words = bits(key, (*shape, 2))
        upper, lower = (
            xp.astype(shift_right(words[..., 0], 6), dtype),
            xp.astype(shift_right(words[..., 1], 5), dtype),
        )
        unit = (upper * 2.0**27 + lower) * 2.0**-53
    else:
        unit = xp.astype(xp.astype(shift_right(bits(key, shape), 8), xp.float32) * 2.0**-24, dtype, copy=False)
        if is_narrow(unit):
            # Rounding may have led to 1.
            largest = 1 - float(xp.finfo(dtype).eps) / 2
            unit = xp.minimum(unit, xp.full((), largest, dtype=dtype, device=device(unit)))
    return unit if (low, high) == (0.0, 1.0) else low + (high - low) * unit


def normal(key: Array, shape: tuple[int, ...], dtype: DType = None) -> Array:
    """Return numbers of the standard normal distribution; float32 unless another dtype is given.

    One uniform number each goes through the inverse of the distribution function. It is computed in float32 and with
    operations alone that IEEE 754 rounds exactly, so that all libraries agree to the last bit, and a float64 network
    begins with the numbers of a float32 one.
    """
    xp = array_namespace(key)
    # The middle of 2^24 cells of (0, 1): never 0 or 1, and symmetric about a half.
    cells = xp.astype(shift_right(bits(key, shape), 9), xp.float32)
    x = (2.0 * cells + 1.0) * 2.0**-23 - 1.0
    numbers = math.sqrt(2.0) * inverse_erf(xp, x)
    return xp.astype(numbers, floating(xp, dtype), copy=False)


def integers(key: Array, shape: tuple[int, ...], low: int, high: int) -> Array:
    """Return int32 numbers drawn from low ≤ x < high; each is off its probability by less than (high - low) / 2³¹."""
    if not -(2**31) <= low < high <= 2**31 - 1 or high - low > 2**31 - 1:
        raise ArgumentError(f"low is {low} and high is {high}: wanted low < high, both within int32")
    xp = array_namespace(key)
    span = xp.full((1,) * max(len(shape), 1), high - low, dtype=xp.int32, device=device(key))
    return xp.reshape(xp.remainder(shift_right(bits(key, shape), 1), span) + low, shape)


def bernoulli(key: Array, probability: float, shape: tuple[int, ...], *, coarse: bool = False) -> Array:
    """Return booleans, true with the probability to a multiple of 2⁻²⁴; coarsely, for half the work, of 2⁻¹⁶."""
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


# Polynomials in w = -log(1 - x²), lowest power last: M. Giles, Approximating the erfinv function, 2010.
_CENTRE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
_TAIL = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773),
    *(-0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)


def inverse_erf(xp: Namespace, x: Array) -> Array:
    """Return the inverse error function of -1 < x < 1, float32."""
    w = -_log(xp, (1.0 - x) * (1.0 + x))
    centre = _polynomial(_CENTRE, w - 2.5)
    tail = _polynomial(_TAIL, _square_root(xp.maximum(w, xp.full_like(w, 5.0))) - 3.0)
    return xp.where(w < 5.0, centre, tail) * x


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    result = 0.0 * x + coefficients[0]
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result


def _square_root(x: Array) -> Array:
    """Return the root of 5 ≤ x < 25, float32, by Newton's steps: libraries round their own in different ways."""
    root = 0.125 * x + 2.0
    for _ in range(3):
        root = 0.5 * (root + x / root)
    return root


def _log(xp: Namespace, x: Array) -> Array:
    """Return the natural logarithm of 2⁻³² < x ≤ 1, float32, by sums and products alone.

    Doubling (exact in binary) brings x to 0.7 … 1.4; there log x = 2 artanh((x - 1) / (x + 1)), a short series.
    """
    exponent = 0.0 * x
    for power in (16, 8, 4, 2, 1):
        small = x < 2.0 ** (0.5 - power)
        x = xp.where(small, x * 2.0**power, x)
        exponent = xp.where(small, exponent - power, exponent)
    s = (x - 1.0) / (x + 1.0)
    return exponent * math.log(2.0) + 2.0 * s * _polynomial((1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0), s * s)
