"""Pooling of images: the largest element or the mean of every window.

Of equal elements in a window the first one, row by row, counts as the largest.
"""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, device
from anynet.primitives.convolution import (
    Padding,
    Pair,
    check_images,
    check_windows,
    conv2d,
    windows,
)
from anynet.primitives.indexing import scatter_add
from anynet.primitives.precision import REAL, REAL_OR_COMPLEX, in_float32
from anynet.tracing.trace import primitive


def _explain(x: Array, **settings: Any) -> None:
    check_images(x)
    check_windows(x.shape[2:], settings["kernel"], settings["padding"], (1, 1))


def _rule(xp: Namespace, out: Array, x: Array, **settings: Any) -> Any:
    return lambda g: max_pool2d_gradient(g, x, out, **settings)


@primitive(_rule, _explain, kind=REAL)
def max_pool2d(x: Array, *, kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """Return the largest element of every window over images, (N, channels, height, width); padding
    never counts.

    Source: Deep Learning from Scratch, chapter 7.3.
    """
    _explain(x, kernel=kernel, stride=stride, padding=padding)
    fill = -math.inf if max(map(max, padding)) else 0.0
    return array_namespace(x).max(windows(x, kernel, stride, padding, (1, 1), fill), axis=2)


def _spread_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    x: Array,
    largest: Array,
    **settings: Any,
) -> Any:
    return (
        lambda h: max_pool2d_gather(h, x, largest, **settings),
        None,
        None,
    )


@primitive(_spread_rule, kind=REAL)
def max_pool2d_gradient(
    g: Array,
    x: Array,
    largest: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Array:
    """Return images of x's shape to which every g is added where its window's largest element
    stands.
    """
    xp = array_namespace(g, x)
    places = _places(x, kernel, stride, padding)
    flat = scatter_add(xp.reshape(g, places.shape), places, -1, x.shape[2] * x.shape[3])
    return xp.reshape(flat, x.shape)


def _take_rule(
    xp: Namespace,
    out: Array,
    h: Array,
    x: Array,
    largest: Array,
    **settings: Any,
) -> Any:
    return (
        lambda g: max_pool2d_gradient(g, x, largest, **settings),
        None,
        None,
    )


@primitive(_take_rule, kind=REAL)
def max_pool2d_gather(
    h: Array,
    x: Array,
    largest: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Array:
    """Return what h, of x's shape, has where each window's largest element of x stands."""
    xp = array_namespace(h, x)
    flat = xp.reshape(h, (*h.shape[:2], math.prod(h.shape[2:])))
    found = xp.take_along_axis(flat, _places(x, kernel, stride, padding), axis=-1)
    return xp.reshape(found, largest.shape)


def _places(x: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """Return the index of each window's largest element, in images read row by row: (N, channels,
    windows).
    """
    xp = array_namespace(x)
    height, width = x.shape[2:]
    at = xp.reshape(xp.arange(height * width, device=device(x)), (1, 1, height, width))
    seen = windows(x, kernel, stride, padding, (1, 1), -math.inf)
    candidates = xp.broadcast_to(windows(at, kernel, stride, padding, (1, 1), -1), seen.shape)
    # The first that is the largest, or NaN, but none of the padding.
    largest = xp.logical_or(seen == xp.max(seen, axis=2, keepdims=True), seen != seen)
    eligible = xp.logical_and(largest, candidates >= 0)
    which = xp.expand_dims(xp.argmax(xp.astype(eligible, xp.int32), axis=2), axis=2)
    found = xp.take_along_axis(candidates, which, axis=2)
    return xp.reshape(found, (*x.shape[:2], math.prod(seen.shape[3:])))


@in_float32
def _convolved(x: Array, *, kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """Convolve every channel with the same weights, all equal."""
    xp = array_namespace(x)
    n = math.prod(kernel)
    weight = xp.full((1, 1, *kernel), 1 / n, dtype=x.dtype, device=device(x))
    one_channel = xp.reshape(x, (-1, 1, *x.shape[2:]))
    out = conv2d(
        one_channel,
        weight,
        None,
        stride=stride,
        padding=padding,
        dilation=(1, 1),
        groups=1,
    )
    return xp.reshape(out, (-1, x.shape[1], *out.shape[2:]))


def _mean(xp: Namespace, x: Array, **settings: Any) -> Array:
    return _convolved(x, **settings)


@primitive(None, _explain, decomposition=_mean, kind=REAL_OR_COMPLEX)
def avg_pool2d(x: Array, **settings: Any) -> Array:
    """Return the mean of every window over images, (N, channels, height, width); padding counts as
    zeros.
    """
    _explain(x, **settings)
    return _convolved(x, **settings)
