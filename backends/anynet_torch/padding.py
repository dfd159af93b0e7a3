"""Padding of images, as PyTorch supports it."""

from torch import Tensor
from torch.nn import functional

from anynet.primitives.convolution import Padding


def symmetric(padding: Padding) -> list[int] | None:
    """Return the padding in PyTorch's form, None if the sides of an axis differ."""
    (top, bottom), (left, right) = padding
    return [top, left] if top == bottom >= 0 and left == right >= 0 else None


def padded(
    x: Tensor,
    padding: Padding,
    fill: float = 0.0,
) -> Tensor:
    """Return images with rows and columns around them. A negative padding removes some."""
    (top, bottom), (left, right) = padding
    return functional.pad(x, (left, right, top, bottom), value=fill)
