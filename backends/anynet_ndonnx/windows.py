"""Padding of images as ONNX writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anynet.primitives.convolution import Padding, Pair
from anynet_ndonnx.operators import operator

if TYPE_CHECKING:
    from ndonnx import Array


def check_windows(
    x: Array,
    kernel: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
) -> None:
    """Raise for windows larger than the image, which ONNX would report when the file is run."""
    if any(x.shape[2 + i] + sum(padding[i]) <= dilation[i] * (kernel[i] - 1) for i in (0, 1)):
        raise ValueError("the kernel is larger than the image")


def pads(padding: Padding) -> tuple[int, ...]:
    """Return padding in the order of ONNX: first all beginnings, then all ends."""
    (top, bottom), (left, right) = padding
    return top, left, bottom, right


def padded(x: Array, padding: Sequence[Pair]) -> Any:
    """Add zeros around the last axes. A negative padding removes elements."""
    import ndonnx

    before, after = zip(
        *((0, 0),) * (x.ndim - len(padding)),
        *padding,
        strict=True,
    )
    return operator(
        "pad",
        x,
        ndonnx.asarray([*before, *after], dtype=ndonnx.int64),
    )
