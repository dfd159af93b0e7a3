"""The error function, from its polynomials in blocks that fit a cache."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from anynet.kernel import Aliasing, Kernels
from anynet.primitives.erf import CENTRE, LIMIT, TAIL
from anynet_numpy.floats import ZERO
from anynet_numpy.memory import blocks, fresh

kernels = Kernels()

_BLOCK = 8192


@kernels.register(Aliasing.FRESH)
def erf(x: ndarray) -> Any:
    """Evaluate the polynomials in place."""
    if x.dtype not in ZERO or not x.ndim:
        return NotImplemented
    out = fresh(x.shape, x.dtype)
    for old, new in blocks(x, out, size=_BLOCK):
        _erf(old, new)
    return out


def _erf(x: ndarray, out: ndarray) -> None:
    size = np.abs(x)
    np.minimum(size, LIMIT, out=size)
    square = size * size
    tail = np.negative(square)
    below = np.empty_like(x)
    np.exp(tail, out=tail)
    tail *= _polynomial(TAIL[0], size, out)
    tail /= _polynomial(TAIL[1], size, below)
    np.subtract(1, tail, out=tail)
    np.copysign(tail, x, out=tail)
    _polynomial(CENTRE[0], square, out)
    out *= x
    out /= _polynomial(CENTRE[1], square, below)
    np.copyto(out, tail, where=size >= 1)


def _polynomial(
    coefficients: Sequence[float],
    x: ndarray,
    out: ndarray,
) -> ndarray:
    np.multiply(x, coefficients[0], out=out)
    out += coefficients[1]
    for coefficient in coefficients[2:]:
        out *= x
        out += coefficient
    return out
