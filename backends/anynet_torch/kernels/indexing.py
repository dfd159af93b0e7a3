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
def getitem(x: Tensor, key: Any) -> Any:
    """Read a slice that runs backwards, which PyTorch refuses, forwards, and turn it round."""
    forwards, flipped = _forwards(key, x.shape)
    return x[key] if not flipped else x[forwards].flip(flipped)


@kernels.register()
def place(g: Tensor, key: Any, shape: tuple[int, ...]) -> Any:
    """Set a slice of zeros, also one that runs backwards."""
    # None adds axes when an array is read, and has no place where it is written.
    forwards, flipped = _forwards(tuple(part for part in _parts(key) if part is not None), shape)
    out = g.new_zeros(shape)
    there = out[forwards]
    there.copy_(g.reshape(there.shape).flip(flipped) if flipped else g.reshape(there.shape))
    return out


@kernels.register(Aliasing.FRESH)
def index_add(g: Tensor, indices: Tensor, axis: int, length: int) -> Any:
    """Add slices where their index says."""
    out = g.new_zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]))
    places = indices if indices.dtype in (torch.int32, torch.int64) else indices.long()
    return out.index_add_(axis, places % length, g)


@kernels.register(Aliasing.FRESH)
def scatter_add(g: Tensor, indices: Tensor, axis: int, length: int) -> Any:
    """Add elements where their index says."""
    axis %= g.ndim
    out = g.new_zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]))
    return out.scatter_add_(axis, indices.long().expand(g.shape) % length, g)


@kernels.register()
def sum_to(g: Tensor, shape: tuple[int, ...]) -> Any:
    """Sum a matrix to one row on a GPU, as for the bias of a layer: a product with ones is quicker
    than a reduction.
    """
    # On a CPU it is declined in every step: the first question decides.
    if (
        devices.device_type(g) != "cuda"
        or g.ndim != 2
        or shape != g.shape[1:]
        or g.dtype not in WIDE
        or not len(g)
    ):
        return NotImplemented
    return torch.mv(g.mT, ones(len(g), g.dtype, g.device))


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _forwards(key: Any, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], list[int]]:
    """Return the key with all steps above 0, and the axes of the result to turn round."""
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
                places = range(shape[axis])[part]
                part = slice(places[-1], places[0] + 1, -part.step) if places else slice(0, 0)
                flipped.append(result_axis)
            axis, result_axis = axis + 1, result_axis + 1
        elif part is None:
            result_axis += 1
        else:
            axis += 1
        new.append(part)
    return tuple(new), flipped
