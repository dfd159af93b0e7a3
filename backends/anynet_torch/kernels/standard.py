"""Functions of the standard, called without array-api-compat.

Its wrappers spend most of their time on promoting dtypes. Arrays of one dtype need no promotion.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_torch import devices
from anynet_torch.dtypes import is_integer, of_one_dtype

kernels = Kernels()

# PyTorch's functions of two arrays that follow the standard for arrays of one dtype.
_BINARY = """
    atan2 bitwise_and bitwise_or bitwise_xor copysign floor_divide greater greater_equal hypot
    less less_equal logaddexp maximum minimum nextafter not_equal remainder
""".split()
_WITH_SCALARS = ("add", "divide", "multiply", "pow", "subtract")
#: The functions of two arrays that write over an argument.
_IN_PLACE = {
    "add": torch.add,
    "divide": torch.div,
    "multiply": torch.mul,
    "subtract": torch.sub,
}

#: PyTorch's library multiplies this many columns at a time. A large matrix by fewer columns is
#: faster as the transposed product.
_COLUMNS, _LARGE = 16, 1 << 16


def _direct(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel for two arrays of one dtype."""

    def kernel(x1: Tensor, x2: Tensor) -> Any:
        if type(x1) is type(x2) is torch.Tensor and x1.dtype is x2.dtype:
            return function(x1, x2)
        return NotImplemented

    return kernel


def _direct_with_scalars(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel for two arrays of one dtype, or a floating array and a float."""

    def kernel(x1: Tensor, x2: Any) -> Any:
        if type(x1) is torch.Tensor:
            other = type(x2)
            if (other is torch.Tensor and x1.dtype is x2.dtype) or (
                other is float and x1.dtype.is_floating_point
            ):
                return function(x1, x2)
        return NotImplemented

    return kernel


def _lowering_to(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a lowering that calls one function."""
    return lambda emit, x1, x2: emit(function, x1, x2)


kernels.update({name: _direct(getattr(torch, name)) for name in _BINARY})
kernels.update({name: _direct_with_scalars(getattr(torch, name)) for name in _WITH_SCALARS})
kernels["equal"] = _direct(torch.eq)
kernels.declare(Aliasing.FRESH, *kernels.values())

for _name, _function in _IN_PLACE.items():
    kernels.lowering(kernels[_name])(_lowering_to(_function))
kernels.declare(Aliasing.IN_PLACE, *_IN_PLACE.values())
kernels.declare(Aliasing.OUT, torch.matmul)


def is_narrow(x1: Tensor, x2: Tensor) -> bool:
    """Return whether a product on a CPU has fewer columns than PyTorch's library takes at a
    time.
    """
    if x1.ndim != 2 or x2.ndim != 2 or x2.shape[1] >= _COLUMNS:
        return False
    return bool(x1.shape[0] * x1.shape[1] >= _LARGE and devices.device_type(x1) == "cpu")


@kernels.register(Aliasing.FRESH)
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """Multiply arrays of one dtype.

    A product with few columns is computed as the transposed one, up to four times as fast.
    """
    if x1.dtype is not x2.dtype:
        x1, x2 = of_one_dtype(x1, x2)
    return torch.mm(x2.mT, x1.mT).mT if is_narrow(x1, x2) else torch.matmul(x1, x2)


@kernels.lowering(matmul)
def lower_matmul(
    emit: Emit,
    x1: Tensor,
    x2: Tensor,
) -> Any:
    """Call PyTorch's function."""
    if x1.dtype is not x2.dtype or is_narrow(x1, x2):
        return NotImplemented
    return emit(torch.matmul, x1, x2)


@kernels.register(Aliasing.FRESH)
def sign(x: Tensor) -> Any:
    """Return NaN for NaN, where PyTorch returns 0."""
    return torch.where(x == x, torch.sign(x), x) if x.dtype.is_floating_point else NotImplemented


@kernels.register(Aliasing.FRESH)
def take(
    x: Tensor,
    indices: Tensor,
    *,
    axis: int | None = None,
) -> Any:
    """Index with a vector."""
    if axis is None or indices.ndim != 1 or not is_integer(indices):
        return NotImplemented
    # PyTorch reads bytes as a mask, and supports no other short integers.
    places = indices if indices.dtype in (torch.int32, torch.int64) else indices.long()
    return x[(slice(None),) * (axis % x.ndim) + (places,)]


@kernels.register(Aliasing.FRESH)
def take_along_axis(
    x: Tensor,
    indices: Tensor,
    *,
    axis: int = -1,
) -> Any:
    """Convert indices to int64, which PyTorch requires."""
    if not is_integer(indices):
        return NotImplemented
    return torch.take_along_dim(x, indices.long(), dim=axis)


@kernels.register(Aliasing.FRESH)
def where(
    condition: Tensor,
    x1: Tensor,
    x2: Tensor,
) -> Any:
    """Select from arrays of one dtype."""
    if type(x1) is type(x2) is torch.Tensor and x1.dtype is x2.dtype:
        return torch.where(condition, x1, x2)
    return NotImplemented
