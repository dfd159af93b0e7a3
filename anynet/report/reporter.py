"""The report of a run that `anynet.fit` trains: a context that writes the page at its end."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.report.contents import Contents, add_network, without_network
from anynet.report.destination import page_path
from anynet.report.page import write_page
from anynet.training.recipe import Recipe
from anynet.training.record import Record
from anynet.training.run import Run
from anynet.training.run_data import RunData
from anynet.training.settings import Settings, show_setting

#: The data that a report may be about.
_DATA = {"train": "training data", "test": "test data"}


class Reporter:
    """The page of a run. As a context, it writes the page when the run has ended, also by an error.

    Args:
        path: the file of the page.
        checkpoint: the file of the run, None for none.
        checkpoint_every: after how many steps it is written.

    Raises:
        ArgumentError: the page cannot be written there.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_every: int | None,
    ) -> None:
        self.path = page_path(path, checkpoint)
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.record = Record(self._settings)
        #: Why the settings are missing, "" if they are not.
        self.problem = ""

    def of(
        self,
        run: Run,
        recipe: Recipe,
        data: RunData,
    ) -> Self:
        """Return the context of a run."""
        self.run = run
        self.recipe = recipe
        self.data = data
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            contents = self._contents(None)
            if not self.run.is_first:
                return
            try:
                write_page(self.path, contents)
            except OSError as problem:
                problem.add_note("the run has ended, and only its report was not written")
                raise
        elif self.record.settings is not None and self.run.is_first:
            try:
                write_page(self.path, self._contents(error))
            except Exception as second:
                # The first error is the one to read.
                error.add_note(f"the report {self.path} was not written: {second}")

    def _contents(self, error: BaseException | None) -> Contents:
        run, record = self.run, self.record
        contents = Contents(
            "Training run",
            ending_of(run, self.recipe.epochs, error),
            error is None and not run.history.interrupted,
            run.history,
        )
        with record.clock.part("report"):
            self._add_network(contents)
            if record.settings is None:
                # The run was complete before.
                record.settings = self._settings()
        contents.configuration = record.settings
        contents.missing["configuration"] = self.problem
        contents.missing["norms"] = "No norm was recorded."
        contents.sessions = record.sessions
        contents.norms = record.norms
        contents.seconds = record.clock.read()
        if record.problem:
            contents.problem = f"The norms of the last epoch are missing: {record.problem}"
        return contents

    def _add_network(self, contents: Contents) -> None:
        """Add the network and its predictions. After an error the page has the reason instead."""
        name, batches = self._batches()
        try:
            add_network(contents, self.run.net, name, batches, self.recipe.loss)
        except KeyboardInterrupt:
            contents.missing["results"] = "Ctrl-C ended the evaluation."
        except Exception as error:
            # A loss of three arguments may be for a network that is no function of x alone.
            contents.missing["results"] = f"The {name} could not be evaluated: {error}"

    def _batches(self) -> tuple[str, Loader | Batches | None]:
        """Return the name of the data for the predictions, and the data.

        They are the test data, or the training data if there are none. They are None if they cannot
        be read again.
        """
        name = "test" if "test" in self.data.rows else "train"
        batches = self.data.measured.get(name)
        if isinstance(batches, Batches) and not batches.can_begin_again:
            batches = None
        return _DATA[name], batches

    def _settings(self) -> Settings:
        """Return the settings of the run as texts."""
        recipe = self.recipe
        try:
            settings = recipe.settings(self.data)
            callbacks = ", ".join(map(show_setting, recipe.callbacks))
        except Exception as error:
            # An object of the user may have no text.
            self.problem = f"It cannot be shown: {error!r}"
            return {}
        first = {"epochs": str(recipe.epochs), "optimizer": settings.pop("optimizer")}
        last = {
            "callbacks": callbacks or "none",
            "checkpoint": str(self.checkpoint and Path(self.checkpoint).name),
            "checkpoint_every": str(self.checkpoint_every),
        }
        return {**first, **without_network(settings), **last}


def ending_of(
    run: Run,
    epochs: int,
    error: BaseException | None,
) -> str:
    """Return how a run ended, in a sentence."""
    done = len(run.history.epochs)
    place = f"in epoch {run.epoch}, after step {run.step}" if run.epoch > done else "between epochs"
    if error is not None and not isinstance(error, KeyboardInterrupt):
        return f"An error ended the run {place}. {type(error).__name__}: {error}"
    if error is not None or run.history.interrupted:
        return f"Ctrl-C ended the run {place}. {done} of {epochs} epochs are complete."
    if run.is_stopping and done < epochs:
        callback = f" ({run.stopped_by})" if run.stopped_by else ""
        return f"A callback{callback} ended the run after epoch {done} of {epochs}."
    return f"The run is complete: {done} of {epochs} epochs."
