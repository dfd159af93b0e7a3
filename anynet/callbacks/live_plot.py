"""A plot of the losses and scores, drawn again after each epoch."""

import base64
import io
import os
from typing import Any

from anynet.errors import ArgumentError, MissingPackageError
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

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        _matplotlib()
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
        image = io.BytesIO()
        _figure(run.history).savefig(image, format="png")
        content = image.getvalue()
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


def _figure(history: History) -> Any:
    """Return a figure of the losses of steps and the scores of epochs."""
    figures, tickers = _matplotlib()
    scores = dict.fromkeys(name for epoch in history.epochs for name in epoch.scores)
    figure = figures.Figure(figsize=(8.0 if scores else 4.5, 3.2), layout="constrained")
    columns = figure.subplots(1, 2 if scores else 1, squeeze=False)[0]
    columns[0].plot(range(1, len(history.losses) + 1), history.losses, linewidth=0.8)
    columns[0].set(xlabel="step", ylabel="loss")
    for name in scores:
        numbers = [epoch.number for epoch in history.epochs if name in epoch.scores]
        values = [epoch.scores[name] for epoch in history.epochs if name in epoch.scores]
        columns[1].plot(numbers, values, "o-", markersize=3, label=name)
    if scores:
        columns[1].set(xlabel="epoch")
        columns[1].xaxis.set_major_locator(tickers.MaxNLocator(integer=True))
        columns[1].legend()
    for axes in columns:
        axes.grid(alpha=0.3)
    return figure


def _matplotlib() -> tuple[Any, Any]:
    """Return matplotlib's modules of figures and ticks.

    Raises:
        MissingPackageError: it is not installed.

    """
    try:
        from matplotlib import figure, ticker
    except ImportError as error:
        raise MissingPackageError(
            f"callbacks.LivePlot needs matplotlib ({error}): pip install matplotlib"
        ) from error
    return figure, ticker
