"""Averaged weights in a run, and schedules that follow a score."""

from collections.abc import Sequence
from typing import Any

from anynet.training.callback import Callback, RunView
from anynet.training.rates import rates_of
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
    rates = rates_of(optimizer)
    followers = {id(x): x for x in rates if hasattr(x, "on_epoch_end")}
    return [*[x for key, x in followers.items() if key not in known], *callbacks]
