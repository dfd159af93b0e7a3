"""The history of a training run."""

from dataclasses import dataclass, field

from anynet.table import Table
from anynet.training.progress import INTERRUPTED, EpochTable


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data gave: the mean loss, and scores by the names of their
    metrics.

    Scores are of the network after the epoch; there are none where nothing was measured.
    """

    number: int
    loss: float
    train_scores: dict[str, float]
    test_scores: dict[str, float]
    seconds: float

    @property
    def train_score(self) -> float | None:
        """The first metric on the training data, None where nothing was measured."""
        return next(iter(self.train_scores.values()), None)

    @property
    def test_score(self) -> float | None:
        """The first metric on the test data, None where nothing was measured."""
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


@dataclass(repr=False)
class History:
    """The epochs of a training run, the loss of every step, and whether Ctrl-C ended it.

    It prints as a table of the epochs, which a notebook shows as HTML. Of many epochs the table has
    the first and the last ones.
    """

    epochs: list[Epoch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    interrupted: bool = False

    def __repr__(self) -> str:
        return "\n".join(
            [
                str(self._table()) if self.epochs else "no epochs",
                *self._notes(),
            ]
        )

    def _repr_html_(self) -> str:
        table = self._table()._repr_html_() if self.epochs else "<p>no epochs</p>"
        return table + "".join(f"<p>{note}</p>" for note in self._notes())

    def _table(self) -> Table:
        scores = dict.fromkeys(name for epoch in self.epochs for name in epoch.scores)
        table = EpochTable(list(scores))
        return table.table([table.cells(epoch) for epoch in self.epochs])

    def _notes(self) -> list[str]:
        return [INTERRUPTED] if self.interrupted else []
