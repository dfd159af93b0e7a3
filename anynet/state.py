"""States: what an object resumes from, as nested dicts of arrays and plain values.

An object that has something to resume has two methods. ``state_dict()`` returns its state, and
``load_state_dict(state)`` sets it. The keys of a state are strings. Its values are dicts, arrays,
None, booleans, integers, floats, strings, or lists of these.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from anynet.arguments import describe
from anynet.errors import ArgumentError

#: The state of an object.
State = dict[str, Any]


def check_state(
    name: str,
    state: Any,
    wanted: Iterable[str],
    optional: Iterable[str] = (),
) -> None:
    """Raise ArgumentError unless a state is a dict with these keys, and others only if optional.

    Args:
        name: of the object, for the message.
        state: any value.
        wanted: the keys that it must have.
        optional: keys that it may have.

    >>> from anynet.state import check_state
    >>> check_state("Loader", {"epoch": 3}, ["epoch", "batch"])
    Traceback (most recent call last):
    anynet.errors.ArgumentError: the state of Loader lacks 'batch'

    """
    if not isinstance(state, Mapping):
        raise ArgumentError(
            f"the state of {name} is {describe(state)}: wanted a dict, as state_dict() returns"
        )
    wanted = [*wanted]
    missing = [repr(key) for key in wanted if key not in state]
    unknown = [repr(key) for key in state if key not in {*wanted, *optional}]
    problems = []
    if missing:
        problems.append(f"lacks {', '.join(missing)}")
    if unknown:
        problems.append(f"has an unknown {', '.join(unknown)}")
    if problems:
        raise ArgumentError(f"the state of {name} {' and '.join(problems)}")


def check_count(name: str, value: Any) -> int:
    """Return a value of a state that is an integer of 0 or more.

    Raises:
        ArgumentError: it is something else.

    >>> from anynet.state import check_count
    >>> check_count("updates", 3)
    3

    """
    if type(value) is not int or value < 0:
        raise ArgumentError(f"{name} is {describe(value)}: wanted an integer of 0 or more")
    return value
