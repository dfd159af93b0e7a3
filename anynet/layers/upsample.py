"""Resizing of sequences, images and volumes."""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar

from anynet.arguments import check_flag, whole_number
from anynet.array import Array, array_namespace, check_floating, device, number, widened
from anynet.errors import ArgumentError, ShapeError
from anynet.layers.module import Module

#: The axes after the channels that a mode is for, None for any.
_MODES = {"nearest": None, "linear": 1, "bilinear": 2, "trilinear": 3}

Shape = tuple[int, ...]
T = TypeVar("T")


class Upsample(Module):
    """Return x at another size, whose elements are the nearest of x, or interpolated linearly.

    Input is sequences (N, channels, length), images (N, channels, h, w) or volumes (N, channels, d,
    h, w). The output has the given size, or lengths of ⌊length · scale_factor⌋.

    Args:
        size: of the output without batch and channels, a whole number or one for each axis.
        scale_factor: above 0, in place of the size, a number or one for each axis.
        mode: "nearest", or "linear" for sequences, "bilinear" for images, "trilinear" for volumes.
        align_corners: whether the first and the last elements of input and output are at the same
            positions. By default it is their outer edges.

    Raises:
        ArgumentError: a setting out of range, or both or none of size and scale_factor.
        ShapeError: when called, an input of other axes, or an output of length 0.
        DTypeError: when called, an input that is not floating.

    >>> layers.Upsample(scale_factor=2)(np.asarray([[[1.0, 2.0]]]))
    array([[[1., 1., 2., 2.]]])
    >>> layers.Upsample(size=3, mode="linear", align_corners=True)(np.asarray([[[1.0, 2.0]]]))
    array([[[1. , 1.5, 2. ]]])

    Source: PyTorch's Upsample.

    """

    def __init__(
        self,
        *,
        size: int | Shape | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        if mode not in _MODES:
            raise ArgumentError(f"mode is {mode!r}: wanted one of {', '.join(_MODES)}")
        check_flag("align_corners", align_corners)
        if align_corners and mode == "nearest":
            raise ArgumentError(
                "align_corners is True and mode is 'nearest', which has no positions between "
                "elements: wanted mode='linear', 'bilinear' or 'trilinear'"
            )
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"size is {size} and scale_factor is {scale_factor}: wanted one of them"
            )
        self.size = None if size is None else _each("size", size, _length)
        self.scale_factor = (
            None if scale_factor is None else _each("scale_factor", scale_factor, _scale)
        )
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, x: Array) -> Array:
        """Return x at the other size."""
        check_floating("Upsample", x)
        axes = x.ndim - 2
        if axes not in (1, 2, 3) or _MODES[self.mode] not in (None, axes):
            shown = {1: "(N, channels, length)", 2: "(N, channels, h, w)"}
            wanted = shown.get(_MODES[self.mode] or 2, "(N, channels, d, h, w)")
            raise ShapeError(
                f"input of shape {tuple(x.shape)} for mode {self.mode!r}: wanted {wanted}"
            )
        xp = array_namespace(x)
        out = x if self.mode == "nearest" else widened(x)
        for i, (length, ratio) in enumerate(self._axes(x.shape[2:])):
            out = self._resized(out, i + 2, length, ratio)
        return xp.astype(out, x.dtype, copy=False)

    def _axes(self, size: Shape) -> list[tuple[int, Fraction]]:
        """Return the new length of every axis, and the step in the input for one in the output."""
        given: Any = self.scale_factor if self.size is None else self.size
        values = given if isinstance(given, tuple) else (given,) * len(size)
        if len(values) != len(size):
            name = "scale_factor" if self.size is None else "size"
            raise ShapeError(
                f"{name} is {given} for an input of {len(size)} axes after the channels: wanted "
                f"{len(size)} values"
            )
        # Fractions are exact, so that no position falls below the element that it is at.
        steps = [Fraction(value).limit_denominator(10_000) for value in values]
        lengths = [
            int(step) if self.size is not None else int(n * step)
            for n, step in zip(size, steps, strict=True)
        ]
        if 0 in size or 0 in lengths:
            raise ShapeError(
                f"input of size {tuple(size)} gives an output of size {tuple(lengths)}: wanted a "
                "length of 1 or more along each axis of both"
            )
        if self.size is None:
            ratios = [1 / step for step in steps]
        else:
            ratios = [Fraction(n, length) for n, length in zip(size, lengths, strict=True)]
        return [*zip(lengths, ratios, strict=True)]

    def _resized(
        self,
        x: Array,
        axis: int,
        length: int,
        ratio: Fraction,
    ) -> Array:
        """Return x with another length of an axis."""
        xp, n = array_namespace(x), x.shape[axis]
        if self.mode == "nearest":
            nearest = xp.asarray(_nearest(n, length, ratio), device=device(x))
            return xp.take(x, nearest, axis=axis)
        lower, upper, parts = _neighbours(n, length, ratio, self.align_corners)
        shape = (length,) + (1,) * (x.ndim - 1 - axis)
        weight = xp.reshape(xp.asarray(parts, dtype=x.dtype, device=device(x)), shape)
        below = xp.take(x, xp.asarray(lower, device=device(x)), axis=axis)
        above = xp.take(x, xp.asarray(upper, device=device(x)), axis=axis)
        return below * (1 - weight) + above * weight


@lru_cache(256)
def _nearest(
    n: int,
    length: int,
    ratio: Fraction,
) -> list[int]:
    """Return the index of the nearest element for each one of the output."""
    return [min(int(i * ratio), n - 1) for i in range(length)]


@lru_cache(256)
def _neighbours(
    n: int,
    length: int,
    ratio: Fraction,
    align_corners: bool,
) -> tuple[list[int], list[int], list[float]]:
    """Return the indices of the elements below and above each one of the output, and the part of
    the way from the first to the second.
    """
    half = Fraction(1, 2)
    if align_corners:
        step = Fraction(n - 1, length - 1) if length > 1 else Fraction(0)
        positions = [i * step for i in range(length)]
    else:
        positions = [max((i + half) * ratio - half, Fraction(0)) for i in range(length)]
    lower = [min(int(position), n - 1) for position in positions]
    upper = [min(i + 1, n - 1) for i in lower]
    parts = [float(position - i) for position, i in zip(positions, lower, strict=True)]
    return lower, upper, parts


def _each(name: str, value: Any, check: Callable[[str, Any], T]) -> T | tuple[T, ...]:
    """Return a checked setting: one value, or a tuple of one for each axis."""
    if isinstance(value, tuple | list):
        return tuple(check(name, part) for part in value)
    return check(name, value)


def _length(name: str, value: Any) -> int:
    return whole_number(name, value, 1)


def _scale(name: str, value: Any) -> float:
    scale: float = number(name, value)
    if not 0 < scale < math.inf:
        raise ArgumentError(f"{name} is {scale}: wanted a finite number above 0")
    return scale
