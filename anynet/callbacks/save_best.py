"""A file with the weights of the best epoch."""

import os

from anynet.callbacks.monitor import Monitor, values_of
from anynet.training import checkpoint
from anynet.training.callback import RunView


class SaveBest(Monitor):
    """A callback that saves the network to a file at each improvement, see `anynet.load`.

    Args:
        path: the safetensors file, which is replaced.
        monitor: "loss", or a name in the table of the history, such as "test accuracy". By default
            the first score on the test data, the first one on the training data if there is none,
            or the loss.
        mode: "min" if a lower value is better, "max" if a higher one is, or "auto".
        min_delta: the least improvement that counts, 0 or more.

    Raises:
        ArgumentError: an argument is out of range.

    >>> import os, tempfile
    >>> from anynet import callbacks, checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "best.safetensors")
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 0, 0, 1])
    >>> best = callbacks.SaveBest(path, "loss")
    >>> _ = anynet.fit(net, data, epochs=3, callbacks=[best], progress=False)
    >>> checkpoint.metadata(path)["epoch"]
    '3'

    """

    first_rank_only = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str | None = None,
        *,
        mode: str = "auto",
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        self.path = os.fspath(path)

    def on_epoch_end(self, run: RunView) -> None:
        """Save the network if the value improves."""
        if self.improves(run):
            epoch = run.history.epochs[-1]
            values = {name: repr(value) for name, value in values_of(epoch).items()}
            checkpoint.save(run.net, self.path, {"epoch": str(epoch.number), **values})
