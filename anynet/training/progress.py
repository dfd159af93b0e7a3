"""The display of a training run: a line for each finished epoch, and the progress of the next one.

In a terminal the lines appear above a progress bar. A notebook has one output of plain text, which
is replaced as training goes on, so the saved notebook contains the finished table. Neither needs
a thread, which Pyodide does not have.
"""

import errno
import importlib
import random
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from anynet.training.history import INTERRUPTED, Epoch, EpochTable

#: Seconds between two updates. Each takes time in a terminal, and a notebook's server drops updates
#: that come too often.
UPDATE_INTERVAL = 0.1


class Display:
    """The base of displays, which shows nothing."""

    def __init__(self) -> None:
        self._updated = -UPDATE_INTERVAL

    def _is_due(self) -> bool:
        """Return whether an update is due, and store its time if so."""
        now = time.monotonic()
        due = now - self._updated >= UPDATE_INTERVAL
        if due:
            self._updated = now
        return due

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def show(
        self,
        epoch: int,
        step: int,
        steps: int | None,
        loss: float,
    ) -> None:
        """Show the progress of an epoch.

        Args:
            epoch: counts from 1.
            step: how many steps are done.
            steps: how many steps the epoch has, None if that is unknown.
            loss: the loss of the last step.

        """

    def finish(self, epoch: Epoch) -> None:
        """Show a finished epoch."""


class Layout:
    """The widths of the columns of a table that grows. If the table is wider than the terminal, the
    headings have one word a line.

    Args:
        headings: of the columns.
        columns: of the terminal, or None for any number.

    >>> from anynet.training.progress import Layout
    >>> layout = Layout(["epoch", "test accuracy"], columns=16)
    >>> for cells in (*layout.heading_lines, ["1", "0.9"]):
    ...     print(layout.line(cells))
              test
    epoch accuracy
        1      0.9

    """

    def __init__(self, headings: Sequence[str], columns: int | None) -> None:
        self._gap = "  "
        self._widths = [5, *(max(8, len(heading)) for heading in headings[1:])]
        self.heading_lines = [list(headings)]
        if columns is not None and len(self.line(headings)) > columns:
            self._gap = " "
            words = [heading.split() for heading in headings]
            self._widths = [max(6, *map(len, parts)) for parts in words]
            self._widths[0] = 5
            height = max(map(len, words))
            columns_of_words = [[""] * (height - len(parts)) + parts for parts in words]
            self.heading_lines = [list(line) for line in zip(*columns_of_words, strict=True)]

    def line(self, cells: Sequence[str]) -> str:
        """Return a row of cells."""
        padded = [cell.rjust(width) for cell, width in zip(cells, self._widths, strict=True)]
        return self._gap.join(padded)


class TerminalDisplay(Display):
    """A progress bar, below a table that grows."""

    def __init__(self, epochs: int, scores: Sequence[str]) -> None:
        # The import of rich draws from Python's generator, which the program may have seeded.
        state = random.getstate()
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        random.setstate(state)

        class RaisingConsole(Console):
            """A console that raises where rich ends the program."""

            def on_broken_pipe(self) -> None:
                raise BrokenPipeError(errno.EPIPE, "nobody reads the output")

        super().__init__()
        self._table = EpochTable(scores)
        # Not in a notebook, where rich needs ipywidgets.
        console = RaisingConsole(force_jupyter=False)
        columns = console.width if console.is_terminal else None
        self._layout = Layout(self._table.headings, columns)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=console,
            # No thread.
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("training", total=epochs)

    def __enter__(self) -> Self:
        self._bar.start()
        for line in self._layout.heading_lines:
            self._print(line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            self._write(INTERRUPTED)

    def show(
        self,
        epoch: int,
        step: int,
        steps: int | None,
        loss: float,
    ) -> None:
        """Move the bar."""
        done = epoch - 1 + (min(1.0, step / steps) if steps else 0.0)
        self._move(done, epoch, loss)

    def finish(self, epoch: Epoch) -> None:
        """Print the line of a finished epoch."""
        self._print(self._table.cells(epoch))
        self._move(epoch.number, epoch.number, epoch.loss)

    def _move(
        self,
        done: float,
        epoch: int,
        loss: float,
    ) -> None:
        description = f"epoch {epoch}, loss {loss:.4f}"
        self._bar.update(
            self._task,
            completed=done,
            description=description,
            refresh=self._is_due(),
        )

    def _print(self, cells: Sequence[str]) -> None:
        self._write(self._layout.line(cells))

    def _write(self, line: str) -> None:
        self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


class NotebookDisplay(Display):
    """One output that is replaced: the table, and below it the progress of the epoch.

    Args:
        display: IPython's function of this name.
        epochs: how many the run has.
        scores: the headings of the scores.

    """

    def __init__(
        self,
        display: Callable[..., Any],
        epochs: int,
        scores: Sequence[str],
    ) -> None:
        super().__init__()
        self._display = display
        self._epochs = epochs
        self._table = EpochTable(scores)
        self._rows: list[list[str]] = []
        self._last_line = ""
        self._handle: Any = None

    def __enter__(self) -> Self:
        self._handle = self._display(self._data(), raw=True, display_id=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is KeyboardInterrupt:
            self._last_line = INTERRUPTED
        self._handle.update(self._data(), raw=True)

    def show(
        self,
        epoch: int,
        step: int,
        steps: int | None,
        loss: float,
    ) -> None:
        """Write the progress of the epoch."""
        of_steps = f" of {steps}" if steps else ""
        self._last_line = f"epoch {epoch} of {self._epochs}, step {step}{of_steps}, loss {loss:.4f}"
        self._update()

    def finish(self, epoch: Epoch) -> None:
        """Add the line of a finished epoch."""
        self._rows.append(self._table.cells(epoch))
        self._last_line = ""
        self._update()

    def _update(self) -> None:
        if self._is_due():
            self._handle.update(self._data(), raw=True)

    def _data(self) -> dict[str, str]:
        lines = [str(self._table.table(self._rows)), self._last_line]
        return {"text/plain": "\n".join(line for line in lines if line)}


def display_of_run(epochs: int, scores: Sequence[str]) -> Display:
    """Return the display for a notebook or for a terminal, where the program runs."""
    display = notebook_display()
    return (
        TerminalDisplay(epochs, scores)
        if display is None
        else NotebookDisplay(display, epochs, scores)
    )


def notebook_display() -> Callable[..., Any] | None:
    """Return IPython's display function in a notebook, which shows more than text, else None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or "text/html" not in shell.display_formatter.active_types:
        return None
    display: Callable[..., Any] = importlib.import_module("IPython.display").display
    return display
