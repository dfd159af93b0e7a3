"""What training shows in a terminal: a bar for the epoch under way, a line for each that is done."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self


class Display:
    """A progress bar over all steps with a table growing above it; nothing at all where it is not wanted."""

    def __init__(self, shown: bool, epochs: int, steps: int, metrics: Sequence[str] = (), tested: bool = False) -> None:
        self.shown = shown
        self.epochs = epochs
        self.steps = steps
        #: Headings of the scores.
        self.scores = [f"{part} {name}" for name in metrics for part in ("train", "test")[: 1 + tested]]
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self.shown:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeRemainingColumn(),
                transient=True,
            )
            self._task = self._bar.add_task("training", total=self.epochs * self.steps)
            self._bar.start()
            self._print("  ".join([f"{'epoch':>5}", *(f"{name:>8}" for name in ("loss", *self.scores, "seconds"))]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, epoch: int, step: int, loss: float) -> None:
        """Move the bar to a step of an epoch."""
        if self._bar is not None:
            done = (epoch - 1) * self.steps + step
            self._bar.update(self._task, completed=done, description=f"epoch {epoch}, loss {loss:.4f}")

    def finish(self, epoch: Any) -> None:
        """Print the line of an epoch that is done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=epoch.number * self.steps)
            found = {f"train {name}": score for name, score in epoch.train_scores.items()}
            found |= {f"test {name}": score for name, score in epoch.test_scores.items()}
            scores = [f"{found[name]:>{max(8, len(name))}.4f}" for name in self.scores]
            self._print("  ".join([f"{epoch.number:>5}", f"{epoch.loss:>8.4f}", *scores, f"{epoch.seconds:>8.2f}"]))

    def _print(self, line: str) -> None:
        self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
