"""Convolution of images, and its two gradients.

All three are linear in both arrays, and the derivatives of each are the other two. Images are (N,
channels, height, width), weights (out_channels, in_channels / groups, kernel height, kernel width).
Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016; Deep Learning
from Scratch, chapter 7.
"""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, device, widened
from anynet.errors import ShapeError
from anynet.primitives.precision import REAL_OR_COMPLEX
from anynet.tracing.trace import primitive

Shape = tuple[int, ...]
Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

NO_PADDING: Padding = ((0, 0), (0, 0))


def output_size(
    size: Shape,
    kernel: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Pair:
    """Return the height and width of a convolution's output.

    They are (size + padding - reach) // stride + 1, where reach is dilation · (kernel - 1) + 1.
    """
    reach = [dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    height, width = ((size[i] + sum(padding[i]) - reach[i]) // stride[i] + 1 for i in (0, 1))
    return height, width


def check_images(x: Array) -> None:
    """Check that there are four axes.

    Raises:
        ShapeError: there are not.

    """
    if x.ndim != 4:
        raise ShapeError(
            f"input of shape {tuple(x.shape)}: wanted images, (N, channels, height, width)"
        )


def check_windows(
    size: Shape,
    kernel: Shape,
    padding: tuple[Pair, ...],
    dilation: Shape,
) -> None:
    """Check that a window is not larger than the padded image or volume.

    Raises:
        ShapeError: it is larger.

    """
    padded = [n + sum(around) for n, around in zip(size, padding, strict=True)]
    reach = [step * (n - 1) + 1 for n, step in zip(kernel, dilation, strict=True)]
    if any(n > most for n, most in zip(reach, padded, strict=True)):
        shown = ["×".join(map(str, lengths)) for lengths in (kernel, reach, padded)]
        raise ShapeError(
            f"a kernel of {shown[0]}, which reaches over {shown[1]}, is larger than the padded "
            f"image of {shown[2]}: wanted a smaller kernel or dilation, or more padding"
        )


def windows(
    x: Array,
    kernel: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    fill: float = 0.0,
) -> Array:
    """Return the elements of every window.

    The result is (N, channels, kernel height · kernel width, out height, out width).
    """
    xp = array_namespace(x)
    height, width = output_size(x.shape[2:], kernel, stride, padding, dilation)
    x = pad(x, padding, fill)
    stop = (height - 1) * stride[0] + 1, (width - 1) * stride[1] + 1
    seen = [
        x[:, :, i : i + stop[0] : stride[0], j : j + stop[1] : stride[1]]
        for i in range(0, kernel[0] * dilation[0], dilation[0])
        for j in range(0, kernel[1] * dilation[1], dilation[1])
    ]
    return xp.stack(seen, axis=2)


def pad(
    x: Array,
    padding: Padding,
    fill: float = 0.0,
) -> Array:
    """Add rows and columns of a value around images. A negative padding removes them."""
    xp = array_namespace(x)
    for axis, (before, after) in zip((2, 3), padding, strict=True):
        start, stop = max(0, -before), x.shape[axis] - max(0, -after)
        if (start, stop) != (0, x.shape[axis]):
            x = x[(slice(None),) * axis + (slice(start, stop), ...)]
        parts = [x]
        for n in (max(0, before), max(0, after)):
            shape = (*x.shape[:axis], n, *x.shape[axis + 1 :])
            parts.append(xp.full(shape, fill, dtype=x.dtype, device=device(x)))
        if max(before, after) > 0:
            x = xp.concat([parts[1], x, parts[2]], axis=axis)
    return x


def _rule(
    xp: Namespace,
    out: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
    **settings: Any,
) -> Any:
    return (
        lambda g: conv2d_input_gradient(g, weight, x.shape[2:], **settings),
        lambda g: conv2d_weight_gradient(g, x, weight.shape[2:], **settings),
        # Some libraries take three times as long over all axes at once.
        lambda g: xp.sum(xp.sum(widened(g), axis=(2, 3)), axis=0),
    )


def _explain(
    x: Array,
    weight: Array,
    bias: Array | None,
    **settings: Any,
) -> None:
    groups = settings["groups"]
    check_images(x)
    if x.shape[1] != weight.shape[1] * groups:
        in_groups = f" in {groups} groups" if groups > 1 else ""
        raise ShapeError(
            f"input of {x.shape[1]} channels does not fit weights of shape "
            f"{tuple(weight.shape)}{in_groups}: wanted {weight.shape[1] * groups} channels"
        )
    padding, dilation = settings["padding"], settings["dilation"]
    check_windows(x.shape[2:], weight.shape[2:], padding, dilation)


@primitive(_rule, _explain, kind=REAL_OR_COMPLEX)
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """Return out[n, o, p] = bias[o] + Σ weight[o, c, k] · x[n, c, stride · p + dilation · k].

    The sum is over the channels of the group and the positions k in the kernel, on padded images.
    The result is (N, out_channels, height, width); see `output_size`.

    Args:
        x: (N, in_channels, height, width), floating or complex.
        weight: (out_channels, in_channels / groups, kernel height, kernel width).
        bias: (out_channels,), or None for 0.
        stride: the step between windows, along the height and the width.
        padding: ((top, bottom), (left, right)), rows and columns of zeros.
        dilation: the step between the elements of a window.
        groups: the number of groups of channels that are convolved on their own.

    Raises:
        ShapeError: the shapes do not fit together, or a window is larger than the padded image.

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016; Deep
    Learning from Scratch, chapter 7.

    >>> import numpy as np
    >>> from anynet.primitives import conv2d
    >>> no = ((0, 0), (0, 0))
    >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> conv2d(x, weight, None, stride=(1, 1), padding=no, dilation=(1, 1), groups=1)
    array([[[[4., 4.],
             [4., 4.]]]])

    """
    xp = array_namespace(x, weight)
    out_channels, kernel = weight.shape[0], weight.shape[2:]
    check_windows(x.shape[2:], kernel, padding, dilation)
    seen = windows(x, kernel, stride, padding, dilation)
    # A batch of no images leaves -1 undefined, so every length is given.
    length = weight.shape[1] * math.prod(kernel)
    columns = xp.reshape(seen, (x.shape[0], groups, length, math.prod(seen.shape[3:])))
    rows = xp.reshape(weight, (groups, out_channels // groups, length))
    out = xp.reshape(xp.matmul(rows, columns), (x.shape[0], out_channels, *seen.shape[3:]))
    return out if bias is None else out + xp.reshape(bias, (-1, 1, 1))


def _transposed_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    weight: Array,
    size: Shape,
    **settings: Any,
) -> Any:
    return (
        lambda h: conv2d(h, weight, None, **settings),
        lambda h: conv2d_weight_gradient(g, h, weight.shape[2:], **settings),
        None,
    )


@primitive(_transposed_rule, kind=REAL_OR_COMPLEX)
def conv2d_input_gradient(
    g: Array,
    weight: Array,
    size: Shape,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """Return the cotangent of `conv2d`'s images, (N, in_channels, *size), for g of its output.

    It is a convolution of g, with zeros between its elements, with the flipped weights.
    """
    xp = array_namespace(g, weight)
    out_channels, in_channels, *kernel = weight.shape
    swapped = xp.reshape(weight, (groups, out_channels // groups, in_channels, *kernel))
    swapped = xp.reshape(
        xp.permute_dims(swapped, (0, 2, 1, 3, 4)),
        (-1, out_channels // groups, *kernel),
    )
    spread = _spread(g, stride)
    around: list[Pair] = []
    for i in (0, 1):
        reach = dilation[i] * (kernel[i] - 1)
        total = size[i] + sum(padding[i])
        after = total - spread.shape[2 + i] - padding[i][1]
        around.append((reach - padding[i][0], after))
    return conv2d(
        pad(spread, (around[0], around[1])),
        xp.flip(swapped, axis=(2, 3)),
        None,
        stride=(1, 1),
        padding=NO_PADDING,
        dilation=dilation,
        groups=groups,
    )


def _spread(g: Array, stride: Pair) -> Array:
    """Insert stride - 1 zeros between the elements of images."""
    xp = array_namespace(g)
    for axis, step in zip((2, 3), stride, strict=True):
        if step > 1:
            zeros = xp.zeros(
                (*g.shape[: axis + 1], step - 1, *g.shape[axis + 1 :]),
                dtype=g.dtype,
                device=device(g),
            )
            wide = xp.concat([xp.expand_dims(g, axis=axis + 1), zeros], axis=axis + 1)
            length = g.shape[axis] * step
            wide = xp.reshape(wide, (*g.shape[:axis], length, *g.shape[axis + 1 :]))
            g = wide[(slice(None),) * axis + (slice(0, length - step + 1), ...)]
    return g


def _weight_rule(
    xp: Namespace,
    out: Array,
    g: Array,
    x: Array,
    kernel: Shape,
    **settings: Any,
) -> Any:
    return (
        lambda h: conv2d(x, h, None, **settings),
        lambda h: conv2d_input_gradient(g, h, x.shape[2:], **settings),
        None,
    )


@primitive(_weight_rule, kind=REAL_OR_COMPLEX)
def conv2d_weight_gradient(
    g: Array,
    x: Array,
    kernel: Shape,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """Return the cotangent of `conv2d`'s weights, for g of its output.

    It is (out_channels, in_channels / groups, *kernel).
    """
    xp = array_namespace(g, x)
    images, out_channels = g.shape[:2]
    columns = windows(x, kernel, stride, padding, dilation)
    length = x.shape[1] // groups * math.prod(kernel)
    places = math.prod(columns.shape[3:])
    columns = xp.reshape(columns, (images, groups, length, places))
    rows = xp.reshape(g, (images, groups, out_channels // groups, places))
    products = xp.sum(xp.matmul(rows, xp.matrix_transpose(columns)), axis=0)
    return xp.reshape(products, (out_channels, x.shape[1] // groups, *kernel))
