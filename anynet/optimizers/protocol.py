"""Calls of any optimizer. It needs ``update(net, grads)``, and may have more methods."""

from collections.abc import Collection
from typing import Any

from anynet.callables import takes


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
