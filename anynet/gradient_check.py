"""The gradient check: analytic derivatives are compared with numerical ones, array by array."""

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeVar, cast

from anynet import random, tree
from anynet.arguments import describe
from anynet.array import (
    Array,
    DType,
    array_namespace,
    dtype_name,
    is_array,
    is_complex,
    is_floating,
    size,
    unravel,
)
from anynet.autodiff import value_and_grad
from anynet.autodiff.reached import Guarded
from anynet.backend import check_dtype, get_backend
from anynet.errors import AnynetError, ArgumentError, DifferentiationError
from anynet.numerical import (
    as_complex,
    as_floating,
    default_step,
    numerical_gradient,
    with_leaf,
)

__all__ = [
    "GradientError",
    "GradientReport",
    "ParameterCheck",
    "check_gradients",
]

T = TypeVar("T")


@dataclass(frozen=True)
class ParameterCheck:
    """The comparison of the analytic and the numerical derivative of one array.

    >>> report = anynet.check_gradients(lambda x: x * x, np.asarray(3.0))
    >>> report.checks[0].path, report.checks[0].analytic
    ('argument', 6.0)

    """

    path: str
    shape: tuple[int, ...]
    #: The largest difference, relative to the largest derivative of this array. Along directions,
    #: the median difference.
    error: float
    #: The index of the largest difference, and the analytic and the numerical derivative there.
    #: Along directions, it is the index of the direction.
    worst: tuple[int, ...]
    analytic: Any
    numerical: Any


@dataclass(frozen=True)
class GradientReport:
    """The comparisons of all arrays of a tree. It is true if all errors are within the tolerance.

    >>> report = anynet.check_gradients(lambda x: x * x, np.asarray(3.0))
    >>> bool(report), report.every_element
    (True, True)

    """

    checks: tuple[ParameterCheck, ...]
    tolerance: float
    every_element: bool

    def __bool__(self) -> bool:
        return all(check.error <= self.tolerance for check in self.checks)

    def __str__(self) -> str:
        manner = "every element" if self.every_element else "random directions"
        width = max([len(check.path) for check in self.checks] + [9])
        heading = f"{'parameter':<{width}}  {'shape':>14}  {'error':>8}"
        lines = [f"{heading}  worst: analytic, numerical ({manner})"]
        for check in self.checks:
            row = f"{check.path:<{width}}  {check.shape!s:>14}  {check.error:>8.1e}"
            row += f"  {check.worst}: {check.analytic:.9g}, {check.numerical:.9g}"
            if check.error > self.tolerance:
                row += f"  WRONG: above {self.tolerance:.0e}"
            lines.append(row)
        return "\n".join(lines)


def check_gradients(
    f: Callable[[T], Array],
    argument: T,
    *,
    dtype: DType = None,
    every_element: bool | None = None,
    tolerance: float | None = None,
    directions: int = 5,
    seed: int = 0,
) -> GradientReport:
    """Return the comparison of the analytic gradient of the scalar f(argument) with a numerical
    one, array by array.

    Trees of up to 1,000 elements are compared element by element. In larger trees each array is
    compared along random directions v of length one: ⟨∂f/∂x, v⟩ with the central difference of
    f(x ± step·v). A wrong derivative shows along every direction. A kink shows along few of them,
    so the median counts.

    Args:
        f: returns a floating scalar.
        argument: an array, or a tree of arrays such as a network. An array of integers is taken as
            floating.
        dtype: the dtype of the computation, to which the arrays are cast. Default: float64.
        every_element: True for elements, False for directions. Default: by the size of the tree.
        tolerance: the bound of the relative error. Default: 1e-6 for elements, 1e-7 for directions,
            1e-2 in float32, 0.2 in float16 and 0.4 in bfloat16.
        directions: the number of directions for each array.
        seed: the seed of the directions.

    Raises:
        ArgumentError: the tolerance is not a number above 0.
        DTypeError: the library lacks the dtype, such as float64 on some GPUs.
        GradientError: an error is above the tolerance. Its message is the report, which is also the
            attribute ``report``.

    >>> report = anynet.check_gradients(lambda x: (x**2).sum(), np.asarray([3.0, 4.0]))
    >>> bool(report), report.checks[0].error < 1e-6
    (True, True)

    """
    if tolerance is not None and not (isinstance(tolerance, Real) and tolerance > 0):
        raise ArgumentError(
            f"tolerance is {describe(tolerance)}: wanted a number above 0, such as 1e-6"
        )
    wide = dtype is None or dtype_name(dtype) == "float64"
    arrays = [x for _, x in tree.leaves(argument)]
    with get_backend(arrays[0]).float64() if wide and arrays else nullcontext():
        return _check(f, argument, dtype, every_element, tolerance, directions, seed)


def _check(
    f: Callable[[T], Array],
    argument: T,
    dtype: DType,
    every_element: bool | None,
    tolerance: float | None,
    directions: int,
    seed: int,
) -> GradientReport:
    if is_array(argument):
        argument = cast(T, as_floating(argument))
    arrays = [x for _, x in tree.leaves(argument) if is_floating(x) or is_complex(x)]
    if not arrays:
        raise DifferentiationError(
            f"nothing to check: {type(argument).__name__} holds no floating array"
        )
    xp = array_namespace(arrays[0])
    dtype = dtype or xp.float64
    check_dtype(xp, dtype)
    eps = float(xp.finfo(dtype).eps)
    if every_element is None:
        every_element = sum(map(size, arrays)) <= 1000
    if tolerance is None:
        tolerance = _default_tolerance(eps, every_element)
    guarded = Guarded(f)
    original = argument
    copy = tree.map(lambda x: _cast(x, dtype), argument)

    def of_copy(x: T) -> Array:
        # An error names the case in which f uses the original in place of the copy.
        value: Array = guarded([original], [x], {})
        return value

    # f may change buffers. A second copy keeps them for the evaluations below.
    value, analytic = value_and_grad(of_copy)(tree.map(lambda x: x, copy))
    if every_element:
        pairs = _elements(analytic, numerical_gradient(of_copy, copy))
    else:
        pairs = _along_directions(of_copy, copy, analytic, directions, seed)
    # Rounding of f changes its differences by this much. A smaller derivative counts as this large.
    floor = 2 * eps ** (2 / 3) * abs(float(value)) / tolerance
    checks = [_compare(*pair, floor, every_element) for pair in pairs]
    report = GradientReport(tuple(checks), tolerance, every_element)
    if not report:
        raise GradientError(report)
    return report


def _default_tolerance(eps: float, every_element: bool) -> float:
    if eps > 1e-10:
        # In short dtypes, the error of the difference is as large as the step.
        return max(1e-2, 2 * math.cbrt(eps))
    return 1e-6 if every_element else 1e-7


def _cast(x: Array, dtype: DType) -> Array:
    """Return an array in the dtype, a complex array in the complex dtype of that precision."""
    xp = array_namespace(x)
    if is_complex(x):
        dtype = xp.complex128 if dtype == xp.float64 else xp.complex64
    elif not is_floating(x):
        return x
    return xp.astype(x, dtype, copy=False)


class GradientError(AnynetError, ArithmeticError):
    """An analytic derivative differs from the numerical one, see the attribute ``report``.

    >>> square = anynet.custom_vjp(lambda x: x * x, lambda g, out, x: g * x)
    >>> try:
    ...     anynet.check_gradients(square, np.asarray(3.0))
    ... except anynet.gradient_check.GradientError as error:
    ...     print(error.report.checks[0].analytic)
    3.0

    """

    def __init__(self, report: GradientReport) -> None:
        super().__init__(f"the analytic gradient is wrong\n{report}")
        self.report = report


_Pair = tuple[str, tuple[int, ...], list[Any], list[Any]]


def _elements(analytic: Any, numerical: Any) -> Iterator[_Pair]:
    for (path, a), (_, n) in zip(tree.leaves(analytic), tree.leaves(numerical), strict=True):
        yield path or "argument", tuple(a.shape), _numbers(a), _numbers(n)


def _numbers(x: Array) -> list[Any]:
    found: list[Any] = get_backend(x).to_host(x).reshape(-1).tolist()
    return found


def _along_directions(
    f: Callable[[T], Array],
    argument: T,
    analytic: T,
    directions: int,
    seed: int,
) -> Iterator[_Pair]:
    gradients = dict(tree.leaves(analytic))
    for place, (path, x) in enumerate(tree.leaves(argument)):
        if path not in gradients:
            continue
        xp = array_namespace(x)
        key = random.fold_in(random.key(seed, get_backend(x)), place)
        step = default_step(xp.real(x) if is_complex(x) else x)
        a, n = [], []
        for i in range(directions):
            v = _direction(random.fold_in(key, i), x)
            a.append(float(xp.sum(_product(gradients[path], v))))
            above = f(with_leaf(argument, place, x + step * v))
            below = f(with_leaf(argument, place, x - step * v))
            n.append(float((above - below) / (2 * step)))
        yield path or "argument", tuple(x.shape), a, n


def _direction(key: Array, x: Array) -> Array:
    """Return a random array like x, of length one."""
    xp = array_namespace(x)
    if is_complex(x):
        real = random.normal(random.fold_in(key, 0), x.shape)
        imag = random.normal(random.fold_in(key, 1), x.shape)
        v = as_complex(real, imag, x)
    else:
        v = random.normal(key, x.shape, x.dtype)
    return v / xp.sqrt(xp.sum(_product(v, v)))


def _product(a: Array, b: Array) -> Array:
    """Return the elementwise products whose sum is the real inner product."""
    xp = array_namespace(a)
    return xp.real(xp.conj(a) * b) if is_complex(a) else a * b


def _compare(
    path: str,
    shape: tuple[int, ...],
    analytic: list[Any],
    numerical: list[Any],
    floor: float,
    every_element: bool,
) -> ParameterCheck:
    differences = [abs(a - n) for a, n in zip(analytic, numerical, strict=True)]
    if not differences:
        return ParameterCheck(path, shape, 0.0, (), 0.0, 0.0)
    if not all(map(math.isfinite, differences)):
        differences = [d if math.isfinite(d) else math.inf for d in differences]
    worst = max(range(len(differences)), key=differences.__getitem__)
    # A kink is crossed along few directions. NaN along one direction is NaN.
    median = not every_element and math.isfinite(differences[worst])
    counted = statistics.median(differences) if median else differences[worst]
    scale = max(floor, *map(abs, numerical))
    where = unravel(worst, shape) if every_element else (worst,)
    return ParameterCheck(
        path,
        shape,
        counted / scale if counted else 0.0,
        where,
        analytic[worst],
        numerical[worst],
    )
