"""Functions of the standard, called without array-api-compat.

Its wrappers spend most of their time on bringing two arrays to one dtype. Arrays of one dtype do not
need them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_torch import devices
from anynet_torch.dtypes import is_integer, of_one_dtype

kernels = Kernels()

# PyTorch's functions of two arrays that do as the standard says, once the dtypes are the same.
_OF_TWO = """
    atan2 bitwise_and bitwise_or bitwise_xor copysign floor_divide greater greater_equal hypot less less_equal logaddexp
    maximum minimum nextafter not_equal remainder
""".split()


_WITH_NUMBERS = ("add", "divide", "multiply", "pow", "subtract")


def _direct(function: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(x1: Tensor, x2: Tensor) -> Any:
        if type(x1) is type(x2) is torch.Tensor and x1.dtype is x2.dtype:
            return function(x1, x2)
        return NotImplemented

    return kernel


def _direct_with_numbers(
    function: Callable[..., Any],
) -> Callable[..., Any]:
    def kernel(x1: Tensor, x2: Tensor) -> Any:
        if type(x1) is torch.Tensor:
            other = type(x2)
            if (other is torch.Tensor and x1.dtype is x2.dtype) or (
                other is float and x1.dtype.is_floating_point
            ):
                return function(x1, x2)
        return NotImplemented

    return kernel


#: The columns that PyTorch's library multiplies at a time. A large matrix by fewer columns is faster
#: as the transposed product.
_COLUMNS, _LARGE = 16, 1 << 16


def is_narrow(x1: Tensor, x2: Tensor) -> bool:
    """Tell whether a product on a CPU has few columns, fewer than what PyTorch's library multiplies
    at a time.
    """
    if x1.ndim != 2 or x2.ndim != 2 or x2.shape[1] >= _COLUMNS:
        return False
    return bool(x1.shape[0] * x1.shape[1] >= _LARGE and devices.device_type(x1) == "cpu")


@kernels.register(Aliasing.FRESH)
def matmul(x1: Tensor, x2: Tensor) -> Any:
    """Multiply arrays of one dtype; few columns are rows of the transposed product, up to four
    times as quick.
    """
    if x1.dtype is not x2.dtype:
        x1, x2 = of_one_dtype(x1, x2)
    return torch.mm(x2.mT, x1.mT).mT if is_narrow(x1, x2) else torch.matmul(x1, x2)


@kernels.lowering(matmul)
def lower_matmul(emit: Emit, x1: Tensor, x2: Tensor) -> Any:
    """Multiply."""
    return (
        NotImplemented
        if x1.dtype is not x2.dtype or is_narrow(x1, x2)
        else emit(torch.matmul, x1, x2)
    )


@kernels.register()
def sign(x: Tensor) -> Any:
    """Take the sign of floating numbers, keeping what is not a number."""
    return torch.where(x == x, torch.sign(x), x) if x.dtype.is_floating_point else NotImplemented


@kernels.register()
def take(x: Tensor, indices: Tensor, *, axis: int | None = None) -> Any:
    """Index, where the indices have one axis."""
    if axis is None or indices.ndim != 1 or not is_integer(indices):
        return NotImplemented
    # PyTorch takes bytes for a mask, and no other short integers.
    places = indices if indices.dtype in (torch.int32, torch.int64) else indices.long()
    return x[(slice(None),) * (axis % x.ndim) + (places,)]


@kernels.register()
def take_along_axis(x: Tensor, indices: Tensor, *, axis: int = -1) -> Any:
    """Take indices of every integer dtype; PyTorch wants int64."""
    return (
        torch.take_along_dim(x, indices.long(), dim=axis) if is_integer(indices) else NotImplemented
    )


@kernels.register()
def where(condition: Tensor, x1: Tensor, x2: Tensor) -> Any:
    """Choose between arrays of one dtype."""
    if type(x1) is type(x2) is torch.Tensor and x1.dtype is x2.dtype:
        return torch.where(condition, x1, x2)
    return NotImplemented


def _same(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda emit, x1, x2: emit(function, x1, x2)


kernels.update({name: _direct(getattr(torch, name)) for name in _OF_TWO})
kernels.update({name: _direct_with_numbers(getattr(torch, name)) for name in _WITH_NUMBERS})
kernels["equal"] = _direct(torch.eq)

for _name, _function in (
    ("add", torch.add),
    ("divide", torch.div),
    ("multiply", torch.mul),
    ("subtract", torch.sub),
):
    kernels.lowering(kernels[_name])(_same(_function))
    kernels.declare(Aliasing.IN_PLACE, _function)
kernels.declare(Aliasing.OUT, torch.addmm, torch.matmul)
