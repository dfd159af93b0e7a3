"""Averaged weights in a run, and schedules that follow a score."""

from collections.abc import Iterator, Sequence
from typing import Any

from anynet.training.callback import Callback, RunView
from anynet.training.run import Run


class TrainingWeights(Callback):
    """Gives the network the weights of training again, after the callbacks of an epoch's end."""

    def on_epoch_end(self, run: RunView) -> None:
        """Take the averages out of the network."""
        assert isinstance(run, Run)
        run.use_averages(False)


def with_schedules(callbacks: Sequence[Callback], optimizer: Any) -> list[Any]:
    """Return the callbacks, after the schedules of the optimizer that follow a score."""
    known = {id(callback) for callback in callbacks}
    rates = _rates(optimizer)
    parts = [part for rate in rates for part in _parts(rate)]
    followers = {id(x): x for x in parts if hasattr(x, "on_epoch_end")}
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
