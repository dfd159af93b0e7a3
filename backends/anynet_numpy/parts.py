"""What kernels come down to: NumPy's own calls, one after the other.

A compiled step makes these in a kernel's place; ``do(function, *args)`` stands for each. What a kernel has to look at
every time is known then, and where results go is the recording's to choose. To the last bit they compute what the
kernel does.
"""

from collections.abc import Callable
from math import prod
from operator import truediv
from typing import Any

import numpy as np

from anynet.primitives.update import by_parameter
from anynet_numpy import kernels
from anynet_numpy.kernels import KERNELS, MOST_ZEROS, ZERO, ones, zeros
from anynet_numpy.memory import BLOCK, LEAST

Do = Callable[..., Any]

_largest, _sum, _at, _transpose = np.maximum.reduce, np.add.reduce, np.ndarray.take, np.ndarray.transpose


def matmul(do: Do, x1: Any, x2: Any) -> Any:
    """Multiply; where results are large, the kernel knows of memory that was used before."""
    small = x1.ndim == x2.ndim == 2 and x1.shape[0] * x2.shape[1] * x1.dtype.itemsize < LEAST
    return do(np.dot if small and x1.dtype in ZERO and x1.dtype == x2.dtype else kernels.matmul, x1, x2)


def affine(do: Do, x: Any, weight: Any, bias: Any) -> Any:
    """Multiply and add."""
    y = matmul(do, x, weight)
    return y if bias is None else do(np.add, y, bias)


def relu(do: Do, x: Any) -> Any:
    """Compare with as many zeros; what is large, or in another order, is left to the kernel."""
    if x.dtype not in ZERO or x.size > MOST_ZEROS or not getattr(x, "value", x).flags.c_contiguous:
        return NotImplemented
    return do(np.maximum, x, zeros(x.shape, x.dtype.char))


def relu_gradient(do: Do, g: Any, y: Any) -> Any:
    """Multiply by a mask."""
    if y.dtype not in ZERO or g.dtype != y.dtype or not y.ndim:
        return NotImplemented
    return do(np.multiply, g, do(above_zero, y))


def above_zero(x: Any, out: Any = None) -> Any:
    """Return ones where x is above zero, of its dtype."""
    return np.greater(x, ZERO[x.dtype], out=np.empty_like(x) if out is None else out)


def softmax_cross_entropy(do: Do, logits: Any, labels: Any) -> Any:
    """Work on the transposed logits."""
    if logits.dtype not in ZERO or labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        return NotImplemented
    rows, classes = logits.shape
    places = do(kernels.places_of_labels, labels, classes)
    shifted = do(np.positive, do(_transpose, logits), order="C")
    shifted = do(np.subtract, shifted, do(_largest, shifted))
    at_labels = do(_at, shifted, places)
    exponentials = do(np.exp, shifted)
    total = do(np.dot, ones(classes, logits.dtype.char), exponentials)
    difference = do(kernels.less_one_at, do(np.divide, exponentials, total), places)
    losses = do(np.subtract, do(np.log, total), at_labels)
    return do(truediv, do(_sum, losses), rows), do(_transpose, difference)


def sgd_update(do: Do, learning_rate: float, *arrays: Any) -> Any:
    """Multiply and subtract; large arrays are left to the kernel and its blocks."""
    dtype = arrays[0].dtype
    if any(x.dtype != dtype or not x.ndim or prod(x.shape) > BLOCK for x in arrays):
        return NotImplemented
    rate = do(np.array, learning_rate, dtype)
    return tuple([do(np.subtract, p, do(np.multiply, g, rate)) for p, g in by_parameter(2, arrays)])


def sum_to(do: Do, g: Any, shape: tuple[int, ...]) -> Any:
    """Multiply with ones."""
    if g.ndim != 2 or shape != g.shape[1:] or g.dtype not in ZERO:
        return NotImplemented
    return do(np.dot, ones(g.shape[0], g.dtype.char), g)


def matrix_transpose(do: Do, x: Any) -> Any:
    """Ask the array itself."""
    return do(_transpose, x) if x.ndim == 2 else NotImplemented


PARTS: dict[Callable[..., Any], Callable[..., Any]] = {
    KERNELS[function.__name__]: function
    for function in (affine, matmul, matrix_transpose, relu, relu_gradient, sgd_update, softmax_cross_entropy, sum_to)
}
