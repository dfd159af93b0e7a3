"""Functions that a user passes: any callable, with any attributes.

A callable of another language, or of a user's class, may have no name, or one that is no string.
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
    """Return a decorator like `functools.wraps` that copies only attributes a function can have.

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
    """Raise ArgumentTypeError unless f can be called."""
    check_function("f", f, "a function, as lambda x: xp.sum(x**2)")


def name_of(f: Any) -> str:
    """Return the name of a function, or of the class of another object."""
    with suppress(Exception):
        if isinstance(f.__name__, str):
            return f.__name__
    return type(f).__name__


def signature_of(f: Any) -> Signature | None:
    """Return the signature of a function, or None where Python cannot read it."""
    with suppress(Exception):
        return signature(f)
    return None


def takes(function: Callable[..., Any], count: int) -> bool:
    """Return whether a function takes this many positional arguments, True if that is unknown."""
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
