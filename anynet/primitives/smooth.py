"""Activations like ReLU that are smooth everywhere."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, widened
from anynet.primitives.activation import sigmoid
from anynet.primitives.erf import erf
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive

_GELU_CUBIC = 0.044715


def _softplus_rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * sigmoid(x)


@primitive(_softplus_rule, kind=REAL)
@in_float32
def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)) for every element, of x's shape and floating dtype.

    It is not negative, and no x overflows. Source: Dugas, Bengio, Bélisle, Nadeau and Garcia,
    Incorporating second-order functional knowledge for better option pricing, NeurIPS 2000.

    >>> import numpy as np
    >>> anynet.functions.softplus(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])

    """
    xp = array_namespace(x)
    return xp.maximum(x, xp.zeros_like(x)) + xp.log1p(xp.exp(-xp.abs(x)))


def _mish_rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    x = widened(x)
    t = xp.tanh(softplus(x))
    return lambda g: g * (t + x * (1 - t * t) * sigmoid(x))


@primitive(_mish_rule, kind=REAL)
@in_float32
def mish(x: Array) -> Array:
    """Return x · tanh(log(1 + exp(x))) for every element, of x's shape and floating dtype.

    Source: Misra, Mish: a self regularized non-monotonic activation function, BMVC 2020.

    >>> import numpy as np
    >>> anynet.functions.mish(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.3034,  0.    ,  0.8651])

    """
    return x * array_namespace(x).tanh(softplus(x))


def _gelu_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    approximate: bool = False,
) -> Any:
    x = widened(x)

    def pullback(g: Array) -> Array:
        if not approximate:
            density = xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
            return g * (0.5 * (1 + erf(x * math.sqrt(0.5))) + x * density)
        t = _gelu_tanh(xp, x)
        slope = math.sqrt(2 / math.pi) * (1 + 3 * _GELU_CUBIC * x * x)
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)

    return pullback, None


@primitive(_gelu_rule, kind=REAL)
@in_float32
def gelu(x: Array, approximate: bool = False) -> Array:
    """Return x · Φ(x), where Φ is the distribution function of N(0, 1).

    That is ½ · x · (1 + erf(x / √2)), of x's shape and floating dtype.

    Args:
        x: an array of any shape.
        approximate: whether to return ½ · x · (1 + tanh(√(2/π) · (x + 0.044715 x³))), which differs
            by less than 5e-4.

    Source: Hendrycks and Gimpel, Gaussian error linear units, 2016, section 2.

    >>> import numpy as np
    >>> anynet.functions.gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])

    """
    xp = array_namespace(x)
    error = _gelu_tanh(xp, x) if approximate else erf(x * math.sqrt(0.5))
    return 0.5 * x * (1 + error)


def _gelu_tanh(xp: Namespace, x: Array) -> Array:
    return xp.tanh(math.sqrt(2 / math.pi) * (x + _GELU_CUBIC * x * x * x))
