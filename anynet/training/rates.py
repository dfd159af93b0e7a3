"""The learning rates and schedules of an optimizer."""

from collections.abc import Iterator, Sequence
from typing import Any

from anynet.training.callback import Callback


def rates_of(optimizer: Any) -> Iterator[Any]:
    """Yield the learning rates of an optimizer and of those in it, and the parts of schedules."""
    for rate in _rates(optimizer):
        yield from _parts(rate)


def with_schedules(callbacks: Sequence[Callback], optimizer: Any) -> list[Any]:
    """Return the callbacks, after the schedules of the optimizer that follow a score."""
    known = {id(callback) for callback in callbacks}
    rates = rates_of(optimizer)
    followers = {id(x): x for x in rates if hasattr(x, "on_epoch_end")}
    return [*[x for key, x in followers.items() if key not in known], *callbacks]


def _rates(optimizer: Any) -> Iterator[Any]:
    """Yield the learning rates of an optimizer, or of those in it."""
    if hasattr(optimizer, "optimizers"):
        for part in optimizer.optimizers:
            yield from _rates(part)
    elif hasattr(optimizer, "learning_rate"):
        yield optimizer.learning_rate
        # Muon has another optimizer for its other parameters.
        yield from _rates(getattr(optimizer, "rest", None))


def _parts(rate: Any) -> Iterator[Any]:
    """Yield a schedule and the schedules that it is made of."""
    yield rate
    for part in (getattr(rate, "schedule", None), *getattr(rate, "schedules", ())):
        if callable(part):
            yield from _parts(part)
