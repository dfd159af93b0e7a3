"""Calls of any optimizer. It needs ``update(net, grads)``, and may have more methods."""

from collections.abc import Collection, Iterable
from typing import Any

from anynet.arguments import describe
from anynet.callables import takes
from anynet.errors import ArgumentError
from anynet.state import State


def is_optimizer(x: Any) -> bool:
    """Return whether an object has a method ``update(net, grads)``.

    >>> from anynet.optimizers.protocol import is_optimizer
    >>> is_optimizer(optimizers.SGD(0.1)), is_optimizer({"lr": 0.1})
    (True, False)

    """
    # Dicts and sets have another update.
    if isinstance(x, type | Collection):
        return False
    update = getattr(x, "update", None)
    return callable(update) and takes(update, 2)


def begin(
    optimizer: Any,
    net: Any,
    grads: Any,
) -> None:
    """Create the state of the parameters that have gradients, see `Optimizer.begin`."""
    if hasattr(optimizer, "begin"):
        optimizer.begin(net, grads)


def check_schedule(optimizer: Any, calls: int) -> None:
    """Raise ArgumentError if a schedule ends before this many calls of ``update``."""
    if hasattr(optimizer, "check_schedule"):
        optimizer.check_schedule(calls)


def state_of(optimizer: Any) -> State | None:
    """Return the state of an optimizer, None without one."""
    return optimizer.state_dict() if hasattr(optimizer, "state_dict") else None


def load_states(states: Iterable[tuple[Any, Any]]) -> None:
    """Load the state of each optimizer, or raise and change nothing."""
    before: list[tuple[Any, Any]] = []
    try:
        for optimizer, state in states:
            if hasattr(optimizer, "load_state_dict"):
                old = optimizer.state_dict()
                optimizer.load_state_dict(state)
                before.append((optimizer, old))
            elif state is not None:
                raise ArgumentError(
                    f"the state of {describe(optimizer)} is {describe(state)}: wanted None, "
                    "because it has no load_state_dict"
                )
    except Exception:
        for optimizer, old in before:
            optimizer.load_state_dict(old)
        raise
