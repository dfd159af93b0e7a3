"""What kernels come down to: NumPy's own calls, one after the other.

A compiled step makes these in a kernel's place; ``do(function, *args)`` stands for each. What a
kernel looks at every time is known then, for it has not declined, and where results go is the
recording's to choose. To the last bit they compute what the kernel does.
"""

from collections.abc import Callable, Iterable
from operator import truediv
from typing import Any

import array_api_compat.numpy
import numpy as np

from anynet.compiler.recorder import value_of
from anynet.primitives.update import by_parameter
from anynet.tracing.standard import CHAPTERS
from anynet_numpy import images, kernels
from anynet_numpy.kernels import KERNELS, MOST_ZEROS, ZERO, ones, zeros
from anynet_numpy.memory import BLOCK, LEAST

Do = Callable[..., Any]

_largest, _sum, _at, _transpose = (
    np.maximum.reduce,
    np.add.reduce,
    np.ndarray.take,
    np.ndarray.transpose,
)


def matmul(do: Do, x1: Any, x2: Any) -> Any:
    """Multiply; where results are large, the kernel knows of memory that was used before."""
    small = x1.ndim == x2.ndim == 2 and x1.shape[0] * x2.shape[1] * x1.dtype.itemsize < LEAST
    return do(
        np.dot if small and x1.dtype in ZERO and x1.dtype == x2.dtype else kernels.matmul,
        x1,
        x2,
    )


def affine(do: Do, x: Any, weight: Any, bias: Any) -> Any:
    """Multiply and add."""
    y = matmul(do, x, weight)
    return y if bias is None else do(np.add, y, bias)


def relu(do: Do, x: Any) -> Any:
    """Compare with as many zeros; what is large, or in another order, is left to the kernel."""
    if x.size > MOST_ZEROS or not value_of(x).flags.c_contiguous:
        return NotImplemented
    return do(np.maximum, x, zeros(x.shape, x.dtype.char))


def relu_gradient(do: Do, g: Any, y: Any) -> Any:
    """Multiply by a mask."""
    return do(np.multiply, g, do(above_zero, y))


def above_zero(x: Any, out: Any = None) -> Any:
    """Return ones where x is above zero, of its dtype."""
    return np.greater(x, ZERO[x.dtype], out=np.empty_like(x) if out is None else out)


def softmax_cross_entropy(do: Do, logits: Any, labels: Any) -> Any:
    """Work on the transposed logits."""
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
    """Multiply and subtract, what is large in blocks."""
    rate = do(np.array, learning_rate, arrays[0].dtype)
    return tuple(
        [
            do(kernels.descended, p, g, rate)
            if p.size > BLOCK
            else do(np.subtract, p, do(np.multiply, g, rate))
            for p, g in by_parameter(2, arrays)
        ]
    )


def sum_to(do: Do, g: Any, shape: tuple[int, ...]) -> Any:
    """Multiply with ones."""
    return do(np.dot, ones(g.shape[0], g.dtype.char), g)


def matrix_transpose(do: Do, x: Any) -> Any:
    """Ask the array itself."""
    return do(_transpose, x) if x.ndim == 2 else NotImplemented


PARTS: dict[Callable[..., Any], Callable[..., Any]] = {
    KERNELS[function.__name__]: function
    for function in (
        affine,
        matmul,
        matrix_transpose,
        relu,
        relu_gradient,
        sgd_update,
        softmax_cross_entropy,
        sum_to,
    )
}


def _functions(names: Iterable[str], *others: Any) -> frozenset[Any]:
    named = [
        (KERNELS | images.KERNELS).get(name) or getattr(array_api_compat.numpy, name)
        for name in names
    ]
    return frozenset([*named, *others])


_UFUNCS = [
    name
    for name in CHAPTERS["elementwise"]
    if isinstance(getattr(array_api_compat.numpy, name), np.ufunc)
]

#: See `anynet.backend.Backend`.
IN_PLACE = _functions([*_UFUNCS, "relu"], above_zero, kernels.descended, kernels.less_one_at)
INTO = IN_PLACE | _functions(
    "conv2d conv2d_input_gradient matmul max_pool2d max_pool2d_gradient".split(),
    np.dot,
    _largest,
)
FRESH = INTO | _functions(
    """
    adam_update affine batch_norm batch_norm_gradient conv2d_weight_gradient embedding erf index_add masked_softmax mean
    momentum_update relu_gradient scatter_add sgd_update softmax_cross_entropy standardize standardize_gradient sum
    sum_to threefry
    """.split(),
    _sum,
    _at,
    kernels.places_of_labels,
)
