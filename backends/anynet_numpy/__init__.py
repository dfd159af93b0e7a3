"""The NumPy backend: the library that is always there."""

from typing import Any

import array_api_compat.numpy
import numpy as np

from anynet.backend import Backend
from anynet.errors import BackendError
from anynet_numpy import images, kernels, parts
from anynet_numpy.memory import aligned

_KERNELS = kernels.KERNELS | images.KERNELS


def _functions(names: str, *others: Any) -> frozenset[Any]:
    named = [_KERNELS.get(name) or getattr(array_api_compat.numpy, name) for name in names.split()]
    return frozenset([*named, *others])


_IN_PLACE = _functions(
    "add divide exp log maximum multiply negative relu sqrt square subtract tanh", parts.above_zero, kernels.less_one_at
)
_INTO = _IN_PLACE | _functions(
    "conv2d conv2d_transposed matmul max_pool2d positive spread_to_largest", np.dot, np.maximum.reduce
)
_FRESH = _INTO | _functions(
    "adam_update affine batch_norm batch_norm_gradient conv2d_weight equal erf greater index_add less masked_softmax "
    "mean momentum_update not_equal pow relu_gradient scatter_add sgd_update softmax_cross_entropy standardize "
    "standardize_gradient sum sum_to",
    np.add.reduce,
    np.ndarray.take,
    kernels.places_of_labels,
)


class NumpyBackend(Backend):
    """NumPy on the CPU."""

    kernels = _KERNELS
    parts = parts.PARTS
    fresh = _FRESH
    into = _INTO
    in_place = _IN_PLACE

    def __init__(self, device: str = "") -> None:
        if device not in ("", "cpu"):
            raise BackendError(f"numpy has no device {device!r}; it has 'cpu': leave the device out")
        super().__init__(array_api_compat.numpy, "cpu")

    def from_array(self, x: Any) -> Any:
        """Take over any library's array, copied from its device where that is not the CPU."""
        return x if isinstance(x, np.ndarray | np.generic) else np.from_dlpack(x, device="cpu")

    def empty(self, shape: tuple[int, ...], dtype: Any, strides: Any) -> Any:
        """Put the axes in the order of the strides: sums of rows are rounded otherwise than sums of columns."""
        order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
        return aligned(tuple(shape[axis] for axis in order), dtype).transpose(np.argsort(order))
