"""Mini-batches: rows of the data, taken on the device."""

from collections.abc import Iterator
from copy import copy
from typing import Any

from anynet import random
from anynet.arguments import check_flag, whole_number
from anynet.array import Array, array_namespace, device
from anynet.backend import get_backend
from anynet.data.augment.call import Augmentation, needs_labels, with_labels
from anynet.data.rows import (
    Batch,
    Rows,
    check_finite,
    check_rows,
    check_weights,
    first_array,
    map_rows,
    slice_rows,
    take_rows,
)
from anynet.errors import ArgumentError, DataError
from anynet.state import check_count, check_state


class Loader:
    """An iterable of mini-batches (rows of x, rows of t), in a new order at each pass.

    With weights a batch is (rows of x, rows of t, their weights).

    The order of an epoch depends only on the seed and the number of the epoch. All arrays stay on
    the device of the data. `state_dict` returns the position, also in the middle of an epoch.

    Args:
        x: floating, (N, …), or a tuple or dict of arrays with N rows, for a network with several
            inputs.
        t: class indices, integers (N,), or targets (N, …), or a tuple or dict of such arrays.
            `anynet.fit` checks whether they fit the loss.
        batch_size: 1 or more. The last batch is shorter if it does not divide N.
        seed: for the shuffles.
        shuffle: False keeps the order of the data.
        drop_last: leave out a shorter last batch.
        weights: of the rows, (N,), each 0 or more.
        augment: called as augment(key, rows of x) for each batch, returns the rows to train on; see
            `random_affine`. If it needs three arguments, called as augment(key, rows of x, rows of
            t), returns both; see `mixup`.

    Raises:
        DataError: there are no data, x and t differ in length, or a value is NaN or infinite.
        MixedArraysError: x and t are on two libraries or devices.
        ArgumentError: the batch size is below 1, or above N when the last batch is dropped.
        ArgumentTypeError: the batch size is not a whole number, a flag is not True or False, or the
            augmentation does not take a key and rows.

    Source: Deep Learning from Scratch, chapter 4.5.

    >>> import numpy as np
    >>> from anynet.data import Loader
    >>> loader = Loader(np.ones((5, 2)), np.asarray([0, 1, 2, 3, 4]), batch_size=2, shuffle=False)
    >>> [t.tolist() for x, t in loader]
    [[0, 1], [2, 3], [4]]

    """

    def __init__(
        self,
        x: Rows,
        t: Rows,
        batch_size: int = 100,
        *,
        weights: Array | None = None,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        augment: Augmentation | None = None,
    ) -> None:
        batch_size = whole_number("batch_size", batch_size, 1)
        check_flag("shuffle", shuffle)
        check_flag("drop_last", drop_last)
        if augment is not None and needs_labels("augment", augment) and weights is not None:
            raise ArgumentError(
                "augment changes labels, as of several rows at once, and weights are of single "
                "rows: leave one of the two out"
            )
        check_rows(x, t, "", weights)
        check_finite(x, t)
        if weights is not None:
            check_weights(weights)
        #: The number of rows.
        self.rows = int(first_array(x).shape[0])
        if drop_last and batch_size > self.rows:
            raise ArgumentError(
                f"batch_size is {batch_size} and there are {self.rows} rows: no batch would be left"
            )
        # Lists become tuples, which nobody changes.
        self.x = map_rows(lambda array: array, x)
        self.t = map_rows(lambda array: array, t)
        self.weights = weights
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.augment = augment
        #: The number of the epoch, from 0, and the index of its next batch.
        self.epoch = 0
        self.batch = 0
        # Whether an epoch runs, which the next one would cut short.
        self._is_open = False
        self._key = random.key(seed, get_backend(first_array(x)))

    def in_order(self, batch_size: int) -> "Loader":
        """Return a loader of the same rows in order, each once, without augmentation or weights."""
        loader = copy(self)
        loader.batch_size = batch_size
        loader.shuffle = loader.drop_last = loader._is_open = False
        loader.augment = loader.weights = None
        loader.epoch = loader.batch = 0
        return loader

    def part(self, start: int, stop: int) -> "Loader":
        """Return a loader of the rows from start to stop in order, each once."""
        loader = self.in_order(self.batch_size)
        rows = slice(start, stop)
        loader.x, loader.t = slice_rows(self.x, rows), slice_rows(self.t, rows)
        loader.rows = stop - start
        return loader

    @property
    def parts(self) -> Batch:
        """All rows: (x, t), or (x, t, weights)."""
        return (self.x, self.t) if self.weights is None else (self.x, self.t, self.weights)

    def __len__(self) -> int:
        whole, rest = divmod(self.rows, self.batch_size)
        return whole if self.drop_last or not rest else whole + 1

    def start_epoch(self) -> Array | None:
        """Begin an epoch and return the indices of its rows, None for the order of the data.

        After `load_state_dict` and `resume` it is the epoch of that position, and its next batch is
        ``loader.batch``. Set ``loader.batch`` after each batch, and call `end_epoch` at the end.
        """
        return self._begin()[1]

    def end_epoch(self) -> None:
        """End the epoch. The next one begins at its first batch."""
        self.epoch += 1
        self.batch = 0
        self._is_open = False

    def resume(self) -> None:
        """Let the next epoch go on with the rest of an epoch that was cut short."""
        self._is_open = False

    @property
    def next_batch(self) -> int:
        """The index of the batch that the next epoch begins with: 0, or the position to go on."""
        return 0 if self._is_open else self.batch

    def state_dict(self) -> dict[str, Any]:
        """Return the position, and the settings that decide the order of the batches.

        >>> import numpy as np
        >>> from anynet.data import Loader
        >>> loader = Loader(np.ones((4, 2)), np.arange(4), batch_size=2)
        >>> _ = next(iter(loader))
        >>> loader.state_dict()["epoch"], loader.state_dict()["batch"]
        (0, 1)

        """
        return {"epoch": self.epoch, "batch": self.batch, **self._settings()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at the position of another loader. The next epoch begins with its next batch.

        Args:
            state: from `state_dict` of a loader with the same settings and number of rows.

        Raises:
            ArgumentError: the settings differ, or there is no such position.

        >>> import numpy as np
        >>> from anynet.data import Loader
        >>> first, second = [Loader(np.ones((4, 2)), np.arange(4), batch_size=2) for _ in "ab"]
        >>> batches = iter(first)
        >>> _ = next(batches)
        >>> second.load_state_dict(first.state_dict())
        >>> [t.tolist() for _, t in batches] == [t.tolist() for _, t in second]
        True

        """
        check_state("a loader", state, self.state_dict())
        different = [
            f"{name} is {value!r} here and {state[name]!r} in the state"
            for name, value in self._settings().items()
            if state[name] != value
        ]
        if different:
            raise ArgumentError(
                f"the state is of another loader: {', '.join(different)}: make the loader with the "
                "same data and settings"
            )
        epoch = check_count("the epoch of the state", state["epoch"])
        batch = check_count("the batch of the state", state["batch"])
        if batch > len(self):
            raise ArgumentError(
                f"the batch of the state is {batch}: wanted 0 to {len(self)}, the number of batches"
            )
        self.epoch = epoch
        self.batch = batch
        self._is_open = False

    def _settings(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "batch_size": self.batch_size,
            "seed": int(self.seed),
            "shuffle": bool(self.shuffle),
            "drop_last": bool(self.drop_last),
        }

    def _begin(self) -> tuple[Array, Array | None]:
        if self._is_open:
            self.end_epoch()
        self._is_open = True
        key = random.fold_in(self._key, self.epoch)
        order = random.permutation(key, self.rows) if self.shuffle else None
        if self.weights is not None:
            self._check_weights(self.weights, order)
        return key, order

    def _check_weights(self, weights: Array, order: Array | None) -> None:
        """Raise DataError if all weights of a batch of this epoch are 0."""
        xp = array_namespace(weights)
        positive = xp.astype(weights > 0, xp.float32)
        if order is not None:
            positive = take_rows(positive, order)
        # The last batch may be shorter.
        missing = (-self.rows % self.batch_size,)
        padding = xp.zeros(missing, dtype=xp.float32, device=device(weights))
        batches = xp.reshape(xp.concat([positive, padding]), (-1, self.batch_size))
        counts = xp.sum(batches, axis=1)[: len(self)]
        if float(xp.min(counts)) == 0:
            raise DataError(
                f"all weights of batch {int(xp.argmin(counts)) + 1} of pass {self.epoch + 1} are "
                "0: leave out rows of weight 0, or make the batches larger"
            )

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self.batches_in(None)

    def batches_in(self, group: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the batches of the next epoch, in a group the rows of this rank alone.

        The rank's `anynet.distributed.Share` comes before its rows. An augmentation needs the whole
        batch, which is then yielded.

        Args:
            group: an `anynet.distributed.Group`, or None.

        """
        key, order = self._begin()
        epoch, parts = self.epoch, self.parts
        split = get_backend(first_array(self.x)).split
        augment = None if self.augment is None else with_labels(self.augment)
        for i in range(self.batch, len(self)):
            start, stop = i * self.batch_size, min((i + 1) * self.batch_size, self.rows)
            share = None
            if group is not None and augment is None:
                share = group.share(stop - start)
                start, stop = start + share.start, start + share.stop
            here = slice(start, stop)
            if order is None:
                x, *others = [map_rows(split, slice_rows(part, here)) for part in parts]
            else:
                rows = split(order[here])
                x, *others = [take_rows(part, rows) for part in parts]
            if augment is not None:
                x, others[0] = augment(random.fold_in(key, i), x, others[0])
            # Another pass may have begun since.
            if self.epoch == epoch:
                self.batch = i + 1
            if share is None:
                yield x, *others
            else:
                yield share, x, *others
        if self.epoch == epoch:
            self.end_epoch()


def random_batch(
    key: Array,
    size: int,
    x: Array,
    t: Array,
) -> tuple[Array, Array]:
    """Return rows of x and t, sampled with replacement.

    Args:
        key: from `anynet.random.key`.
        size: how many rows, 1 or more.
        x: (N, …).
        t: (N, …).

    Raises:
        ArgumentError: the size is below 1.

    Source: Deep Learning from Scratch, chapter 4.2.3.

    >>> import numpy as np
    >>> from anynet import random
    >>> from anynet.data import random_batch
    >>> x = np.asarray([0.0, 10.0, 20.0])
    >>> rows, labels = random_batch(random.key(0, "numpy"), 4, x, np.asarray([0, 1, 2]))
    >>> rows.shape, bool((rows == 10 * labels).all())
    ((4,), True)

    """
    size = whole_number("size", size, 1)
    rows = random.integers(key, (size,), 0, x.shape[0])
    return take_rows(x, rows), take_rows(t, rows)
