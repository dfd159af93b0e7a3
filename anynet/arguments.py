"""Checks of arguments. Each error contains the given value, the expected one and the remedy."""

import inspect
from collections.abc import Sequence
from operator import index
from types import ModuleType
from typing import Any

from anynet.array import is_array
from anynet.errors import ArgumentError, ArgumentTypeError


def describe(value: Any) -> str:
    """Return a short description of a value on one line, such as "the class SGD" or "an array of
    shape (60, 2)".
    """
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, ModuleType):
        return f"the module {value.__name__}"
    if inspect.isroutine(value) and isinstance(getattr(value, "__name__", None), str):
        return f"the function {value.__name__}"
    if is_array(value):
        return f"an array of shape {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    kind = type(value).__name__
    kind = f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
    if isinstance(value, list | tuple | dict | set) and len(text) > 60:
        return f"{kind} of {len(value)}"
    if text.startswith("<"):
        return kind
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(items: Sequence[str], most: int = 20) -> str:
    """Return the first items for a message, and how many more there are.

    >>> from anynet.arguments import listed
    >>> listed(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'

    """
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def check_group(group: Any) -> None:
    """Raise ArgumentTypeError unless it is a group of processes or None."""
    if group is not None and not callable(getattr(group, "exchange", None)):
        raise ArgumentTypeError(f"group is {describe(group)}: wanted anynet.open_group() or None")


def whole_number(
    name: str,
    value: Any,
    least: int,
) -> int:
    """Return an integer of any library's type as a Python int.

    Raises:
        ArgumentTypeError: it is something else.
        ArgumentError: it is below the least.

    """
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ArgumentTypeError(
            f"{name} is {describe(value)}: wanted a whole number, {least} or more"
        )
    if number < least:
        raise ArgumentError(f"{name} is {number}: wanted {least} or more")
    return number


def sizes(**values: Any) -> tuple[int, ...]:
    """Return integers of 1 or more as Python ints, in order, see `whole_number`."""
    return tuple([whole_number(name, value, 1) for name, value in values.items()])


def check_function(
    name: str,
    f: Any,
    wanted: str,
) -> None:
    """Raise ArgumentTypeError unless f can be called."""
    if not callable(f):
        raise ArgumentTypeError(f"{name} is {describe(f)}: wanted {wanted}")


def check_flag(name: str, value: Any) -> None:
    """Raise ArgumentTypeError unless the value is True or False.

    A string such as "no" would count as True.
    """
    try:
        is_flag = bool(value == bool(value))
    except Exception:
        # Arrays and other objects may have no truth value.
        is_flag = False
    if not is_flag:
        raise ArgumentTypeError(f"{name} is {describe(value)}: wanted True or False")


def example(
    value: Any,
    module: ModuleType,
    *,
    default: str,
    call: bool = False,
) -> str:
    """Return an example of an object of a module for a user who gave a class or a string.

    A string is taken as a name, the beginning of one, or its initials, as "mse" for
    mean_squared_error.
    """
    name = value.__name__ if isinstance(value, type) else value
    if not isinstance(name, str) or not name:
        return default
    short = name.lower().replace(" ", "_")
    known = [
        own
        for own, found in vars(module).items()
        if own[0] != "_" and str(getattr(found, "__module__", "")).startswith(module.__name__)
    ]
    meant = (
        *(own for own in known if own == name),
        *(own for own in known if own.lower().startswith(short)),
        *(
            own
            for own in known
            if len(short) > 1 and "".join(part[:1] for part in own.split("_")).startswith(short)
        ),
    )
    return (
        f"{module.__name__}.{meant[0]}{'()' if call else ''}".removeprefix("anynet.")
        if meant
        else default
    )
