"""NumPy's kernels for images: convolution as products of matrices, as many images at a time as a cache can hold."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

_FLOATS = (np.dtype("float32"), np.dtype("float64"))

#: Bytes of columns that are unfolded at a time.
_BLOCK = 1 << 20


def _padded(x: Any, padding: Any, fill: float = 0.0) -> Any:
    """Add rows and columns around images; a negative padding takes them off."""
    if not any(map(any, padding)):
        return x
    (top, bottom), (left, right) = padding
    x = x[:, :, max(0, -top) : x.shape[2] - max(0, -bottom), max(0, -left) : x.shape[3] - max(0, -right)]
    top, bottom, left, right = (max(0, n) for n in (top, bottom, left, right))
    if not (top or bottom or left or right):
        return x
    n, c, h, w = x.shape
    out = np.full((n, c, h + top + bottom, w + left + right), fill, x.dtype)
    out[:, :, top : top + h, left : left + w] = x
    return out


def _windows(x: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Return a view of all windows, (N, C, kernel height, kernel width, out height, out width)."""
    n, c = x.shape[:2]
    s = x.strides
    size = [(x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    if min(size) < 1:
        raise ValueError("the kernel is larger than the image")
    strides = (s[0], s[1], s[2] * dilation[0], s[3] * dilation[1], s[2] * stride[0], s[3] * stride[1])
    return as_strided(x, (n, c, *kernel, *size), strides, writeable=False)


def _blocks(views: Any, groups: int) -> Iterator[tuple[slice, Any]]:
    """Copy the windows of some images at a time into one buffer; yield it as (images, groups, rows, columns)."""
    n, c, kh, kw, oh, ow = views.shape
    rows, columns = c // groups * kh * kw, oh * ow
    images = max(1, min(n, _BLOCK // max(1, groups * rows * columns * views.itemsize)))
    buffer = np.empty((images, c, kh, kw, oh, ow), views.dtype)
    for start in range(0, n, images):
        part = buffer[: min(images, n - start)]
        np.copyto(part, views[start : start + images])
        yield slice(start, start + images), part.reshape(len(part), groups, rows, columns)


def _suits(*arrays: Any) -> bool:
    return arrays[0].dtype in _FLOATS and all(x.dtype == arrays[0].dtype for x in arrays) and arrays[0].size > 0


def conv2d(x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Unfold a block of images, multiply, and add the bias in place."""
    if not _suits(x, weight) or x.shape[1] != weight.shape[1] * groups:
        return NotImplemented
    views = _windows(_padded(x, padding), weight.shape[2:], stride, dilation)
    n, size, channels = x.shape[0], views.shape[4:], weight.shape[0]
    rows = weight.reshape(groups, channels // groups, -1)
    out = np.empty((n, groups, channels // groups, math.prod(size)), x.dtype)
    for images, columns in _blocks(views, groups):
        np.matmul(rows, columns, out=out[images])
    out = out.reshape(n, channels, *size)
    if bias is not None:
        if bias.dtype != out.dtype:
            return out + bias[:, None, None]
        out += bias[:, None, None]
    return out


def conv2d_weight(g: Any, x: Any, kernel: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Unfold a block of images and add its products up."""
    if not _suits(g, x):
        return NotImplemented
    views = _windows(_padded(x, padding), kernel, stride, dilation)
    n, channels = g.shape[:2]
    g = np.ascontiguousarray(g).reshape(n, groups, channels // groups, -1)
    total: Any = 0
    for images, columns in _blocks(views, groups):
        total = total + np.matmul(g[images], columns.swapaxes(-1, -2)).sum(axis=0)
    return total.reshape(channels, x.shape[1] // groups, *kernel)


def conv2d_transposed(g: Any, weight: Any, size: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Multiply, and add what every part of the kernel gives to where it came from."""
    if not _suits(g, weight):
        return NotImplemented
    n, channels, oh, ow = g.shape
    in_channels, kh, kw = weight.shape[1:]
    rows = weight.reshape(groups, channels // groups, -1).swapaxes(-1, -2)
    reach = [(g.shape[2 + i] - 1) * stride[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1 for i in (0, 1)]
    out = np.zeros((n, groups, in_channels, *reach), g.dtype)
    g = np.ascontiguousarray(g).reshape(n, groups, channels // groups, oh * ow)
    images = max(1, min(n, _BLOCK // max(1, groups * rows.shape[1] * oh * ow * g.itemsize)))
    for start in range(0, n, images):
        columns = np.matmul(rows, g[start : start + images]).reshape(-1, groups, in_channels, kh, kw, oh, ow)
        there = out[start : start + images]
        for i in range(kh):
            for j in range(kw):
                top, left = i * dilation[0], j * dilation[1]
                bottom, right = top + (oh - 1) * stride[0] + 1, left + (ow - 1) * stride[1] + 1
                there[..., top : bottom : stride[0], left : right : stride[1]] += columns[:, :, :, i, j]
    around = tuple((-padding[i][0], size[i] + padding[i][0] - reach[i]) for i in (0, 1))
    return _padded(out.reshape(n, -1, *reach), around)


def max_pool2d(x: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Compare strided views of the images, one for each place in the window."""
    if x.dtype not in _FLOATS:
        return NotImplemented
    views = _windows(_padded(x, padding, -math.inf), kernel, stride, (1, 1))
    out = views[:, :, 0, 0].copy()
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            if i or j:
                np.maximum(out, views[:, :, i, j], out=out)
    return out


def spread_to_largest(g: Any, x: Any, largest: Any, *, kernel: Any, stride: Any, padding: Any) -> Any:
    """Compare every place in the window with the largest element, and give the first that is equal the cotangent."""
    if not _suits(g, x) or largest.dtype != x.dtype:
        return NotImplemented
    top, left = padding[0][0], padding[1][0]
    padded = _padded(x, padding, -math.inf)
    views = _windows(padded, kernel, stride, (1, 1))
    apart = stride[0] >= kernel[0] and stride[1] >= kernel[1]
    covers = apart and stride == kernel and not (padded.shape[2] % kernel[0] or padded.shape[3] % kernel[1])
    out = (np.empty if covers else np.zeros)(padded.shape, x.dtype)
    places = as_strided(out, views.shape, tuple(s // padded.itemsize * out.itemsize for s in views.strides))
    left_over = g.copy()
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            here = np.equal(views[:, :, i, j], largest)
            share = np.multiply(left_over, here)
            if apart:
                places[:, :, i, j] = share
            else:
                places[:, :, i, j] += share
            left_over -= share
    return out[:, :, top : top + x.shape[2], left : left + x.shape[3]]


def standardize(x: Any, axis: tuple[int, ...], epsilon: float) -> Any:
    """Take one pass for the mean and one for the variance, and work in one array."""
    if x.dtype not in _FLOATS or not x.size:
        return NotImplemented
    mean = x.mean(axis=axis, keepdims=True)
    out = x - mean
    letters = "abcdefgh"[: x.ndim]
    kept = "".join(letter for i, letter in enumerate(letters) if i not in axis)
    squares = np.einsum(f"{letters},{letters}->{kept}", out, out)
    variance = (squares / math.prod(x.shape[i] for i in axis)).reshape(mean.shape).astype(x.dtype, copy=False)
    out *= 1 / np.sqrt(variance + x.dtype.type(epsilon))
    return out, mean, variance


def standardize_gradient(g: Any, y: Any, variance: Any, axis: tuple[int, ...], epsilon: float) -> Any:
    """Take one pass for both means, and work in one array."""
    if not _suits(g, y):
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


def batch_norm_gradient(g: Any, x: Any, weight: Any, mean: Any, variance: Any, epsilon: float) -> Any:
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
        conv2d_transposed,
        conv2d_weight,
        max_pool2d,
        spread_to_largest,
        standardize,
        standardize_gradient,
    )
}
