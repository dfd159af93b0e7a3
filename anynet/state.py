"""States: what an object resumes from, as nested dicts of arrays and plain values.

An object that has something to resume has two methods. ``state_dict()`` returns its state, and
``load_state_dict(state)`` sets it. The keys of a state are strings. Its values are dicts, arrays,
None, booleans, integers, floats, strings, or lists of these.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from anynet.arguments import describe
from anynet.errors import ArgumentError, ArgumentTypeError

#: The state of an object.
State = dict[str, Any]


class Stateful(Protocol):
    """An object that has something to resume."""

    def state_dict(self) -> State:
        """Return the state."""

    def load_state_dict(self, state: State) -> None:
        """Go on from a state."""


def stateful(name: str, part: Any) -> Stateful:
    """Return an object that has methods to save and load its state, as the optimizer in it.

    Raises:
        ArgumentTypeError: it has none.

    >>> from anynet.state import stateful
    >>> stateful("optimizer", optimizers.SGD(0.1))
    SGD(0.1, weight_decay=0.0)

    """
    methods = [getattr(part, method, None) for method in ("state_dict", "load_state_dict")]
    if not all(map(callable, methods)):
        raise ArgumentTypeError(
            f"{name} is {describe(part)}, which has no state_dict() and load_state_dict(state): "
            "wanted both, to go on from a checkpoint"
        )
    inside = getattr(part, "optimizer", None)
    if inside is not None:
        stateful(f"{name}.optimizer", inside)
    return part  # type: ignore[no-any-return]


def state_of(part: Any) -> State | None:
    """Return the state of an object, None if it has none."""
    return part.state_dict() if hasattr(part, "state_dict") else None


def load_states(states: Iterable[tuple[Any, Any]]) -> None:
    """Load the state of each object, or raise and change nothing.

    Args:
        states: pairs (object, state), in which the state of an object without one is None.

    Raises:
        ArgumentError: a state is not that of its object.

    """
    before: list[tuple[Any, Any]] = []
    try:
        for part, state in states:
            if hasattr(part, "load_state_dict"):
                old = part.state_dict()
                part.load_state_dict(state)
                before.append((part, old))
            elif state is not None:
                raise ArgumentError(
                    f"{describe(part)} has no state, and was given {describe(state)}: wanted None"
                )
    except Exception:
        for part, old in before:
            part.load_state_dict(old)
        raise


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
