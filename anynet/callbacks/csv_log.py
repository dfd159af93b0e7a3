"""A table of the epochs as a CSV file."""

import csv
import io
import os

from anynet.files import atomic_write
from anynet.training.callback import Callback, RunView


class CSVLog(Callback):
    """A callback that writes the epochs of the history to a CSV file, after each epoch.

    The columns are epoch, loss, each score by its name in the table, and seconds. The file has all
    epochs of the history, so that of a continued run has those before.

    Args:
        path: the file, which is replaced.

    >>> import os, pathlib, tempfile
    >>> from anynet import callbacks
    >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])
    >>> _ = anynet.fit(net, data, epochs=2, callbacks=[callbacks.CSVLog(path)], progress=False)
    >>> pathlib.Path(path).read_text().splitlines()[0]
    'epoch,loss,train accuracy,seconds'

    """

    first_rank_only = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def on_epoch_end(self, run: RunView) -> None:
        """Write all epochs."""
        epochs = run.history.epochs
        scores = dict.fromkeys(name for epoch in epochs for name in epoch.scores)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["epoch", "loss", *scores, "seconds"])
        for epoch in epochs:
            values = [epoch.scores.get(name, "") for name in scores]
            table.writerow([epoch.number, epoch.loss, *values, epoch.seconds])
        with atomic_write(self.path) as file:
            file.write(text.getvalue().encode())
