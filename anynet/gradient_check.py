"""The gradient check: analytic derivatives beside numerical ones, with a report that names what is
wrong.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from anynet import random, tree
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
from anynet.errors import AnynetError, DifferentiationError
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
    """How the analytic and the numerical derivative of one array compare."""

    path: str
    shape: tuple[int, ...]
    #: Largest difference, relative to the largest derivative of this array.
    error: float
    #: Where the difference is largest, with the analytic and the numerical derivative there. Along
    #: directions, the place is the number of the direction.
    worst: tuple[int, ...]
    analytic: Any
    numerical: Any


@dataclass(frozen=True)
class GradientReport:
    """The comparison for every array of a tree; true where all errors are within the tolerance."""

    checks: tuple[ParameterCheck, ...]
    tolerance: float
    every_element: bool

    def __bool__(self) -> bool:
        return all(check.error <= self.tolerance for check in self.checks)

    def __str__(self) -> str:
        manner = "every element" if self.every_element else "random directions"
        width = max([len(check.path) for check in self.checks] + [9])
        lines = [
            f"{'parameter':<{width}}  {'shape':>14}  {'error':>8}  worst: analytic, numerical "
            f"({manner})"
        ]
        lines += [
            f"{c.path:<{width}}  {c.shape!s:>14}  {c.error:>8.1e}  {c.worst}: {c.analytic:.9g}, "
            f"{c.numerical:.9g}{'' if c.error <= self.tolerance else f'  WRONG: above {self.tolerance:.0e}'}"
            for c in self.checks
        ]
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
    """Compare the analytic gradient of the scalar f(argument) with a numerical one, array by array.

    Small trees (1,000 numbers or fewer) are compared element by element. In larger ones each array
    is compared along random directions v of length one, ⟨∂f/∂x, v⟩ against the central difference
    of f(x ± step·v): a wrong derivative shows along every direction, a kink that is crossed only
    along one, so the median counts.

    Args:
        f: returns a floating scalar.
        argument: an array, or a tree of them such as a network. An array of integers given alone is
            taken as floating.
        dtype: in which to compute; float64 unless given, to which the arrays are cast. float32 with
            a tolerance to fit.
        every_element: choose between elements and directions.
        tolerance: of the relative error; 1e-6 for elements and 1e-7 for directions, 1e-2 in
            float32, 0.2 in float16 and 0.4 in bfloat16, unless given.
        directions: how many for each array.
        seed: of the directions.

    Raises:
        DTypeError: the library lacks the dtype, such as float64 on some GPUs.
        GradientError: an error is above the tolerance; its message is the report, its attribute
            ``report`` too.

    """
    found = (
        [x for _, x in tree.leaves(argument)]
        if dtype is None or dtype_name(dtype) == "float64"
        else []
    )
    with get_backend(found[0]).float64() if found else nullcontext():
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
    guarded, given = Guarded(f), argument
    # What is computed with is a copy; f is not to reach what was given.
    f = lambda x: guarded([given], [x], {})  # noqa: E731
    argument = tree.map(lambda x: _cast(x, dtype), argument)
    if every_element is None:
        every_element = sum(map(size, arrays)) <= 1000
    if tolerance is None:
        eps = float(xp.finfo(dtype).eps)
        # With few digits, the step is what rounding leaves of them.
        tolerance = (
            max(1e-2, 2 * math.cbrt(eps)) if eps > 1e-10 else 1e-6 if every_element else 1e-7
        )
    # Of a copy, for buffers that change: every evaluation begins with the same ones.
    value, analytic = value_and_grad(f)(tree.map(lambda x: x, argument))
    if every_element:
        pairs = _elements(analytic, numerical_gradient(f, argument))
    else:
        pairs = _along_directions(f, argument, analytic, directions, seed)
    # Differences of f are rounded by this much; a derivative too small to stand out from it counts
    # as this large.
    floor = 2 * float(xp.finfo(dtype).eps) ** (2 / 3) * abs(float(value)) / tolerance
    checks = tuple(_compare(path, shape, a, n, floor, every_element) for path, shape, a, n in pairs)
    report = GradientReport(checks, tolerance, every_element)
    if not report:
        raise GradientError(report)
    return report


def _cast(x: Array, dtype: DType) -> Array:
    """Return an array in the dtype, complex ones in that of its pairs."""
    xp = array_namespace(x)
    if is_complex(x):
        return xp.astype(
            x,
            xp.complex128 if dtype == xp.float64 else xp.complex64,
            copy=False,
        )
    return xp.astype(x, dtype, copy=False) if is_floating(x) else x


class GradientError(AnynetError, ArithmeticError):
    """An analytic derivative that differs from the numerical one; ``report`` says where and by how
    much.
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
            above, below = (f(with_leaf(argument, place, x + h * v)) for h in (step, -step))
            n.append(float((above - below) / (2 * step)))
        yield path or "argument", tuple(x.shape), a, n


def _direction(key: Array, x: Array) -> Array:
    """Return a random array like x, of length one."""
    xp = array_namespace(x)
    if is_complex(x):
        real, imag = (random.normal(random.fold_in(key, i), x.shape) for i in (0, 1))
        v = as_complex(real, imag, x)
    else:
        v = random.normal(key, x.shape, x.dtype)
    return v / xp.sqrt(xp.sum(_product(v, v)))


def _product(a: Array, b: Array) -> Array:
    """Return the products of real numbers, or of the parts of complex ones, whose sum is the real
    inner product.
    """
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
    # A kink is crossed along one direction only; what is no number along one is no number.
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
