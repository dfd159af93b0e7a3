"""Padding of images, as PyTorch supports it."""

from typing import Any

from torch.nn import functional


def symmetric(padding: Any) -> list[int] | None:
    """Return the padding as PyTorch takes it, None where the sides differ."""
    (top, bottom), (left, right) = padding
    return [top, left] if top == bottom >= 0 and left == right >= 0 else None


def padded(x: Any, padding: Any, fill: float = 0.0) -> Any:
    """Return images with rows and columns around them. A negative padding removes some."""
    (top, bottom), (left, right) = padding
    return functional.pad(x, (left, right, top, bottom), value=fill)
