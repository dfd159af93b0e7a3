"""Mini-batches: random rows of the data, gathered on the device."""

from collections.abc import Iterator
from typing import Any

from anynet import random
from anynet.arguments import check_flag, describe, whole_number
from anynet.array import (
    Array,
    array_namespace,
    is_array,
    is_floating,
    is_mixed,
    mixed_message,
)
from anynet.backend import get_backend
from anynet.callables import takes
from anynet.data.augment import Augmentation
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    MixedArraysError,
)
from anynet.tracing.standard import STANDARD

#: The standard's function, by a backend's kernel where there is one.
_take = STANDARD["take"]


class Loader:
    """One pass over (x, t) each time it is iterated: mini-batches (rows of x, rows of t), shuffled
    anew each time.

    The shuffle of an epoch comes from the seed and the number of the epoch alone. Everything stays
    on the data's device. Source: Deep Learning from Scratch, chapter 4.5.

    Args:
        x: floating, (N, …).
        t: class indices (N,), integers, or targets (N, …); whether they fit the loss, `anynet.fit`
            checks.
        batch_size: 1 or more; the last batch is shorter where it does not divide N.
        seed: of the shuffles.
        shuffle: False keeps the order of the data.
        drop_last: leave out a last batch that is shorter.
        augment: changes the rows of x of each batch at random, called with a key and them; see
            `random_affine`.

    Raises:
        DataError: no data, x and t of different lengths, or a value that is NaN or infinite.
        MixedArraysError: x and t on two libraries or devices.
        ArgumentError: a batch size below 1, or above N where the last batch is dropped.
        ArgumentTypeError: a batch size that is no whole number, a flag that is not True or False,
            or an augmentation that cannot be called with a key and rows.

    """

    def __init__(
        self,
        x: Array,
        t: Array,
        batch_size: int = 100,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        augment: Augmentation | None = None,
    ) -> None:
        batch_size = whole_number("batch_size", batch_size, 1)
        check_flag("shuffle", shuffle)
        check_flag("drop_last", drop_last)
        if augment is not None and (not callable(augment) or not takes(augment, 2)):
            raise ArgumentTypeError(
                f"augment is {describe(augment)}: wanted a function augment(key, x), such as "
                "data.random_affine()"
            )
        check_rows(x, t)
        check_finite(x, t)
        if drop_last and batch_size > x.shape[0]:
            raise ArgumentError(
                f"batch_size is {batch_size} and there are {x.shape[0]} rows: no batch would be "
                "left"
            )
        self.x = x
        self.t = t
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.augment = augment
        self.epoch = 0
        self._key = random.key(seed, get_backend(x))

    def __len__(self) -> int:
        rows: int = self.x.shape[0]
        whole, rest = divmod(rows, self.batch_size)
        return whole if self.drop_last or not rest else whole + 1

    def start_epoch(self) -> Array | None:
        """Begin an epoch; return the numbers of its rows in order, or None where that is how they
        are.
        """
        return self._begin()[1]

    def _begin(self) -> tuple[Array, Array | None]:
        key = random.fold_in(self._key, self.epoch)
        self.epoch += 1
        return key, random.permutation(key, self.x.shape[0]) if self.shuffle else None

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        rows = self.x.shape[0]
        key, order = self._begin()
        for i in range(len(self)):
            here = slice(i * self.batch_size, min((i + 1) * self.batch_size, rows))
            if order is None:
                x, t = self.x[here, ...], self.t[here, ...]
            else:
                x, t = batch(self.x, self.t, order[here])
            yield (
                x if self.augment is None else self.augment(random.fold_in(key, i), x),
                t,
            )


def random_batch(key: Array, size: int, x: Array, t: Array) -> tuple[Array, Array]:
    """Return ``size`` rows of x and t drawn at random, each row as often as chance has it.

    Source: Deep Learning from Scratch, chapter 4.2.3.
    """
    size = whole_number("size", size, 1)
    rows = random.integers(key, (size,), 0, x.shape[0])
    return batch(x, t, rows)


def batch(x: Array, t: Array, rows: Array) -> tuple[Array, Array]:
    """Return the rows of x and t with these numbers."""
    return _take(x, rows, axis=0), _take(t, rows, axis=0)


def check_rows(x: Any, t: Any, where: str = "") -> None:
    """Check that these are arrays of one library and device with as many rows; errors begin with
    ``where``.
    """
    for name, value in (("x", x), ("t", t)):
        if not is_array(value) or value.ndim == 0:
            raise DataError(
                f"{where}{name} is {describe(value)}: wanted an array with one row per example, as "
                "backend.asarray(…)"
            )
    if is_mixed((x, t)):
        raise MixedArraysError(where + mixed_message((x, t)))
    if x.shape[0] == 0 or x.shape[0] != t.shape[0]:
        raise DataError(
            f"{where}x has {x.shape[0]} rows and t has {t.shape[0]}: wanted the same number, and at "
            "least one"
        )


def check_finite(x: Array, t: Array, where: str = "") -> None:
    """Check that no value is NaN or infinite; errors begin with ``where``."""
    xp = array_namespace(x, t)
    for name, value in (("x", x), ("t", t)):
        if is_floating(value) and not bool(xp.all(xp.isfinite(value))):
            raise DataError(
                f"{where}{name} holds values that are not finite (NaN or infinity): replace or drop "
                "those rows"
            )
