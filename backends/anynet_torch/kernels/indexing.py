"""Slices, additions at indices, and sums over broadcast axes."""

from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet_torch import devices
from anynet_torch.constants import ones
from anynet_torch.dtypes import WIDE

kernels = Kernels()


@kernels.register()
def getitem(x: Tensor, key: Any) -> Tensor:
    """Read a slice with a negative step forwards and flip it, since PyTorch has no such slices."""
    forwards, flipped = _forwards(key, x.shape)
    return x[forwards].flip(flipped) if flipped else x[key]


@kernels.register(Aliasing.FRESH)
def place(
    g: Tensor,
    key: Any,
    shape: tuple[int, ...],
) -> Tensor:
    """Set a slice of zeros, also one with a negative step."""
    # None adds an axis when an array is read, and has no meaning when it is written.
    written = tuple(part for part in _parts(key) if part is not None)
    forwards, flipped = _forwards(written, shape)
    out = g.new_zeros(shape)
    target = out[forwards]
    values = g.reshape(target.shape)
    target.copy_(values.flip(flipped) if flipped else values)
    return out


@kernels.register(Aliasing.FRESH)
def index_add(
    g: Tensor,
    indices: Tensor,
    axis: int,
    length: int,
) -> Tensor:
    """Add slices at their indices."""
    out = g.new_zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]))
    places = indices if indices.dtype in (torch.int32, torch.int64) else indices.long()
    return out.index_add_(axis, places % length, g)


@kernels.register(Aliasing.FRESH)
def scatter_add(
    g: Tensor,
    indices: Tensor,
    axis: int,
    length: int,
) -> Tensor:
    """Add elements at their indices."""
    axis %= g.ndim
    out = g.new_zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]))
    places = indices.long().expand(g.shape) % length
    return out.scatter_add_(axis, places, g)


@kernels.register(Aliasing.FRESH)
def sum_to(g: Tensor, shape: tuple[int, ...]) -> Any:
    """Sum a matrix to one row on a GPU by a product with ones, which is faster than a reduction."""
    # Every step on a CPU comes here, so the device is checked first.
    if devices.device_type(g) != "cuda" or g.ndim != 2 or shape != g.shape[1:]:
        return NotImplemented
    if g.dtype not in WIDE or not len(g):
        return NotImplemented
    return torch.mv(g.mT, ones(len(g), g.dtype, g.device))


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _forwards(key: Any, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], list[int]]:
    """Return the key with all steps above 0, and the axes of the result to flip."""
    parts = _parts(key)
    missing = len(shape) - sum(part is not None and part is not Ellipsis for part in parts)
    new: list[Any] = []
    flipped = []
    axis = result_axis = 0
    for part in parts:
        if part is Ellipsis:
            axis, result_axis = axis + missing, result_axis + missing
        elif isinstance(part, slice):
            if part.step is not None and part.step < 0:
                part = _reversed(part, shape[axis])
                flipped.append(result_axis)
            axis, result_axis = axis + 1, result_axis + 1
        elif part is None:
            result_axis += 1
        else:
            axis += 1
        new.append(part)
    return tuple(new), flipped


def _reversed(part: slice, length: int) -> slice:
    """Return the slice that reads the same elements forwards."""
    places = range(length)[part]
    return slice(places[-1], places[0] + 1, -part.step) if places else slice(0, 0)
