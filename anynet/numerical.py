"""Numerical differentiation: derivatives from differences, to learn from and to check the analytic
ones against.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from numbers import Real
from typing import Any, TypeVar, cast

from anynet import tree
from anynet.array import (
    Array,
    array_namespace,
    device,
    is_array,
    is_complex,
    is_floating,
    library_name,
    size,
    unrecorded,
)
from anynet.autodiff.reached import Guarded
from anynet.autodiff.tape import TRAINING
from anynet.errors import ArgumentError, DifferentiationError
from anynet.optimizers.schedules import check_learning_rate
from anynet.tracing.row_perturbation import RowPerturbation
from anynet.tracing.trace import Traced, wrap
from anynet.tracing.vectorize import Vectorizer

__all__ = [
    "central_difference",
    "forward_difference",
    "gradient_descent",
    "numerical_gradient",
    "partial_derivative",
]

T = TypeVar("T")

#: How many bytes of perturbed parameters are evaluated at a time unless the caller says otherwise.
MEMORY = 64 * 2**20


def forward_difference(f: Callable[[Any], Any], x: Any, step: float = 1e-6) -> Any:
    """Return (f(x + step) - f(x)) / step, off by a multiple of step; x is a number or an array,
    taken elementwise.

    Source: Deep Learning from Scratch, chapter 4.3.1.
    """
    return (f(x + step) - f(x)) / step


def central_difference(f: Callable[[Any], Any], x: Any, step: float = 1e-4) -> Any:
    """Return (f(x + step) - f(x - step)) / (2·step), off by a multiple of step²; x as in
    `forward_difference`.

    Source: Deep Learning from Scratch, chapter 4.3.1.
    """
    return (f(x + step) - f(x - step)) / (2 * step)


def partial_derivative(
    f: Callable[[Array], Array],
    x: Array,
    index: int | tuple[int, ...],
    step: float = 1e-4,
) -> Array:
    """Return the central difference of the scalar f(x) in the one element ``x[index]``, the others
    held.

    Source: Deep Learning from Scratch, chapter 4.3.3.
    """
    x = as_floating(x)
    xp = array_namespace(x)
    place = index if isinstance(index, tuple) else (index,)
    flat = 0
    for axis, (i, length) in enumerate(zip(place, x.shape, strict=True)):
        if not -length <= i < length:
            raise IndexError(
                f"index {index} is outside an array of shape {tuple(x.shape)}, in axis {axis}"
            )
        flat = flat * length + i % length
    there = xp.reshape(xp.arange(size(x), device=device(x)) == flat, x.shape)
    difference: Array = central_difference(lambda h: f(xp.where(there, x + h, x)), 0.0, step)
    return difference


def numerical_gradient(
    f: Callable[[T], Any],
    argument: T,
    *,
    step: float | None = None,
    memory: int = MEMORY,
) -> T:
    """Return the central difference of the scalar f(argument) in every element of every floating
    array in a tree.

    Element x moves by ±step·max(1, abs(x)), where step is the cube root of the dtype's epsilon
    unless given. Many elements are perturbed at a time, in copies of about ``memory`` bytes
    together, on the array's own device. A function that cannot be evaluated so, as one with ``if
    x[0] > 0`` or compiled code, is evaluated for one element after the other, with plain arrays,
    which it may write into. The gradient is a like tree, with None for arrays that are not floating
    or not trained; for a complex x + iy it is ∂f/∂x + i ∂f/∂y. An array of integers given alone is
    taken as floating. Source: Deep Learning from Scratch, chapter 4.4.

    Raises:
        DifferentiationError: f returns something other than a real scalar, or there is no array to
            differentiate with respect to.

    """
    if is_array(argument):
        argument = cast(T, as_floating(argument))
    leaves = [x for _, x in tree.leaves(argument)]
    if not any(is_floating(x) or is_complex(x) for x in leaves):
        raise DifferentiationError(
            f"nothing to differentiate with respect to: {type(argument).__name__} holds no floating "
            "array; give an array, as backend.asarray(2.0), or a network with its numbers"
        )
    chosen, guarded = iter(range(len(leaves))), Guarded(f)

    def gradient(x: Array) -> Array | None:
        i = next(chosen)
        return _gradient(
            lambda y: guarded([argument], [with_leaf(argument, i, y)], {}),
            unrecorded(x),
            step,
            memory,
        )

    return tree.map(gradient, argument, untrained=lambda x: next(chosen) and None)


def gradient_descent(
    f: Callable[[Array], Array],
    start: Array,
    learning_rate: float = 0.1,
    steps: int = 100,
    gradient: Callable[[Callable[[Array], Array], Array], Array] = numerical_gradient,
) -> Array:
    """Walk from ``start`` against the gradient of the scalar f and return the path, (steps + 1, …),
    in which each point has the shape of the start.

    Source: Deep Learning from Scratch, chapter 4.4.1.

    Raises:
        ArgumentError: a learning rate that is not a finite number above 0, or a negative number of
            steps.

    """
    check_learning_rate(learning_rate)
    if steps < 0:
        raise ArgumentError(f"steps is {steps}: wanted 0 or more")
    path = [as_floating(start)]
    for _ in range(steps):
        path.append(path[-1] - learning_rate * gradient(f, path[-1]))
    return array_namespace(start).stack(path)


def default_step(x: Array) -> float:
    """Return the cube root of the dtype's epsilon, where rounding and the step's own error
    balance.
    """
    return math.cbrt(array_namespace(x).finfo(x.dtype).eps)


def as_floating(x: Array) -> Array:
    """Return an array of integers as one of floating point, in float64 where there is one; others
    as they are.
    """
    xp = array_namespace(x)
    try:
        integral = xp.isdtype(x.dtype, "integral")
    except TypeError as error:
        # Other packages' dtypes, as bfloat16 in NumPy.
        raise DifferentiationError(
            f"an array of {x.dtype} was given, a dtype that {library_name(xp)} has no functions "
            "for: cast it first, as x.astype('float32')"
        ) from error
    if not integral:
        return x
    dtypes = xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating")
    return xp.astype(x, dtypes.get("float64", xp.float32))


def with_leaf(argument: T, place: int, x: Array) -> T:
    """Return the tree, in training, with ``x`` for the leaf at a place.

    The others are constants beside a traced one and copies beside a plain one, which a function may
    write into.
    """
    places = iter(range(place + 1))
    other = wrap if type(x) is Traced else _copy
    return tree.map(
        lambda leaf: x if next(places, None) == place else other(leaf),
        argument,
        defaults=TRAINING,
    )


def _copy(x: Array) -> Array:
    return array_namespace(x).asarray(unrecorded(x), copy=True)


def _gradient(f: Callable[[Any], Any], x: Array, step: float | None, memory: int) -> Array | None:
    xp = array_namespace(x)
    if is_complex(x):
        real, imag = xp.real(x), xp.imag(x)
        of_real = _of_leaf(
            lambda y: f(as_complex(y, imag, x)),
            real,
            step or default_step(real),
            memory,
        )
        of_imag = _of_leaf(
            lambda y: f(as_complex(real, y, x)),
            imag,
            step or default_step(imag),
            memory,
        )
        return as_complex(of_real, of_imag, x)
    return _of_leaf(f, x, step or default_step(x), memory) if is_floating(x) else None


def as_complex(real: Array, imag: Array, like: Array) -> Array:
    """Return real + i·imag, of a complex array's dtype."""
    xp = array_namespace(real, imag)
    return xp.astype(real, like.dtype) + 1j * xp.astype(imag, like.dtype)


def _of_leaf(f: Callable[[Any], Any], x: Array, step: float, memory: int) -> Array:
    xp = array_namespace(x)
    if size(x) == 0:
        return xp.zeros_like(x)
    found = None
    # What a function does not allow with many points at once, it may allow with one: a NumPy
    # function, a choice by a value. Its own errors come again below.
    with suppress(Exception):
        found = _at_many_points(f, x, step, memory)
    return _one_by_one(f, x, step) if found is None else found


def _at_many_points(f: Callable[[Any], Any], x: Array, step: float, memory: int) -> Array:
    """Perturb a block of elements at a time, each at a point of its own: whole rows, or a part of
    one long row.
    """
    xp = array_namespace(x)
    most = max(1, memory // (size(x) * _itemsize(x)))
    columns = x.shape[-1] if x.ndim else 1
    move = xp.reshape(_step(x, step), (-1, columns))
    height = max(1, most // columns)
    values: list[Array] = []
    for first in range(0, move.shape[0], height):
        moving = move[first : min(first + height, move.shape[0]), :]
        count = size(moving)
        width = min(count, most)
        for start in range(0, count, width):
            points = min(width, count - start)
            unit = xp.eye(points, count, k=start, dtype=x.dtype, device=device(x))
            change = xp.reshape(unit, (points, -1, columns)) * moving
            above = _values(f, RowPerturbation(x, first, change))
            if not values and type(x) is not Traced:
                _check_same(f, x, step, above[0])
            values.append(above - _values(f, RowPerturbation(x, first, -change)))
    return _quotient(xp.reshape(xp.concat(values), x.shape), x, step)


def _check_same(f: Callable[[Any], Any], x: Array, step: float, found: Any) -> None:
    """Check what was found at many points against the function of a plain array, which may go
    another way.
    """
    xp = array_namespace(x)
    first = xp.reshape(xp.arange(size(x), device=device(x)), x.shape) == 0
    try:
        alone = float(f(xp.where(first, x + _step(x, step), x)))
    except Exception:
        # It takes traced arrays only, as code that asks an array of PyTorch for its namespace.
        return
    value, eps = float(found), float(xp.finfo(x.dtype).eps)
    both_nan = math.isnan(alone) and math.isnan(value)
    if not both_nan and not math.isclose(alone, value, rel_tol=math.sqrt(eps), abs_tol=1e4 * eps):
        raise DifferentiationError(
            "the function of a plain array has another value, as where it asks for its type"
        )


def _values(f: Callable[[Any], Any], moved: RowPerturbation) -> Array:
    points = moved.shape[0]
    out = f(Vectorizer(points).variable(moved))
    _check_scalar(out)
    if not is_array(out):
        raise DifferentiationError("a number of Python's was taken out of arrays of many points")
    if type(out) is Traced:
        out = out.value
    return out if out.ndim else array_namespace(out).broadcast_to(out, (points,))


def _one_by_one(f: Callable[[Any], Any], x: Array, step: float) -> Array:
    xp = array_namespace(x)
    places = xp.reshape(xp.arange(size(x), device=device(x)), x.shape)
    move = _step(x, step)
    differences = []
    for i in range(size(x)):
        above, below = (
            f(xp.where(places == i, x + move, x)),
            f(xp.where(places == i, x - move, x)),
        )
        differences.append(_like(x, above) - _like(x, below))
    return _quotient(xp.reshape(xp.stack(differences), x.shape), x, step)


def _like(x: Array, out: Any) -> Array:
    """Return a scalar, also one of Python's or of another library, as an array of x's library."""
    _check_scalar(out)
    xp = array_namespace(x)
    if is_array(out) and array_namespace(out) is xp:
        return out
    return xp.asarray(float(out), dtype=x.dtype, device=device(x))


def _step(x: Array, step: float) -> Array:
    xp = array_namespace(x)
    return step * xp.maximum(xp.abs(x), xp.ones_like(x))


def _quotient(difference: Array, x: Array, step: float) -> Array:
    """Divide by how far apart the two points came to lie after rounding."""
    move = _step(x, step)
    return array_namespace(x).astype(difference / ((x + move) - (x - move)), x.dtype, copy=False)


def _itemsize(x: Array) -> int:
    return int(array_namespace(x).finfo(x.dtype).bits) // 8


def _check_scalar(out: Any) -> None:
    wanted = "a function to differentiate returns a scalar, such as a loss; this one returned"
    if is_array(out):
        if out.shape != ():
            raise DifferentiationError(
                f"{wanted} shape {tuple(out.shape)}: reduce it with sum() or mean()"
            )
        if is_complex(out):
            raise DifferentiationError(
                f"{wanted} a number of {out.dtype}: take its abs(), real() or imag()"
            )
    elif not isinstance(out, Real):
        raise DifferentiationError(f"{wanted} {out!r}: reduce it with sum() or mean()")
