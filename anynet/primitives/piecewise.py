"""Activations that are one expression below a point and another above it.

The pieces are added, each being 0 in the other one's place: a processor that guesses which one a
choice takes guesses wrong for half of all numbers, and a sum is three times as fast.
"""

from typing import Any

from anynet.array import Array, Namespace, array_namespace
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive

# With these two, activations of mean 0 and variance 1 keep them from layer to layer.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _leaky_relu_rule(xp: Namespace, out: Array, x: Array, negative_slope: float = 0.01) -> Any:
    def pullback(g: Array) -> Array:
        above = _above(xp, x)
        return g * (above + negative_slope * (1 - above))

    return pullback, None


@primitive(_leaky_relu_rule, kind=REAL)
@in_float32
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """Return x where x > 0 and negative_slope · x elsewhere, of x's shape and floating dtype.

    The derivative at 0 is negative_slope. Source: Maas, Hannun and Ng, Rectifier nonlinearities
    improve neural network acoustic models, ICML 2013.
    """
    xp = array_namespace(x)
    return _positive(xp, x) + negative_slope * _negative(xp, x)


def _elu_rule(xp: Namespace, out: Array, x: Array, alpha: float = 1.0) -> Any:
    return lambda g: g * _exponential_slope(xp, x, alpha), None


@primitive(_elu_rule, kind=REAL)
@in_float32
def elu(x: Array, alpha: float = 1.0) -> Array:
    """Return x where x > 0 and alpha · (exp(x) - 1) elsewhere, above -alpha, of x's shape and
    floating dtype.

    The derivative at 0 is alpha. Source: Clevert, Unterthiner and Hochreiter, Fast and accurate
    deep network learning by exponential linear units, ICLR 2016.
    """
    xp = array_namespace(x)
    return _positive(xp, x) + alpha * xp.expm1(_negative(xp, x))


def _selu_rule(xp: Namespace, out: Array, x: Array) -> Any:
    return lambda g: g * (_SELU_SCALE * _exponential_slope(xp, x, _SELU_ALPHA))


@primitive(_selu_rule, kind=REAL)
@in_float32
def selu(x: Array) -> Array:
    """Return 1.0507… · x where x > 0 and 1.0507… · 1.6732… · (exp(x) - 1) elsewhere, of x's shape
    and floating dtype.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter, Self-normalizing neural networks, NeurIPS
    2017, equation 2.
    """
    xp = array_namespace(x)
    return _SELU_SCALE * _positive(xp, x) + _SELU_SCALE * _SELU_ALPHA * xp.expm1(_negative(xp, x))


def _hard_sigmoid_rule(xp: Namespace, out: Array, x: Array) -> Any:
    return lambda g: xp.where(xp.logical_and(x > -3, x < 3), g / 6, xp.zeros_like(g))


@primitive(_hard_sigmoid_rule, kind=REAL)
@in_float32
def hard_sigmoid(x: Array) -> Array:
    """Return x/6 + ½, cut off at 0 and 1, for every element, of x's shape and floating dtype.

    The derivative is 0 at -3 and 3, where the cuts are. Source: Howard et al., Searching for
    MobileNetV3, ICCV 2019, section 5.2; other slopes are in use elsewhere.
    """
    xp = array_namespace(x)
    return xp.minimum(xp.maximum(x / 6 + 0.5, xp.zeros_like(x)), xp.ones_like(x))


def _positive(xp: Namespace, x: Array) -> Array:
    return xp.maximum(x, xp.zeros_like(x))


def _negative(xp: Namespace, x: Array) -> Array:
    """Return x where it is below 0, and 0 elsewhere, whose exponential cannot overflow."""
    return xp.minimum(x, xp.zeros_like(x))


def _above(xp: Namespace, x: Array) -> Array:
    return xp.astype(x > 0, x.dtype)


def _exponential_slope(xp: Namespace, x: Array, alpha: float) -> Array:
    """Return 1 where x > 0 and alpha · exp(x) elsewhere."""
    slope = xp.exp(_negative(xp, x))
    return slope if alpha == 1 else alpha * slope + (1 - alpha) * _above(xp, x)
