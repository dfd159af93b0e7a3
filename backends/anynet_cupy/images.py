"""CuPy's kernels for images: a convolution is its images unfolded, in one launch, and one product
of matrices.

What has so many elements that 32 bits do not count them is left to the references.
"""

import math
from collections.abc import Callable
from typing import Any

from anynet.primitives.convolution import output_size
from anynet_cupy.elementwise import declared, elementwise
from anynet_cupy.product import product, sums

_ONES = (1, 1)
_COUNTED = 1 << 31


def _suits(name: str, *arrays: Any) -> bool:
    """Tell whether the loop of a name is declared for the dtype of these arrays, and 32 bits count
    their elements.
    """
    return declared(name, *arrays) and arrays[0].size > 0 and max(x.size for x in arrays) < _COUNTED


def _numbers(size: Any, out: Any, padding: Any) -> tuple[int, ...]:
    """Return the whole numbers that the loops over windows ask for."""
    return (*size, *out, padding[0][0], padding[1][0])


def _counted(*lengths: int) -> bool:
    """Tell whether 32 bits count what is of these lengths."""
    return math.prod(lengths) < _COUNTED


def _unfold(x: Any, kernel: Any, out: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Return what the windows see, (channels · kernel height · kernel width, images · out height ·
    out width).
    """
    import cupy

    images, channels, *size = x.shape
    columns = cupy.empty((channels * math.prod(kernel), images * math.prod(out)), x.dtype)
    given = (
        cupy.ascontiguousarray(x),
        images,
        channels,
        *_numbers(size, out, padding),
        columns,
    )
    return elementwise("unfold", *kernel, *stride, *dilation)(
        *given, size=images * channels * math.prod(out)
    )


def _channels_first(g: Any, groups: int) -> Any:
    """Return images (N, channels, h, w) as (groups, channels / groups, N · h · w)."""
    return g.swapaxes(0, 1).reshape(groups, g.shape[1] // groups, -1)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Unfold all images and multiply once."""
    import cupy

    arrays = (x, weight) if bias is None else (x, weight, bias)
    if not _suits("unfold", *arrays) or x.shape[1] != weight.shape[1] * groups:
        return NotImplemented
    channels, _, *kernel = weight.shape
    size = output_size(x.shape[2:], kernel, stride, padding, dilation)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the padded image")
    if not _counted(*x.shape[:2], *kernel, *size):
        return NotImplemented
    columns = _unfold(x, kernel, size, stride, padding, dilation)
    rows = weight.reshape(groups, channels // groups, -1)
    out = product(rows, columns.reshape(groups, rows.shape[2], -1))
    out = out.reshape(channels, x.shape[0], *size).swapaxes(0, 1)
    if bias is None:
        return cupy.ascontiguousarray(out)
    return cupy.add(out, bias[:, None, None], out=cupy.empty(out.shape, out.dtype))


def conv2d_weight_gradient(
    g: Any,
    x: Any,
    kernel: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Unfold all images and multiply once."""
    if not _suits("unfold", g, x) or not _counted(*x.shape[:2], *kernel, *g.shape[2:]):
        return NotImplemented
    columns = _unfold(x, kernel, g.shape[2:], stride, padding, dilation)
    columns = columns.reshape(groups, -1, columns.shape[1])
    found = product(_channels_first(g, groups), columns.swapaxes(1, 2))
    return found.reshape(g.shape[1], x.shape[1] // groups, *kernel)


def conv2d_input_gradient(
    g: Any,
    weight: Any,
    size: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Multiply once, and let every pixel gather what is meant for it."""
    import cupy

    in_channels, *kernel = weight.shape[1:]
    if not _suits("fold", g, weight) or not _counted(
        len(g), groups * in_channels, *kernel, *g.shape[2:]
    ):
        return NotImplemented
    rows = weight.reshape(groups, weight.shape[0] // groups, -1).swapaxes(1, 2)
    columns = cupy.ascontiguousarray(product(rows, _channels_first(g, groups)))
    out = cupy.empty((g.shape[0], groups * in_channels, *size), g.dtype)
    given = (
        columns,
        g.shape[0],
        groups * in_channels,
        *_numbers(size, g.shape[2:], padding),
        out,
    )
    return elementwise("fold", *kernel, *stride, *dilation)(*given)


def max_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Look through every window in one launch."""
    import cupy

    size = output_size(x.shape[2:], kernel, stride, padding, _ONES)
    if not _suits("max_pool2d", x) or min(size) < 1:
        return NotImplemented
    out = cupy.empty((*x.shape[:2], *size), x.dtype)
    given = (
        cupy.ascontiguousarray(x),
        *_numbers(x.shape[2:], size, padding),
        out,
    )
    return elementwise("max_pool2d", *kernel, *stride)(*given)


def max_pool2d_gradient(
    g: Any, x: Any, largest: Any, *, kernel: Any, stride: Any, padding: Any
) -> Any:
    """Let every pixel look for the windows whose largest it is; nothing is added by two at once."""
    import cupy

    if not _suits("max_pool2d_gradient", x, g, largest):
        return NotImplemented
    numbers = _numbers(x.shape[2:], largest.shape[2:], padding)
    given = map(cupy.ascontiguousarray, (g, x, largest))
    return elementwise("max_pool2d_gradient", *kernel, *stride)(
        *given, *numbers, cupy.empty(x.shape, x.dtype)
    )


def _of_features(x: Any, share: float = 1.0) -> Any:
    """Return the share of the sums of each feature of (N, features, …)."""
    of_images = (
        sums(x.reshape(x.shape[0] * x.shape[1], -1), 1).reshape(x.shape[:2]) if x.ndim > 2 else x
    )
    return sums(of_images, 0, share)


def batch_norm(x: Any, weight: Any, bias: Any, epsilon: float) -> Any:
    """Go through the batch three times: for the means, for the variances, for the result."""
    import cupy

    if not _suits("normalize", x, weight, bias):
        return NotImplemented
    x, weight, bias = map(cupy.ascontiguousarray, (x, weight, bias))
    features = math.prod(x.shape[2:]), x.shape[1]
    share = x.shape[1] / x.size
    mean = _of_features(x, share)
    variance = _of_features(elementwise("square_around")(x, mean, *features), share)
    y = elementwise("normalize")(x, weight, bias, mean, variance, *features, x.dtype.type(epsilon))
    return y, mean, variance


def batch_norm_gradient(
    g: Any, x: Any, weight: Any, mean: Any, variance: Any, epsilon: float
) -> Any:
    """Go through the batch three times: for the two sums of the way back, and for the result."""
    import cupy

    if not _suits("batch_norm_gradient", g, x, weight, mean, variance):
        return NotImplemented
    g, x, weight, mean, variance = map(cupy.ascontiguousarray, (g, x, weight, mean, variance))
    features = math.prod(x.shape[2:]), x.shape[1]
    number = x.dtype.type(epsilon)
    of_weight = _of_features(
        elementwise("times_standardized")(g, x, mean, variance, *features, number)
    )
    of_bias = _of_features(g)
    given = (
        g,
        x,
        weight,
        mean,
        variance,
        of_weight,
        of_bias,
        *features,
        number,
        x.dtype.type(x.shape[1] / x.size),
    )
    return elementwise("batch_norm_gradient")(*given), of_weight, of_bias


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        batch_norm,
        batch_norm_gradient,
        conv2d,
        conv2d_input_gradient,
        conv2d_weight_gradient,
        max_pool2d,
        max_pool2d_gradient,
    )
}
