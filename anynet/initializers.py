"""Initializers: how parameters get their first numbers, each a function of (key, shape, dtype).

Weights are stored (in, out), so the fan-in of a weight is its first axis and the fan-out its second; those of
convolutions are (out, in, *kernel).
"""

import math
from collections.abc import Callable

from anynet import random
from anynet.array import Array, DType, array_namespace, device
from anynet.errors import ArgumentError, ShapeError

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
    if not 0 <= standard_deviation < math.inf:
        raise ArgumentError(f"standard_deviation is {standard_deviation}: wanted a finite number of 0 or more")
    return lambda key, shape, dtype: standard_deviation * random.normal(key, shape, dtype)


def xavier(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Draw from N(0, 2 / (fan_in + fan_out)), for sigmoid and tanh; the book's simpler form is 1 / fan_in.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS
    2010, equation 12; Deep Learning from Scratch, chapter 6.2.2.
    """
    fan_in, fan_out = _fans(shape)
    return math.sqrt(2 / (fan_in + fan_out)) * random.normal(key, shape, dtype)


def he(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Draw from N(0, 2 / fan_in), for ReLU.

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015, equation 10; Deep Learning from Scratch,
    chapter 6.2.3.
    """
    fan_in, _ = _fans(shape)
    return math.sqrt(2 / fan_in) * random.normal(key, shape, dtype)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many numbers one output is made of, and how many outputs one number goes into."""
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"a weight of shape {shape} has no fan-in and fan-out: wanted (in, out), or (out, in, *kernel), all above 0"
        )
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window
