"""Rules and decompositions of the standard's Fourier transforms.

The discrete Fourier transform is a symmetric matrix, so the rule is the transform itself.
"""

from collections.abc import Sequence
from typing import Any

from anynet.array import Array, Namespace, device, is_complex
from anynet.autodiff.rules.table import Table
from anynet.errors import DifferentiationError, ShapeError

RULES = rule = Table("fft.")
DECOMPOSITIONS = decomposition = Table("fft.")

_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _resize(
    xp: Namespace,
    x: Array,
    n: int | None,
    axis: int,
) -> Array:
    """Cut an axis off after n elements, or pad it with zeros."""
    length = x.shape[axis]
    if n is None or n == length:
        return x
    before = (slice(None),) * (axis % x.ndim)
    if n < length:
        return x[(*before, slice(0, n), ...)]
    shape = list(x.shape)
    shape[axis] = n - length
    zeros = xp.zeros(tuple(shape), dtype=x.dtype, device=device(x))
    return xp.concat([x, zeros], axis=axis)


@rule
def fft(
    xp: Namespace,
    out: Array,
    x: Array,
    /,
    *,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Any:
    length = x.shape[axis]
    return lambda g: _resize(xp, xp.fft.fft(g, axis=axis, norm=norm), length, axis)


@rule
def ifft(
    xp: Namespace,
    out: Array,
    x: Array,
    /,
    *,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Any:
    length = x.shape[axis]
    return lambda g: _resize(xp, xp.fft.ifft(g, axis=axis, norm=norm), length, axis)


def _complex(xp: Namespace, x: Array) -> Array:
    if is_complex(x):
        return x
    return xp.astype(x, xp.complex128 if x.dtype == xp.float64 else xp.complex64)


def _sizes(
    x: Array,
    s: Sequence[int] | None,
    axes: Sequence[int] | None,
) -> list[tuple[int, int | None]]:
    """Return (axis, length) for each axis of a transform. None keeps the length."""
    if axes is None:
        axes = tuple(range(x.ndim)) if s is None else tuple(range(-len(s), 0))
    if s is not None and len(s) != len(axes):
        raise ShapeError(
            f"s is {tuple(s)} for the axes {tuple(axes)}: wanted one length for each axis"
        )
    lengths = s if s is not None else (None,) * len(axes)
    return list(zip(axes, lengths, strict=True))


@decomposition
def fftn(
    xp: Namespace,
    x: Array,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Array:
    for axis, n in _sizes(x, s, axes):
        x = xp.fft.fft(x, n=n, axis=axis, norm=norm)
    return x


@decomposition
def ifftn(
    xp: Namespace,
    x: Array,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Array:
    for axis, n in _sizes(x, s, axes):
        x = xp.fft.ifft(x, n=n, axis=axis, norm=norm)
    return x


@decomposition
def rfft(
    xp: Namespace,
    x: Array,
    /,
    *,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Array:
    if is_complex(x):
        raise DifferentiationError(
            f"rfft: {x.dtype} was given: wanted a real dtype; fft takes complex arrays"
        )
    n = x.shape[axis] if n is None else n
    full = xp.fft.fft(
        _complex(xp, x),
        n=n,
        axis=axis,
        norm=norm,
    )
    return _resize(xp, full, n // 2 + 1, axis)


@decomposition
def irfft(
    xp: Namespace,
    x: Array,
    /,
    *,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Array:
    """Add the other half of the spectrum, which is the conjugate of the first."""
    n = 2 * (x.shape[axis] - 1) if n is None else n
    if n < 1:
        raise ShapeError(
            f"irfft: n is {n} for shape {tuple(x.shape)}: wanted at least 1, the length of the "
            "result"
        )
    x = _resize(xp, _complex(xp, x), n // 2 + 1, axis)
    before = (slice(None),) * (axis % x.ndim)
    other = xp.conj(xp.flip(x[(*before, slice(1, (n + 1) // 2), ...)], axis=axis))
    return xp.real(xp.fft.ifft(xp.concat([x, other], axis=axis), axis=axis, norm=norm))


@decomposition
def rfftn(
    xp: Namespace,
    x: Array,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Array:
    *others, (last, n) = _sizes(x, s, axes)
    x = xp.fft.rfft(x, n=n, axis=last, norm=norm)
    for axis, length in others:
        x = xp.fft.fft(x, n=length, axis=axis, norm=norm)
    return x


@decomposition
def irfftn(
    xp: Namespace,
    x: Array,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Array:
    *others, (last, n) = _sizes(x, s, axes)
    for axis, length in others:
        x = xp.fft.ifft(x, n=length, axis=axis, norm=norm)
    return xp.fft.irfft(x, n=n, axis=last, norm=norm)


@decomposition
def hfft(
    xp: Namespace,
    x: Array,
    /,
    *,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Array:
    return xp.fft.irfft(
        xp.conj(_complex(xp, x)),
        n=n,
        axis=axis,
        norm=_SWAPPED[norm],
    )


@decomposition
def ihfft(
    xp: Namespace,
    x: Array,
    /,
    *,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Array:
    return xp.conj(xp.fft.rfft(x, n=n, axis=axis, norm=_SWAPPED[norm]))


@decomposition
def fftshift(
    xp: Namespace,
    x: Array,
    /,
    *,
    axes: int | Sequence[int] | None = None,
) -> Array:
    every = _every(x, axes)
    return xp.roll(
        x,
        tuple(x.shape[i] // 2 for i in every),
        axis=every,
    )


@decomposition
def ifftshift(
    xp: Namespace,
    x: Array,
    /,
    *,
    axes: int | Sequence[int] | None = None,
) -> Array:
    every = _every(x, axes)
    return xp.roll(
        x,
        tuple(-(x.shape[i] // 2) for i in every),
        axis=every,
    )


def _every(x: Array, axes: int | Sequence[int] | None) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(x.ndim))
    return (axes,) if isinstance(axes, int) else tuple(axes)
