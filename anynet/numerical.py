"""Numerical differentiation: derivatives from differences, against which analytic ones are
checked.
"""

import math
from collections.abc import Callable
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
from anynet.errors import AnynetError, ArgumentError, DifferentiationError
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

#: The default number of bytes of perturbed parameters that are evaluated at a time.
MEMORY = 64 * 2**20


def forward_difference(
    f: Callable[[Any], Any],
    x: Any,
    step: float = 1e-6,
) -> Any:
    """Return the forward difference (f(x + step) - f(x)) / step, whose error grows with step.

    Args:
        f: an elementwise function.
        x: a scalar or an array.
        step: the distance between the points.

    >>> round(anynet.numerical.forward_difference(lambda x: x * x, 3.0), 4)
    6.0

    Source: Deep Learning from Scratch, chapter 4.3.1.

    """
    return (f(x + step) - f(x)) / step


def central_difference(
    f: Callable[[Any], Any],
    x: Any,
    step: float = 1e-4,
) -> Any:
    """Return the central difference (f(x + step) - f(x - step)) / (2·step), whose error grows with
    step².

    Args:
        f: an elementwise function.
        x: a scalar or an array.
        step: half the distance between the points.

    >>> round(anynet.numerical.central_difference(lambda x: x * x, 3.0), 6)
    6.0

    Source: Deep Learning from Scratch, chapter 4.3.1.

    """
    return (f(x + step) - f(x - step)) / (2 * step)


def partial_derivative(
    f: Callable[[Array], Array],
    x: Array,
    index: int | tuple[int, ...],
    step: float = 1e-4,
) -> Array:
    """Return the central difference of the scalar f(x) in one element of x, as an array of no axes.

    Args:
        f: returns a scalar.
        x: an array. One of integers is taken as floating.
        index: the index of the element.
        step: half the distance between the points.

    Raises:
        IndexError: x has no such element.

    >>> x = np.asarray([3.0, 4.0])
    >>> round(float(anynet.numerical.partial_derivative(lambda x: (x**2).sum(), x, 1)), 6)
    8.0

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
    chosen = xp.reshape(xp.arange(size(x), device=device(x)) == flat, x.shape)
    difference: Array = central_difference(
        lambda h: f(xp.where(chosen, x + h, x)),
        0.0,
        step,
    )
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

    Element x moves by ±step·max(1, abs(x)). Many elements are perturbed at a time, on the array's
    device. A function that does not permit this, such as one with ``if x[0] > 0`` or compiled code,
    is evaluated for one element after the other. It then gets plain arrays, which it may change.

    Args:
        f: returns a real scalar.
        argument: an array, or a tree of arrays such as a network. An array of integers is taken as
            floating.
        step: the relative step, default the cube root of the dtype's epsilon.
        memory: about how many bytes the perturbed copies may take.

    Returns:
        A tree with the structure of the argument. It has None for arrays that are not floating or
        not trained. For a complex x + iy it has ∂f/∂x + i ∂f/∂y.

    Raises:
        DifferentiationError: f returns no real scalar, or the argument has no floating array.

    >>> gradient = anynet.numerical_gradient(lambda x: (x**2).sum(), np.asarray([3.0, 4.0]))
    >>> gradient.round(6)
    array([6., 8.])

    Source: Deep Learning from Scratch, chapter 4.4.

    """
    if is_array(argument):
        argument = cast(T, as_floating(argument))
    leaves = [x for _, x in tree.leaves(argument)]
    if not any(is_floating(x) or is_complex(x) for x in leaves):
        raise DifferentiationError(
            f"nothing to differentiate with respect to: {type(argument).__name__} holds no "
            "floating array; give an array, as backend.asarray(2.0), or an initialized network"
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
    """Return the path of gradient descent on the scalar f, (steps + 1, …).

    Each point is x ← x - learning_rate · ∇f(x) of the one before.

    Args:
        f: returns a scalar.
        start: the first point, of any shape.
        learning_rate: a finite value above 0.
        steps: 0 or more.
        gradient: a function of f and a point that returns the gradient.

    Raises:
        ArgumentError: the learning rate or the number of steps is out of range.

    >>> path = anynet.numerical.gradient_descent(lambda x: (x**2).sum(), np.asarray([4.0]), 0.25, 2)
    >>> path.round(6).tolist()
    [[4.0], [2.0], [1.0]]

    Source: Deep Learning from Scratch, chapter 4.4.1.

    """
    check_learning_rate(learning_rate)
    if steps < 0:
        raise ArgumentError(f"steps is {steps}: wanted 0 or more")
    path = [as_floating(start)]
    for _ in range(steps):
        path.append(path[-1] - learning_rate * gradient(f, path[-1]))
    return array_namespace(start).stack(path)


def default_step(x: Array) -> float:
    """Return the cube root of the dtype's epsilon, which balances the errors of rounding and of the
    difference.
    """
    return math.cbrt(array_namespace(x).finfo(x.dtype).eps)


def as_floating(x: Array) -> Array:
    """Return an array of integers as floating, in float64 where the library has it, and any other
    array as it is.
    """
    xp = array_namespace(x)
    try:
        integral = xp.isdtype(x.dtype, "integral")
    except TypeError as error:
        # The dtype of another package, such as bfloat16 in NumPy.
        raise DifferentiationError(
            f"an array of {x.dtype} was given, a dtype that {library_name(xp)} has no functions "
            "for: cast it first, as x.astype('float32')"
        ) from error
    if not integral:
        return x
    dtypes = xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating")
    return xp.astype(x, dtypes.get("float64", xp.float32))


def with_leaf(
    argument: T,
    place: int,
    x: Array,
) -> T:
    """Return the tree, in training mode, with ``x`` as the leaf at an index.

    Beside a traced x, the other leaves are constants. Beside a plain one they are copies, into
    which a function may write.
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


def _gradient(
    f: Callable[[Any], Any],
    x: Array,
    step: float | None,
    memory: int,
) -> Array | None:
    if is_floating(x):
        return _of_leaf(f, x, step, memory)
    if not is_complex(x):
        return None
    xp = array_namespace(x)
    real, imag = xp.real(x), xp.imag(x)
    of_real = _of_leaf(
        lambda y: f(as_complex(y, imag, x)),
        real,
        step,
        memory,
    )
    of_imag = _of_leaf(
        lambda y: f(as_complex(real, y, x)),
        imag,
        step,
        memory,
    )
    return as_complex(of_real, of_imag, x)


def as_complex(
    real: Array,
    imag: Array,
    like: Array,
) -> Array:
    """Return real + i·imag, of a complex array's dtype."""
    xp = array_namespace(real, imag)
    return xp.astype(real, like.dtype) + 1j * xp.astype(imag, like.dtype)


def _of_leaf(
    f: Callable[[Any], Any],
    x: Array,
    step: float | None,
    memory: int,
) -> Array:
    xp = array_namespace(x)
    if size(x) == 0:
        return xp.zeros_like(x)
    step = step or default_step(x)
    try:
        return _at_many_points(f, x, step, memory)
    except (AnynetError, MemoryError, TypeError):
        # The function permits one point and not many at once: it branches by a value, it calls
        # code that takes plain arrays only, or it needs too much memory.
        return _one_by_one(f, x, step)


def _at_many_points(
    f: Callable[[Any], Any],
    x: Array,
    step: float,
    memory: int,
) -> Array:
    """Perturb a block of elements at a time, one per point: whole rows, or a part of a long row."""
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
            unit = xp.eye(
                points,
                count,
                k=start,
                dtype=x.dtype,
                device=device(x),
            )
            change = xp.reshape(unit, (points, -1, columns)) * moving
            above = _values(f, RowPerturbation(x, first, change))
            if not values and type(x) is not Traced:
                _check_same(f, x, step, above[0])
            values.append(above - _values(f, RowPerturbation(x, first, -change)))
    return _quotient(xp.reshape(xp.concat(values), x.shape), x, step)


def _check_same(
    f: Callable[[Any], Any],
    x: Array,
    step: float,
    found: Any,
) -> None:
    """Check the first value of many against that of a plain array, for which the function may
    branch differently.
    """
    xp = array_namespace(x)
    first = xp.reshape(xp.arange(size(x), device=device(x)), x.shape) == 0
    try:
        alone = float(f(xp.where(first, x + _step(x, step), x)))
    except (AnynetError, AttributeError, TypeError):
        # It takes traced arrays only, such as code that needs x.__array_namespace__ from PyTorch.
        return
    value, eps = float(found), float(xp.finfo(x.dtype).eps)
    both_nan = math.isnan(alone) and math.isnan(value)
    if not both_nan and not math.isclose(alone, value, rel_tol=math.sqrt(eps), abs_tol=1e4 * eps):
        raise DifferentiationError(
            "the function has another value for a plain array, as where it branches by type"
        )


def _values(f: Callable[[Any], Any], moved: RowPerturbation) -> Array:
    points = moved.shape[0]
    out = f(Vectorizer(points).variable(moved))
    _check_scalar(out)
    if not is_array(out):
        raise DifferentiationError(
            "the function converted an array of many points to a Python scalar"
        )
    if type(out) is Traced:
        out = out.value
    return out if out.ndim else array_namespace(out).broadcast_to(out, (points,))


def _one_by_one(
    f: Callable[[Any], Any],
    x: Array,
    step: float,
) -> Array:
    xp = array_namespace(x)
    places = xp.reshape(xp.arange(size(x), device=device(x)), x.shape)
    move = _step(x, step)
    differences = []
    for i in range(size(x)):
        here = places == i
        above = f(xp.where(here, x + move, x))
        below = f(xp.where(here, x - move, x))
        differences.append(_like(x, above) - _like(x, below))
    return _quotient(xp.reshape(xp.stack(differences), x.shape), x, step)


def _like(x: Array, out: Any) -> Array:
    """Return a scalar of Python or of any library as an array of x's library."""
    _check_scalar(out)
    xp = array_namespace(x)
    if is_array(out) and array_namespace(out) is xp:
        return out
    return xp.asarray(float(out), dtype=x.dtype, device=device(x))


def _step(x: Array, step: float) -> Array:
    xp = array_namespace(x)
    return step * xp.maximum(xp.abs(x), xp.ones_like(x))


def _quotient(
    difference: Array,
    x: Array,
    step: float,
) -> Array:
    """Divide by the distance of the two points after rounding."""
    move = _step(x, step)
    distance = (x + move) - (x - move)
    return array_namespace(x).astype(difference / distance, x.dtype, copy=False)


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
                f"{wanted} a value of {out.dtype}: take its abs(), real() or imag()"
            )
    elif not isinstance(out, Real):
        raise DifferentiationError(f"{wanted} {out!r}: reduce it with sum() or mean()")
