"""Max pooling and average pooling of images.

Among equal elements of a window, the first one in row-major order counts as the largest.
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
    check_windows(
        x.shape[2:],
        settings["kernel"],
        settings["padding"],
        (1, 1),
    )


def _rule(
    xp: Namespace,
    out: Array,
    x: Array,
    **settings: Any,
) -> Any:
    return lambda g: max_pool2d_gradient(g, x, out, **settings)


@primitive(_rule, _explain, kind=REAL)
def max_pool2d(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Array:
    """Return the largest element of every window over images.

    Padding does not count.

    Args:
        x: (N, channels, height, width), floating.
        kernel: the height and the width of a window.
        stride: the step between windows, along the height and the width.
        padding: ((top, bottom), (left, right)).

    Raises:
        ShapeError: x does not have four axes, or a window is larger than the padded image.

    Source: Deep Learning from Scratch, chapter 7.3.

    >>> import numpy as np
    >>> from anynet.primitives import max_pool2d
    >>> x = np.reshape(np.arange(16.0), (1, 1, 4, 4))
    >>> max_pool2d(x, kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    array([[[[ 5.,  7.],
             [13., 15.]]]])

    """
    _explain(x, kernel=kernel, stride=stride, padding=padding)
    fill = -math.inf if max(map(max, padding)) else 0.0
    return array_namespace(x).max(windows(x, kernel, stride, padding, (1, 1), fill), axis=2)


def _residuals_rule(
    xp: Namespace,
    out: tuple[Array, ...],
    x: Array,
    **settings: Any,
) -> Any:
    # There is no cotangent of residuals, which are constants.
    return lambda g: max_pool2d_gradient(g[0], x, *out, **settings)


@primitive(_residuals_rule, _explain, kind=REAL)
def max_pool2d_with_residuals(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> tuple[Array, ...]:
    """Return the result of `max_pool2d`, and residuals that a kernel keeps for the gradient.

    The number of residuals depends on the library. The reference has none, because
    `max_pool2d_gradient` needs only x and the largest elements. PyTorch's kernel returns the
    indices of the largest elements, so that its gradient does not search for them again. See
    `max_pool2d` for the arguments and the errors.

    >>> import numpy as np
    >>> from anynet.primitives import max_pool2d_with_residuals
    >>> x = np.reshape(np.arange(4.0), (1, 1, 2, 2))
    >>> settings = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}
    >>> max_pool2d_with_residuals(x, **settings)
    (array([[[[3.]]]]),)

    """
    return (max_pool2d(x, kernel=kernel, stride=stride, padding=padding),)


def _spread_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    x: Array,
    *results: Array,
    **settings: Any,
) -> Any:
    return lambda h: max_pool2d_gather(h, x, *results, **settings), None, None


@primitive(_spread_rule, kind=REAL)
def max_pool2d_gradient(
    g: Array,
    x: Array,
    largest: Array,
    *residuals: Array,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Array:
    """Return the cotangent of x: each element of g, added at the largest element of its window.

    The largest elements and the residuals are the results of `max_pool2d_with_residuals`. A caller
    may leave the residuals out.
    """
    xp = array_namespace(g, x)
    places = _places(x, kernel, stride, padding)
    flat = scatter_add(
        xp.reshape(g, places.shape),
        places,
        -1,
        x.shape[2] * x.shape[3],
    )
    return xp.reshape(flat, x.shape)


def _take_rule(
    xp: Namespace,
    out: Array,
    h: Array,
    x: Array,
    *results: Array,
    **settings: Any,
) -> Any:
    return lambda g: max_pool2d_gradient(g, x, *results, **settings), None, None


@primitive(_take_rule, kind=REAL)
def max_pool2d_gather(
    h: Array,
    x: Array,
    largest: Array,
    *residuals: Array,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Array:
    """Return the elements of h, of x's shape, at the largest element of each window of x."""
    xp = array_namespace(h, x)
    flat = xp.reshape(h, (*h.shape[:2], math.prod(h.shape[2:])))
    elements = xp.take_along_axis(flat, _places(x, kernel, stride, padding), axis=-1)
    return xp.reshape(elements, largest.shape)


def _places(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Array:
    """Return the index of the largest element of each window, (N, channels, windows).

    It is the index in an image that is read row by row.
    """
    xp = array_namespace(x)
    height, width = x.shape[2:]
    at = xp.reshape(xp.arange(height * width, device=device(x)), (1, 1, height, width))
    seen = windows(x, kernel, stride, padding, (1, 1), -math.inf)
    candidates = xp.broadcast_to(windows(at, kernel, stride, padding, (1, 1), -1), seen.shape)
    # The first element that is the largest, or NaN, and not padding.
    largest = xp.logical_or(seen == xp.max(seen, axis=2, keepdims=True), seen != seen)
    eligible = xp.logical_and(largest, candidates >= 0)
    which = xp.expand_dims(xp.argmax(xp.astype(eligible, xp.int32), axis=2), axis=2)
    places = xp.take_along_axis(candidates, which, axis=2)
    return xp.reshape(places, (*x.shape[:2], math.prod(seen.shape[3:])))


@primitive(None, _explain, decomposed=True, kind=REAL_OR_COMPLEX)
@in_float32
def avg_pool2d(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
) -> Array:
    """Return the mean of every window over images. Padding counts as zeros.

    It is a convolution of every channel with equal weights. See `max_pool2d` for the arguments and
    the errors. Source: Deep Learning from Scratch, chapter 7.3.

    >>> import numpy as np
    >>> from anynet.primitives import avg_pool2d
    >>> x = np.reshape(np.arange(16.0), (1, 1, 4, 4))
    >>> avg_pool2d(x, kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])

    """
    _explain(x, kernel=kernel, stride=stride, padding=padding)
    xp = array_namespace(x)
    n = math.prod(kernel)
    weight = xp.full(
        (1, 1, *kernel),
        1 / n,
        dtype=x.dtype,
        device=device(x),
    )
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
