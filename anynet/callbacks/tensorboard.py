"""Scalars and histograms in the files of TensorBoard."""

import importlib
import os
import time
from itertools import pairwise
from typing import Any

from anynet.arguments import describe, whole_number
from anynet.callbacks.histograms import Histograms
from anynet.callbacks.monitor import values_of
from anynet.errors import ArgumentTypeError, MissingPackageError
from anynet.histogram import Histogram
from anynet.training.callback import Callback, RunView


class TensorBoard(Callback):
    """A callback that writes losses, scores and histograms for TensorBoard, by its own writer.

    Scalars are by the number of updates: the loss of steps as "step loss", and the loss and the
    scores of epochs by their names in the table. A run that goes on adds a file to the folder, and
    TensorBoard drops what the earlier files have after its first update. To see it run
    ``tensorboard --logdir FOLDER``.

    Args:
        folder: for the files, created if it does not exist.
        steps: write the loss of each multiple of this many updates, None for epochs only.
        histograms: measured and written after each epoch, None for none.

    Raises:
        MissingPackageError: tensorboard is not installed.
        ArgumentError: steps is below 1.

    """

    first_rank_only = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        steps: int | None = None,
        histograms: Histograms | None = None,
    ) -> None:
        if histograms is not None and not isinstance(histograms, Histograms):
            raise ArgumentTypeError(
                f"histograms is {describe(histograms)}: wanted callbacks.Histograms() or None"
            )
        _tensorboard()
        self.folder = os.fspath(folder)
        self.steps = None if steps is None else whole_number("steps", steps, 1)
        self.histograms = histograms
        self._writer: Any = None
        if self.steps is not None:
            # An attribute of the object alone, so that no time is lost at steps without it.
            setattr(self, "on_step_end", self._add_step)  # noqa: B010

    def on_train_begin(self, run: RunView) -> None:
        """Open a file."""
        writers, events, _ = _tensorboard()
        self._writer = writers.EventFileWriter(self.folder)
        if run.updates:
            # Tells TensorBoard to drop what another file has from here on.
            log = events.SessionLog(status=events.SessionLog.START)
            self._add(run.updates + 1, session_log=log)

    def _add_step(self, run: RunView) -> None:
        assert self.steps is not None
        if run.updates % self.steps == 0:
            self._add_scalars(run.updates, {"step loss": run.loss})

    def on_epoch_end(self, run: RunView) -> None:
        """Write the scalars and histograms of the epoch."""
        self._add_scalars(run.updates, values_of(run.history.epochs[-1]))
        if self.histograms is not None:
            for name, histogram in self.histograms.measure(run).items():
                self._add_histogram(run.updates, name, histogram)
        self._writer.flush()

    def on_train_end(self, run: RunView) -> None:
        """Close the file."""
        self._writer.close()
        self._writer = None

    def _add_scalars(self, updates: int, values: dict[str, float]) -> None:
        _, _, summaries = _tensorboard()
        entries = [summaries.Summary.Value(tag=n, simple_value=x) for n, x in values.items()]
        self._add(updates, summary=summaries.Summary(value=entries))

    def _add_histogram(
        self,
        updates: int,
        name: str,
        histogram: Histogram,
    ) -> None:
        _, _, summaries = _tensorboard()
        counts, edges = histogram
        middles = [(a + b) / 2 for a, b in pairwise(edges)]
        proto = summaries.HistogramProto(
            min=edges[0],
            max=edges[-1],
            num=sum(counts),
            # From the bins, because the values are not kept.
            sum=sum(n * x for n, x in zip(counts, middles, strict=True)),
            sum_squares=sum(n * x * x for n, x in zip(counts, middles, strict=True)),
            # The first bucket begins at the least edge.
            bucket_limit=edges,
            bucket=[0, *counts],
        )
        entry = summaries.Summary.Value(tag=name, histo=proto)
        self._add(updates, summary=summaries.Summary(value=[entry]))

    def _add(self, updates: int, **content: Any) -> None:
        _, events, _ = _tensorboard()
        event = events.Event(wall_time=time.time(), step=updates, **content)
        self._writer.add_event(event)


def _tensorboard() -> tuple[Any, Any, Any]:
    """Return TensorBoard's modules of writers, events and summaries.

    Raises:
        MissingPackageError: it is not installed.

    """
    names = "summary.writer.event_file_writer", "compat.proto.event_pb2", "compat.proto.summary_pb2"
    try:
        writers, events, summaries = [importlib.import_module(f"tensorboard.{n}") for n in names]
    except ImportError as error:
        raise MissingPackageError(
            f"callbacks.TensorBoard needs tensorboard ({error}): pip install tensorboard"
        ) from error
    return writers, events, summaries
