"""Checks of the settings of optimizers. Each returns the setting, as Python's own where it can."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from anynet.arguments import check_flag, describe, whole_number
from anynet.array import Array, dtype_name, is_complex, number
from anynet.errors import ArgumentError, ArgumentTypeError, DTypeError

#: Checks a setting, given its name and value, and returns the value.
Check = Callable[[str, Any], Any]

#: Checks of integers.
not_negative_integer: Check = partial(whole_number, least=0)
positive_integer: Check = partial(whole_number, least=1)


def below_one(name: str, value: Any) -> Any:
    """Return a number of 0 or more and below 1 as Python's own.

    Raises:
        ArgumentError: the value is out of range.

    """
    value = plain_number(name, value)
    if not 0 <= value < 1:
        raise ArgumentError(
            f"{name} is {value!r}: wanted a number of 0 or more and below 1, such as 0.9"
        )
    return value


def not_negative(name: str, value: Any) -> Any:
    """Return a finite number of 0 or more as Python's own.

    Raises:
        ArgumentError: the value is out of range.

    """
    value = plain_number(name, value)
    if not 0 <= value < math.inf:
        raise ArgumentError(f"{name} is {value!r}: wanted a finite number of 0 or more")
    return value


def positive(name: str, value: Any) -> Any:
    """Return a finite number above 0 as Python's own.

    Raises:
        ArgumentError: the value is out of range.

    """
    value = plain_number(name, value)
    if not 0 < value < math.inf:
        raise ArgumentError(f"{name} is {value!r}: wanted a finite number above 0")
    return value


def decay_rates(name: str, value: Any) -> Any:
    """Return the decay rates of two running means, such as ``(0.9, 0.999)``, as a tuple.

    Raises:
        ArgumentTypeError: the value is no pair.
        ArgumentError: a rate is not 0 or more and below 1.

    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ArgumentTypeError(
            f"{name} is {describe(value)}: wanted a pair of numbers, such as (0.9, 0.999)"
        )
    return tuple([below_one(f"{name}[{i}]", rate) for i, rate in enumerate(value)])


def flag(name: str, value: Any) -> Any:
    """Return True or False.

    Raises:
        ArgumentTypeError: the value is something else.

    """
    check_flag(name, value)
    return bool(value)


def plain_number(name: str, value: Any) -> Any:
    """Return a real number of any library as a Python int or float.

    Raises:
        ArgumentTypeError: the value is something else.

    """
    value = number(name, value)
    return value if type(value) in (int, float) else float(value)


def check_real(optimizer: object, parameter: Array) -> None:
    """Raise DTypeError if a parameter is complex."""
    if is_complex(parameter):
        name = type(optimizer).__name__
        raise DTypeError(
            f"{name}: a parameter of {dtype_name(parameter.dtype)} was given: wanted real ones, "
            f"because {name} is not defined for complex ones; SGD and Momentum train complex "
            "parameters"
        )
