"""Averaged weights in a run."""

from anynet.training.callback import Callback, RunView
from anynet.training.run import Run
from anynet.training.stopwatch import REST


class TrainingWeights(Callback):
    """Gives the network the weights of training again, after the callbacks of an epoch's end."""

    _part = REST

    def on_epoch_end(self, run: RunView) -> None:
        """Take the averages out of the network."""
        assert isinstance(run, Run)
        run.use_averages(False)
