"""A user's functions: anything that can be called, whatever its attributes are.

A callable of another language, or of a class of its own, may have a name that is no string, or none
at all.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import WRAPPER_ASSIGNMENTS
from inspect import Signature, signature
from types import FunctionType
from typing import Any, TypeVar

from anynet.arguments import check_function

F = TypeVar("F", bound=Callable[..., Any])


def named_like(f: Callable[..., Any]) -> Callable[[F], F]:
    """Return a decorator like `functools.wraps`, which takes from f only what a function can have.

    Raises:
        ArgumentTypeError: f cannot be called.

    """
    check_callable(f)

    def decorate(wrapper: F) -> F:
        for attribute in WRAPPER_ASSIGNMENTS:
            with suppress(Exception):
                value = getattr(f, attribute)
                if isinstance(value, str | dict | tuple):
                    setattr(wrapper, attribute, value)
        if isinstance(f, FunctionType) and isinstance(wrapper, FunctionType):
            vars(wrapper).update(vars(f))
        vars(wrapper)["__wrapped__"] = f
        return wrapper

    return decorate


def check_callable(f: Any) -> None:
    """Raise ArgumentTypeError unless what is transformed can be called."""
    check_function("f", f, "a function, as lambda x: xp.sum(x**2)")


def name_of(f: Any) -> str:
    """Return the name of a function; of another object that of its class."""
    with suppress(Exception):
        if isinstance(f.__name__, str):
            return f.__name__
    return type(f).__name__


def signature_of(f: Any) -> Signature | None:
    """Return the signature of a function, None where it has none that Python can read."""
    with suppress(Exception):
        return signature(f)
    return None


def takes(function: Callable[..., Any], count: int) -> bool:
    """Tell whether a function can be called with so many arguments in order; True where no one can
    tell.
    """
    signature = signature_of(function)
    if signature is None:
        # Compiled code need not have one.
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def show_call(function: Callable[..., Any]) -> str:
    """Return a function's name and parameters."""
    return f"{name_of(function)}{signature_of(function) or '(…)'}"
