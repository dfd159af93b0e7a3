"""CuPy's kernels: element-wise steps that the references take in several launches, in one launch
each.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from anynet.primitives.update import by_parameter, in_turn
from anynet_cupy.elementwise import declared, elementwise
from anynet_cupy.product import (
    matmul,
    matrix_power,
    sums,
    tensordot,
    vecdot,
)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Take the larger, then the smaller of two: the wrapper of the standard reads masks, which
    waits for the GPU.
    """
    import cupy

    if x.dtype.kind != "f" or (min is None and max is None):
        return NotImplemented
    for function, limit in ((cupy.maximum, min), (cupy.minimum, max)):
        x = x if limit is None else function(x, _of(x.dtype, limit))
    return x


def erf(x: Any) -> Any:
    """CUDA's own, in one launch."""
    return elementwise("erf")(x) if declared("erf", x) else NotImplemented


def relu(x: Any) -> Any:
    """One launch instead of two."""
    return elementwise("relu")(x) if declared("relu", x) else NotImplemented


def relu_gradient(g: Any, y: Any) -> Any:
    """One launch instead of three."""
    return elementwise("relu_gradient")(g, y) if declared("relu_gradient", g, y) else NotImplemented


#: Classes among which every thread may look.
_CLASSES = 256

#: Elements that 32 bits do not count.
_COUNTED = 1 << 31


def _each(name: str, numbers: Sequence[float], count: int, arrays: tuple[Any, ...]) -> Any:
    """Update every parameter in one launch; the numbers come after its arrays."""
    found = []
    for given in by_parameter(count, arrays):
        if not declared(name, *given):
            return NotImplemented
        dtype = given[0].dtype
        out = elementwise(name)(*given, *(_of(dtype, number) for number in numbers))
        found.append(out if isinstance(out, tuple) else (out,))
    return in_turn(found)


def _of(dtype: Any, number: Any) -> Any:
    """Return a number of a dtype; in a graph it is an array without axes."""
    return number.astype(dtype, copy=False) if hasattr(number, "astype") else dtype.type(number)


def sgd_update(learning_rate: float, *arrays: Any) -> Any:
    """One launch instead of two."""
    return _each("sgd_update", (learning_rate,), 2, arrays)


def momentum_update(learning_rate: float, momentum: float, nesterov: bool, *arrays: Any) -> Any:
    """One launch instead of four or six."""
    return _each("momentum_update", (learning_rate, momentum, nesterov), 3, arrays)


def adam_update(
    rate: float,
    correction: float,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    *arrays: Any,
) -> Any:
    """One launch instead of fourteen."""
    return _each(
        "adam_update",
        (rate, correction, decay, beta1, beta2, epsilon),
        4,
        arrays,
    )


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """Two launches instead of fifteen, where classes are few."""
    import cupy

    fits = (
        logits.ndim == 2 and labels.ndim == 1 and 0 < logits.shape[-1] <= _CLASSES and len(logits)
    )
    if not fits or not declared("cross_entropy", logits, L=labels):
        return NotImplemented
    logits = cupy.ascontiguousarray(logits)
    rows, classes = logits.shape
    numbers = classes, logits.dtype.type(1 / rows)
    difference, surprise = elementwise("cross_entropy")(logits, logits, labels[:, None], *numbers)
    return cupy.sum(surprise), difference


def index_add(g: Any, indices: Any, axis: int, length: int) -> Any:
    """Add slices where their index says, see `scatter_add`."""
    return scatter_add(
        g,
        indices.reshape(-1, *(1 for _ in g.shape[axis + 1 :])),
        axis,
        length,
    )


def scatter_add(g: Any, indices: Any, axis: int, length: int) -> Any:
    """Add elements where their index says, in one launch.

    They are added in any order: the last bits of a sum may differ from call to call.
    """
    import cupy

    axis %= g.ndim
    if g.dtype.kind == "c":
        # The real and the imaginary parts are beside each other.
        parts = cupy.ascontiguousarray(g)[..., None].view(g.real.dtype)
        out = scatter_add(parts, indices[..., None], axis, length)
        return out if out is NotImplemented else out.view(g.dtype)[..., 0]
    if not declared("scatter_add", g, L=indices) or max(g.size, length) >= _COUNTED:
        return NotImplemented
    after = g.shape[axis + 1 :]
    out = cupy.zeros((*g.shape[:axis], length, *after), g.dtype)
    return elementwise("scatter_add")(
        cupy.ascontiguousarray(g),
        indices,
        g.shape[axis],
        math.prod(after),
        length,
        out,
    )


def sum(x: Any, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Sum a matrix to one row."""
    plain = (
        x.ndim == 2
        and axis in (0, (0,))
        and dtype is None
        and not keepdims
        and x.dtype.char in "fd"
    )
    return sums(x, 0) if plain else NotImplemented


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a matrix to one row, as for the bias of a layer."""
    return sum(g, axis=0) if shape == g.shape[1:] else NotImplemented


def threefry(key: Any, x0: Any, x1: Any) -> Any:
    """One launch instead of 180."""
    if not declared("threefry", key, x0, x1):
        return NotImplemented
    return elementwise("threefry")(key[0:1], key[1:2], x0, x1)


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        adam_update,
        clip,
        erf,
        index_add,
        matmul,
        momentum_update,
        relu,
        relu_gradient,
        scatter_add,
        sgd_update,
        softmax_cross_entropy,
        sum,
        sum_to,
        tensordot,
        threefry,
        vecdot,
    )
} | {"linalg.matrix_power": matrix_power}
