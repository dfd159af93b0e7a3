"""The operators of traced arrays: each is a function of the standard, by name."""

import operator
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from anynet.array import Namespace, is_array
from anynet.errors import NoRuleError, ShapeError
from anynet.tracing import views
from anynet.tracing.standard import INDEXING, STANDARD

if TYPE_CHECKING:
    from anynet.tracing.trace import Traced


def _is_operand(x: Any) -> bool:
    return isinstance(x, int | float | complex) or is_array(x)


def _unary(name: str) -> Any:
    def operate(x: "Traced") -> Any:
        return STANDARD[name](x)

    return operate


def _binary(name: str) -> Any:
    """Return the method of an operator. It leaves strings, lists and the like to the other
    operand.
    """

    def operate(x: "Traced", other: Any) -> Any:
        if type(other) is type(x) or _is_operand(other):
            return STANDARD[name](x, other)
        return NotImplemented

    return operate


def _reflected(name: str) -> Any:
    def operate(x: "Traced", other: Any) -> Any:
        if type(other) is type(x) or _is_operand(other):
            return STANDARD[name](other, x)
        return NotImplemented

    return operate


def _in_place(name: str, method: str) -> Any:
    """Return the method of an in-place operator.

    Where the library's arrays have no such method, Python makes a new array.
    """

    def operate(x: "Traced", other: Any) -> Any:
        if not (type(other) is type(x) or _is_operand(other)):
            return NotImplemented
        if not hasattr(_type_written(x, name, method), method):
            return NotImplemented
        new = STANDARD[name](x, other)
        if new.shape != x.shape:
            raise ShapeError(
                f"{name} in place: the array has shape {(*x.shape,)} and the result "
                f"{(*new.shape,)}: make a new array, x = x + y in place of x += y"
            )
        if new.dtype != x.dtype:
            _raise_as_library(x, other, method)
            new = STANDARD["astype"](new, x.dtype)
        if not hasattr(type(new.plain), method):
            # The result is a scalar of the library, and x is an array of no axes.
            new = INDEXING["put"](x, ..., new)
        views.write(x, new)
        return x

    return operate


def _type_written(
    x: "Traced",
    name: str,
    method: str,
) -> type:
    """Return the type of the library's array that an in-place operator writes into."""
    if x.trace is None or not x.trace.batch_axes:
        return type(x.plain)
    array, element = _types(x.library)
    if hasattr(array, method) and not x.shape and not hasattr(element, method):
        raise NoRuleError(
            f"{name} in place of no axes: an array changes in place, and a scalar does not"
        )
    return array


@cache
def _types(xp: Namespace) -> tuple[type, type]:
    """Return the type of arrays, and the type of a sum over all elements."""
    x = xp.zeros(1)
    return type(x), type(xp.sum(x))


def _raise_as_library(
    x: "Traced",
    other: Any,
    method: str,
) -> None:
    """Apply the operator to small arrays of these dtypes, so that the library raises its error."""
    xp = x.library
    operands = [
        xp.ones((1,) * min(operand.ndim, 1), dtype=operand.dtype) if is_array(operand) else operand
        for operand in (x, other)
    ]
    function: Callable[..., Any] = getattr(operator, method)
    function(*operands)


class Operators:
    """The operators of the standard's arrays."""

    __slots__ = ()

    __hash__ = object.__hash__

    __neg__ = _unary("negative")
    __pos__ = _unary("positive")
    __abs__ = _unary("abs")
    __invert__ = _unary("bitwise_invert")

    __lt__ = _binary("less")
    __le__ = _binary("less_equal")
    __gt__ = _binary("greater")
    __ge__ = _binary("greater_equal")
    __eq__ = _binary("equal")
    __ne__ = _binary("not_equal")

    __add__ = _binary("add")
    __sub__ = _binary("subtract")
    __mul__ = _binary("multiply")
    __truediv__ = _binary("divide")
    __floordiv__ = _binary("floor_divide")
    __mod__ = _binary("remainder")
    __pow__ = _binary("pow")
    __matmul__ = _binary("matmul")
    __and__ = _binary("bitwise_and")
    __or__ = _binary("bitwise_or")
    __xor__ = _binary("bitwise_xor")
    __lshift__ = _binary("bitwise_left_shift")
    __rshift__ = _binary("bitwise_right_shift")

    __radd__ = _reflected("add")
    __rsub__ = _reflected("subtract")
    __rmul__ = _reflected("multiply")
    __rtruediv__ = _reflected("divide")
    __rfloordiv__ = _reflected("floor_divide")
    __rmod__ = _reflected("remainder")
    __rpow__ = _reflected("pow")
    __rmatmul__ = _reflected("matmul")
    __rand__ = _reflected("bitwise_and")
    __ror__ = _reflected("bitwise_or")
    __rxor__ = _reflected("bitwise_xor")
    __rlshift__ = _reflected("bitwise_left_shift")
    __rrshift__ = _reflected("bitwise_right_shift")

    __iadd__ = _in_place("add", "__iadd__")
    __isub__ = _in_place("subtract", "__isub__")
    __imul__ = _in_place("multiply", "__imul__")
    __itruediv__ = _in_place("divide", "__itruediv__")
    __ifloordiv__ = _in_place("floor_divide", "__ifloordiv__")
    __imod__ = _in_place("remainder", "__imod__")
    __ipow__ = _in_place("pow", "__ipow__")
    __imatmul__ = _in_place("matmul", "__imatmul__")
    __iand__ = _in_place("bitwise_and", "__iand__")
    __ior__ = _in_place("bitwise_or", "__ior__")
    __ixor__ = _in_place("bitwise_xor", "__ixor__")
    __ilshift__ = _in_place("bitwise_left_shift", "__ilshift__")
    __irshift__ = _in_place("bitwise_right_shift", "__irshift__")

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self
