"""The history of a training run."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from anynet.table import Table

#: The last line of a run that Ctrl-C ended.
INTERRUPTED = "interrupted"

#: Epochs that a table shows.
MOST_EPOCHS = 20


@dataclass(frozen=True)
class Epoch:
    """The result of one pass over the training data: the mean loss, and scores by metric.

    Args:
        number: counts from 1.
        loss: the mean over the steps.
        train_scores: scores on the training data after the epoch, by the names of the metrics.
            Empty if none were computed.
        test_scores: the same on the test data.
        seconds: how long the training took, without the evaluation.

    >>> from anynet.training import Epoch
    >>> Epoch(1, 0.5, {"accuracy": 0.75}, {"accuracy": 0.5}, 2.0).scores
    {'train accuracy': 0.75, 'test accuracy': 0.5}

    """

    number: int
    loss: float
    train_scores: dict[str, float]
    test_scores: dict[str, float]
    seconds: float

    @property
    def train_score(self) -> float | None:
        """The first score on the training data, None if there is none."""
        return next(iter(self.train_scores.values()), None)

    @property
    def test_score(self) -> float | None:
        """The first score on the test data, None if there is none."""
        return next(iter(self.test_scores.values()), None)

    @property
    def scores(self) -> dict[str, float]:
        """All scores by their headings in a table, such as ``train accuracy``."""
        names = dict.fromkeys((*self.train_scores, *self.test_scores))
        parts = (("train", self.train_scores), ("test", self.test_scores))
        return {
            f"{part} {name}": scores[name]
            for name in names
            for part, scores in parts
            if name in scores
        }


class EpochTable:
    """The headings of a table of epochs, and the cells of each epoch."""

    def __init__(self, scores: Sequence[str]) -> None:
        self.scores = scores
        self.headings = ["epoch", "loss", *scores, "seconds"]

    def cells(self, epoch: Epoch) -> list[str]:
        """Return the cells of an epoch."""
        scores = epoch.scores
        shown = [f"{scores[name]:.4f}" if name in scores else "" for name in self.scores]
        return [str(epoch.number), f"{epoch.loss:.4f}", *shown, f"{epoch.seconds:.2f}"]

    def table(self, rows: Sequence[Sequence[str]]) -> Table:
        """Return the table of these rows of cells, with the middle left out if there are many."""
        return Table(self.headings, rows, numeric=self.headings, most=MOST_EPOCHS)


@dataclass(repr=False)
class History:
    """The epochs of a training run, the loss of every step, and whether Ctrl-C ended it.

    It prints as a table of the epochs, which a notebook shows as HTML. The table of a long run has
    the first and the last epochs.

    >>> from anynet.training import Epoch, History
    >>> History([Epoch(1, 0.5, {"accuracy": 0.75}, {}, 2.0)], losses=[0.6, 0.4])
    epoch    loss  train accuracy  seconds
        1  0.5000          0.7500     2.00

    """

    epochs: list[Epoch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    interrupted: bool = False

    def __repr__(self) -> str:
        table = str(self._table()) if self.epochs else "no epochs"
        return "\n".join([table, *self._notes()])

    def _repr_html_(self) -> str:
        table = self._table()._repr_html_() if self.epochs else "<p>no epochs</p>"
        return table + "".join(f"<p>{note}</p>" for note in self._notes())

    def _table(self) -> Table:
        scores = dict.fromkeys(name for epoch in self.epochs for name in epoch.scores)
        table = EpochTable(list(scores))
        return table.table([table.cells(epoch) for epoch in self.epochs])

    def _notes(self) -> list[str]:
        return [INTERRUPTED] if self.interrupted else []
