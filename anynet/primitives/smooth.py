"""Activations that are smooth everywhere: ReLU with its corner rounded off, in several ways."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, widened
from anynet.primitives.activation import sigmoid
from anynet.primitives.erf import erf
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive

_GELU_CUBIC = 0.044715


def _softplus_rule(xp: Namespace, out: Array, x: Array) -> Any:
    return lambda g: g * sigmoid(x)


@primitive(_softplus_rule, kind=REAL)
@in_float32
def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)) for every element, above 0, of x's shape and floating dtype; no x
    overflows.

    Source: Dugas, Bengio, Bélisle, Nadeau and Garcia, Incorporating second-order functional
    knowledge for better option pricing, NeurIPS 2000.
    """
    xp = array_namespace(x)
    return xp.maximum(x, xp.zeros_like(x)) + xp.log1p(xp.exp(-xp.abs(x)))


def _mish_rule(xp: Namespace, out: Array, x: Array) -> Any:
    x = widened(x)
    t = xp.tanh(softplus(x))
    return lambda g: g * (t + x * (1 - t * t) * sigmoid(x))


@primitive(_mish_rule, kind=REAL)
@in_float32
def mish(x: Array) -> Array:
    """Return x · tanh(log(1 + exp(x))) for every element, of x's shape and floating dtype.

    Source: Misra, Mish: a self regularized non-monotonic activation function, BMVC 2020.
    """
    return x * array_namespace(x).tanh(softplus(x))


def _gelu_rule(xp: Namespace, out: Array, x: Array, approximate: bool = False) -> Any:
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
    """Return x · Φ(x), Φ being the distribution function of N(0, 1), of x's shape and floating
    dtype.

    Exactly that is ½ · x · (1 + erf(x / √2)), and approximately ½ · x · (1 + tanh(√(2/π) · (x +
    0.044715 x³))), which is off by less than 5e-4. Source: Hendrycks and Gimpel, Gaussian error
    linear units, 2016, section 2.
    """
    xp = array_namespace(x)
    return 0.5 * x * (1 + (_gelu_tanh(xp, x) if approximate else erf(x * math.sqrt(0.5))))


def _gelu_tanh(xp: Namespace, x: Array) -> Array:
    return xp.tanh(math.sqrt(2 / math.pi) * (x + _GELU_CUBIC * x * x * x))
