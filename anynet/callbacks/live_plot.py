"""A plot of the losses and scores, drawn again after each epoch."""

import base64
import os
from typing import Any

from anynet.errors import ArgumentError
from anynet.files import atomic_write
from anynet.training.callback import Callback, RunView
from anynet.training.history import History
from anynet.training.progress import notebook_display


class LivePlot(Callback):
    """A callback that plots the loss of every step and the scores of every epoch.

    In a notebook the plot is an output that is replaced after each epoch. With a path it is a PNG
    file, also without a screen.

    Args:
        path: the file to write, None for a notebook only.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ArgumentError: there is no path, and the program runs in no notebook (raised when the run
            begins).

    >>> import os, tempfile
    >>> from anynet import callbacks
    >>> path = os.path.join(tempfile.mkdtemp(), "run.png")
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])
    >>> _ = anynet.fit(net, data, epochs=1, callbacks=[callbacks.LivePlot(path)], progress=False)
    >>> os.path.exists(path)
    True

    """

    first_rank_only = True

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        from anynet.plotting.axes import check_matplotlib

        check_matplotlib("callbacks.LivePlot")
        self.path = None if path is None else os.fspath(path)
        self._handle: Any = None

    def on_train_begin(self, run: RunView) -> None:
        """Look for the notebook."""
        self._handle = None
        if self.path is None and notebook_display() is None:
            raise ArgumentError(
                "LivePlot has no path, and the program runs in no notebook: wanted "
                "LivePlot('run.png')"
            )

    def on_epoch_end(self, run: RunView) -> None:
        """Draw the plot."""
        content = _picture(run.history)
        if self.path is not None:
            with atomic_write(self.path) as file:
                file.write(content)
        display = notebook_display()
        if display is None:
            return
        text = f"losses and scores until epoch {run.epoch}"
        data = {"image/png": base64.b64encode(content).decode(), "text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _picture(history: History) -> bytes:
    """Return the learning curves of a run as the content of a PNG file."""
    from anynet.plotting.curves import STEP_LOSS, learning_curves
    from anynet.plotting.figure import png_of

    scores = [
        name for epoch in history.epochs for name in (*epoch.train_scores, *epoch.test_scores)
    ]
    panels = learning_curves(history, dict.fromkeys((STEP_LOSS, *scores)))
    return png_of(panels.figure)
