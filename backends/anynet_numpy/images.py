"""NumPy's kernels for images: as many images at a time as a cache can hold; convolution as products
of matrices.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from anynet_numpy.memory import fresh, scratch

_FLOATS = (np.dtype("float32"), np.dtype("float64"))

#: Bytes that are worked on at a time.
_BLOCK = 1 << 20


def _padded(x: Any, padding: Any, fill: float = 0.0) -> Any:
    """Return images with rows and columns around them, in memory of this module's; a negative
    padding takes off.
    """
    if not any(map(any, padding)):
        return x
    (top, bottom), (left, right) = padding
    x = x[
        :,
        :,
        max(0, -top) : x.shape[2] - max(0, -bottom),
        max(0, -left) : x.shape[3] - max(0, -right),
    ]
    top, bottom, left, right = (max(0, n) for n in (top, bottom, left, right))
    if not (top or bottom or left or right):
        return x
    n, c, h, w = x.shape
    out = scratch("padded", (n, c, h + top + bottom, w + left + right), x.dtype)
    out.fill(fill)
    out[:, :, top : top + h, left : left + w] = x
    return out


def _windows(x: Any, kernel: Any, stride: Any, dilation: Any = (1, 1)) -> Any:
    """Return a view of all windows, (N, C, kernel height, kernel width, out height, out width)."""
    n, c = x.shape[:2]
    s = x.strides
    size = _size(x.shape[2:], kernel, stride, dilation)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    strides = (
        s[0],
        s[1],
        s[2] * dilation[0],
        s[3] * dilation[1],
        s[2] * stride[0],
        s[3] * stride[1],
    )
    return as_strided(x, (n, c, *kernel, *size), strides)


def _size(padded: Any, kernel: Any, stride: Any, dilation: Any = (1, 1)) -> tuple[int, int]:
    height, width = (
        (padded[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    )
    return height, width


def _padded_size(x: Any, padding: Any) -> tuple[int, int]:
    return x.shape[2] + sum(padding[0]), x.shape[3] + sum(padding[1])


def _blocks(images: int, bytes_of_one: int) -> Iterator[slice]:
    """Go through the images, so many at a time as come near the size of a block."""
    step = max(1, min(images, _BLOCK // max(1, bytes_of_one)))
    return (slice(start, min(start + step, images)) for start in range(0, images, step))


def _columns(
    x: Any,
    kernel: Any,
    groups: int,
    stride: Any,
    padding: Any,
    dilation: Any,
) -> Iterator[tuple[slice, Any]]:
    """Unfold the images, a block at a time, into (images, groups, channels / groups · kernel,
    places).
    """
    n, c = x.shape[:2]
    size = _size(_padded_size(x, padding), kernel, stride, dilation)
    rows, places = c // groups * math.prod(kernel), math.prod(size)
    for some in _blocks(n, groups * rows * places * x.itemsize):
        views = _windows(_padded(x[some], padding), kernel, stride, dilation)
        part = scratch("columns", views.shape, x.dtype)
        np.copyto(part, views)
        yield some, part.reshape(-1, groups, rows, places)


def _suits(*arrays: Any) -> bool:
    return (
        arrays[0].dtype in _FLOATS
        and all(x.dtype == arrays[0].dtype for x in arrays)
        and arrays[0].size > 0
    )


def conv2d(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    out: Any = None,
) -> Any:
    """Unfold a block of images, multiply, and add the bias in place."""
    if (
        not _suits(x, weight)
        or x.shape[1] != weight.shape[1] * groups
        or not (bias is None or _suits(x, bias))
    ):
        return NotImplemented
    n, channels, kernel = x.shape[0], weight.shape[0], weight.shape[2:]
    size = _size(_padded_size(x, padding), kernel, stride, dilation)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    rows = weight.reshape(groups, channels // groups, -1)
    if out is None:
        out = fresh((n, channels, *size), x.dtype)
    grouped = out.reshape(n, groups, channels // groups, -1)
    for some, columns in _columns(x, kernel, groups, stride, padding, dilation):
        np.matmul(rows, columns, out=grouped[some])
        if bias is not None:
            out[some] += bias[:, None, None]
    return out


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
    """Unfold a block of images and add its products up."""
    if not _suits(g, x):
        return NotImplemented
    n, channels = g.shape[:2]
    g = np.ascontiguousarray(g).reshape(n, groups, channels // groups, -1)
    total: Any = 0
    for some, columns in _columns(x, kernel, groups, stride, padding, dilation):
        total = total + np.matmul(g[some], columns.swapaxes(-1, -2)).sum(axis=0)
    return total.reshape(channels, x.shape[1] // groups, *kernel)


def conv2d_input_gradient(
    g: Any,
    weight: Any,
    size: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    out: Any = None,
) -> Any:
    """Multiply a block of images, and add what every part of the kernel gives to where it came
    from.
    """
    if not _suits(g, weight):
        return NotImplemented
    n, channels, oh, ow = g.shape
    in_channels, kh, kw = weight.shape[1:]
    rows = weight.reshape(groups, channels // groups, -1).swapaxes(-1, -2)
    reach = [
        (g.shape[2 + i] - 1) * stride[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1
        for i in (0, 1)
    ]
    around = tuple((-padding[i][0], size[i] + padding[i][0] - reach[i]) for i in (0, 1))
    if out is None:
        out = fresh((n, groups * in_channels, *size), g.dtype)
    for some in _blocks(n, groups * rows.shape[1] * oh * ow * g.itemsize):
        part = np.ascontiguousarray(g[some]).reshape(-1, groups, channels // groups, oh * ow)
        columns = scratch("columns", (len(part), groups, rows.shape[1], oh * ow), g.dtype)
        np.matmul(rows, part, out=columns)
        columns = columns.reshape(-1, groups, in_channels, kh, kw, oh, ow)
        there = scratch("reached", (len(part), groups, in_channels, *reach), g.dtype)
        there.fill(0)
        for i in range(kh):
            for j in range(kw):
                top, left = i * dilation[0], j * dilation[1]
                bottom, right = (
                    top + (oh - 1) * stride[0] + 1,
                    left + (ow - 1) * stride[1] + 1,
                )
                there[..., top : bottom : stride[0], left : right : stride[1]] += columns[
                    :, :, :, i, j
                ]
        out[some] = _padded(there.reshape(len(part), -1, *reach), around)
    return out


def max_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any, out: Any = None) -> Any:
    """Compare strided views of the images, one for each place in the window."""
    if x.dtype not in _FLOATS:
        return NotImplemented
    size = _size(_padded_size(x, padding), kernel, stride)
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    if out is None:
        out = fresh((*x.shape[:2], *size), x.dtype)
    for some in _blocks(x.shape[0], x[:1].nbytes):
        views = _windows(_padded(x[some], padding, -math.inf), kernel, stride)
        part = out[some]
        part[...] = views[:, :, 0, 0]
        for place in range(1, math.prod(kernel)):
            np.maximum(
                part,
                views[:, :, place // kernel[1], place % kernel[1]],
                out=part,
            )
    return out


def max_pool2d_gradient(
    g: Any,
    x: Any,
    largest: Any,
    *,
    kernel: Any,
    stride: Any,
    padding: Any,
    out: Any = None,
) -> Any:
    """Compare every place in the window with the largest element, and give the first that is equal
    the cotangent.
    """
    if not _suits(g, x) or largest.dtype != x.dtype:
        return NotImplemented
    (top, _), (left, _) = padding
    padded = _padded_size(x, padding)
    apart = stride[0] >= kernel[0] and stride[1] >= kernel[1]
    covers = apart and stride == kernel and not (padded[0] % kernel[0] or padded[1] % kernel[1])
    if out is None:
        out = fresh(x.shape, x.dtype)
    for some in _blocks(x.shape[0], x[:1].nbytes):
        # NaN equals nothing: of a window of -∞, padding is not the largest element.
        views = _windows(_padded(x[some], padding, math.nan), kernel, stride)
        wide = (
            out[some]
            if padded == x.shape[2:]
            else scratch("spread", (*x[some].shape[:2], *padded), x.dtype)
        )
        if not covers:
            wide.fill(0)
        places = _windows(wide, kernel, stride)
        left_over, share = (
            scratch(name, views.shape[:2] + views.shape[4:], x.dtype) for name in ("left", "share")
        )
        np.copyto(left_over, g[some])
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                np.equal(views[:, :, i, j], largest[some], out=share)
                share *= left_over
                if apart:
                    places[:, :, i, j] = share
                else:
                    places[:, :, i, j] += share
                left_over -= share
        if padded != x.shape[2:]:
            out[some] = wide[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    return out


def standardize(x: Any, axis: tuple[int, ...], epsilon: float) -> Any:
    """Take one pass for the mean and one for the variance, and work in one array."""
    if x.dtype not in _FLOATS or not x.size:
        return NotImplemented
    mean = x.mean(axis=axis, keepdims=True)
    out = x - mean
    letters = "abcdefgh"[: x.ndim]
    kept = "".join(letter for i, letter in enumerate(letters) if i not in axis)
    squares = np.einsum(f"{letters},{letters}->{kept}", out, out)
    variance = (
        (squares / math.prod(x.shape[i] for i in axis))
        .reshape(mean.shape)
        .astype(x.dtype, copy=False)
    )
    out *= 1 / np.sqrt(variance + x.dtype.type(epsilon))
    return out, mean, variance


def standardize_gradient(
    g: Any, y: Any, variance: Any, axis: tuple[int, ...], epsilon: float
) -> Any:
    """Take one pass for both means, and work in one array."""
    if not _suits(g, y, variance):
        return NotImplemented
    n = math.prod(y.shape[i] for i in axis)
    letters = "abcdefgh"[: y.ndim]
    kept = "".join(letter for i, letter in enumerate(letters) if i not in axis)
    along = (np.einsum(f"{letters},{letters}->{kept}", g, y) / n).reshape(variance.shape)
    c = y * -along
    c += g
    c -= g.mean(axis=axis, keepdims=True)
    c *= 1 / np.sqrt(variance + variance.dtype.type(epsilon))
    return c


def batch_norm(x: Any, weight: Any, bias: Any, epsilon: float) -> Any:
    """Scale and shift in place."""
    found = standardize(x, (0, *range(2, x.ndim)), epsilon)
    if found is NotImplemented or not _suits(x, weight, bias):
        return NotImplemented
    y, mean, variance = found
    y *= weight.reshape(mean.shape)
    y += bias.reshape(mean.shape)
    return y, mean.reshape(-1), variance.reshape(-1)


def batch_norm_gradient(
    g: Any, x: Any, weight: Any, mean: Any, variance: Any, epsilon: float
) -> Any:
    """Put the cotangent together from two sums, in one array."""
    if not _suits(g, x, weight, mean, variance):
        return NotImplemented
    axis, shape = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    n = x.size // mean.size
    inverse = 1 / np.sqrt(variance + variance.dtype.type(epsilon))
    c = x - mean.reshape(shape)
    letters = "abcdefgh"[: x.ndim]
    of_bias = g.sum(axis=axis)
    of_weight = np.einsum(f"{letters},{letters}->b", g, c) * inverse
    c *= (inverse * of_weight * (-1 / n)).astype(x.dtype).reshape(shape)
    c += g
    c -= (of_bias / n).astype(x.dtype).reshape(shape)
    c *= (weight * inverse).reshape(shape)
    return c, of_weight.astype(x.dtype, copy=False), of_bias


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
        standardize,
        standardize_gradient,
    )
}
