"""The data of a training run: the batches to train on, and the rows to evaluate on."""

from dataclasses import dataclass
from typing import Any

from anynet.arguments import describe
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.data.rows import Batch
from anynet.errors import ArgumentError
from anynet.training.sources import Data, batches_of, is_rows, rows_of, split_rows


@dataclass(frozen=True)
class RunData:
    """The data of a run. See `open_data`.

    Args:
        batches: to train on.
        rows: of the training data, and of the test data if there are some, in order. An iterable
            stays as it is.

    """

    batches: Loader | Batches
    rows: dict[str, Loader | Batches]

    @property
    def measured(self) -> dict[str, Loader | Batches]:
        """The data to evaluate on. Training alone reads an iterable of training data."""
        return {part: rows for part, rows in self.rows.items() if rows is not self.batches}

    @property
    def first(self) -> Batch:
        """The first batch to train on, or all rows."""
        return self.batches.first() if isinstance(self.batches, Batches) else self.batches.parts


def open_data(
    net: Any,
    train: Data,
    test: Data | None,
    *,
    done: int,
    epochs: int,
    batch_size: int | None,
    seed: int | None,
    validation_split: float | None,
    steps_per_epoch: int | None,
) -> RunData:
    """Return the data of a run. See `anynet.fit` for the arguments.

    Args:
        net: its arrays decide the backend of an iterable.
        train: the training data.
        test: the test data, or None.
        done: how many epochs were made.
        epochs: how many the run has at its end.
        batch_size: only for rows.
        seed: only for rows.
        validation_split: the share of the rows that are test data.
        steps_per_epoch: None for a pass over the data.

    Raises:
        ArgumentError: a batch size, a seed or a split for data that make their own batches, or data
            that can be read only once.
        DataError: the data cannot be trained on.

    """
    if validation_split is not None:
        train, test = _split(train, test, validation_split, seed)
    left = epochs - done
    if is_rows(train):
        loader = _shuffled(train, batch_size, seed)
        passed = done * (steps_per_epoch or len(loader))
        loader.epoch, loader.batch = divmod(passed, len(loader))
        batches: Loader | Batches = loader
    else:
        _check_own_batches(train, batch_size=batch_size, seed=seed)
        batches = batches_of("train", train, net, left, steps_per_epoch)
    rows = {"train": rows_of(batches)}
    if test is not None:
        rows["test"] = rows_of(batches_of("test", test, net, left))
    return RunData(batches, rows)


def _shuffled(
    data: Batch,
    batch_size: int | None,
    seed: int | None,
) -> Loader:
    """Return a shuffled loader of rows."""
    x, t, *weights = data
    return Loader(
        x,
        t,
        100 if batch_size is None else batch_size,
        weights=next(iter(weights), None),
        seed=0 if seed is None else seed,
    )


def _check_own_batches(train: Data, **settings: int | None) -> None:
    """Raise ArgumentError if a setting of batches is given for data that make their own."""
    for name, value in settings.items():
        if value is not None:
            raise ArgumentError(
                f"{name} is {describe(value)} and train is {describe(train)}, which makes its own "
                "batches: set it there instead"
            )


def _split(
    train: Data,
    test: Data | None,
    share: float,
    seed: int | None,
) -> tuple[Data, Data]:
    """Return the training data and the test data that are a share of their rows.

    Raises:
        ArgumentError: there are test data, or train makes its own batches.

    """
    if test is not None:
        raise ArgumentError("validation_split and test were given: wanted one of them")
    if not is_rows(train):
        raise ArgumentError(
            f"validation_split is {share!r:.40} and train is {describe(train)}, which makes its "
            "own batches: pass arrays (x, t), or test data as test"
        )
    return split_rows(train, share, 0 if seed is None else seed)
