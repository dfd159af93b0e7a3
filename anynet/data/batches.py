"""Batches from any iterable, such as a list or a PyTorch DataLoader."""

import inspect
import operator
from collections.abc import Callable, Iterable, Iterator
from numbers import Number
from typing import Any

from anynet.arguments import describe
from anynet.array import is_array, unrecorded
from anynet.backend import Backend
from anynet.callables import takes
from anynet.data.rows import Batch, check_finite, check_rows, check_weights, map_rows
from anynet.errors import ArgumentError, ArgumentTypeError, DataError

#: A source of batches: an iterable of them, or a function that returns one.
Source = Iterable[Batch] | Callable[[], Iterable[Batch]]


class Batches:
    """The batches of another iterable, brought to a backend.

    `first` returns the first batch before a pass begins. The next pass begins with that batch, so
    each pass reads the iterable once.

    Args:
        name: the name of the argument, for errors.
        source: an iterable of batches (x, t) or (x, t, weights), or a function without arguments
            that returns one, called for each pass.
        backend: where the batches go. None leaves them where they are.
        passes: how often the batches will be read.
        steps: the number of batches of each pass. A pass then goes on where the last one stopped,
            and begins the iterable again at its end. By default a pass reads the whole iterable.

    Raises:
        ArgumentTypeError: the source is not an iterable of batches.
        ArgumentError: the source can be read only once, passes is above 1, and there are no steps.

    """

    def __init__(
        self,
        name: str,
        source: Any,
        backend: Backend | None,
        passes: int,
        steps: int | None = None,
    ) -> None:
        self._name = name
        self._source = source
        self._backend = backend
        self._steps = steps
        self._first: Batch | None = None
        # Whether it is a generator that was read from before.
        is_generator = inspect.isgenerator(source)
        self._is_begun = is_generator and inspect.getgeneratorstate(source) != inspect.GEN_CREATED
        #: The rest of the iterable, None before it is read.
        self._rest: Iterator[Batch] | None = None
        #: How many batches were read in all, and in the last pass over the iterable.
        self._read = 0
        self._length: int | None = None
        if not _gives_batches(source):
            function = ", a function that takes arguments" if inspect.isroutine(source) else ""
            raise ArgumentTypeError(
                f"{name} is {describe(source)}{function}: wanted two arrays in one tuple (x, t), "
                "or (x, t, weights), a Loader, or an iterable of batches (x, t), such as a list or "
                "a PyTorch DataLoader"
            )
        if passes > 1 and steps is None and isinstance(source, Iterator):
            raise ArgumentError(
                f"{name} is {describe(source)}, which can be read only once, and epochs is "
                f"{passes}: wanted a list, a Loader, a PyTorch DataLoader, or the function that "
                "makes the generator, as in fit(net, batches) in place of fit(net, batches())"
                + ("; with steps_per_epoch a generator is read on" if name == "train" else "")
            )

    @property
    def can_begin_again(self) -> bool:
        """Whether the data can be read once more, which a generator cannot."""
        return not isinstance(self._source, Iterator)

    def first(self) -> Batch:
        """Return the first batch of the next pass.

        Raises:
            DataError: there is no batch, or its values are not finite.

        """
        if self._first is None:
            first = self._next()
            if first is None:
                raise self._empty()
            check_finite(*first[:2], f"batch {self._read} of {self._name}: ")
            self._first = first
        return self._first

    def __iter__(self) -> Iterator[Batch]:
        if self._steps is None:
            return self._whole_pass()
        return self._steps_on(self._steps)

    def _whole_pass(self) -> Iterator[Batch]:
        """Yield the batches of the iterable, which begins again unless `first` has begun it."""
        if self._first is None:
            self._rest = None
        batch: Batch | None = self.first()
        self._first = None
        steps = 0
        while batch is not None:
            yield batch
            steps += 1
            batch = self._next()
        self._length = steps
        self._rest = None

    def _steps_on(self, steps: int) -> Iterator[Batch]:
        """Yield this many batches, which go on from one pass to the next."""
        for _ in range(steps):
            yield self._step()

    def _step(self) -> Batch:
        """Return the next batch of an iterable that begins again at its end."""
        batch = self._first or self._next()
        self._first = None
        if batch is None and not isinstance(self._source, Iterator):
            self._rest = None
            batch = self._next()
        if batch is None:
            raise self._empty()
        return batch

    def skip(self, count: int) -> None:
        """Read this many batches that an earlier run has used, unless a generator is past them."""
        for _ in range(0 if self._is_begun else count):
            self._step()

    def _next(self) -> Batch | None:
        """Return the next batch of the iterable, None at its end."""
        if self._rest is None:
            self._rest = self._begin()
        return next(self._rest, None)

    def _begin(self) -> Iterator[Batch]:
        self._read = 0
        batches = self._source if _is_iterable(self._source) else self._source()
        for batch in batches:
            self._read += 1
            yield self._checked(batch, f"batch {self._read} of {self._name}")

    def _empty(self) -> DataError:
        """Return the error for an iterable without a next batch."""
        if self._steps is not None and self._read:
            return DataError(
                f"{self._name} ended after {self._read} batches and steps_per_epoch is "
                f"{self._steps}: wanted that many for each epoch; lower epochs or steps_per_epoch, "
                "or pass the function that makes the generator, which is then called again"
            )
        again = "" if self._length is None else " any more"
        return DataError(
            f"{self._name} gave no batch{again}: wanted one or more each time it is read"
        )

    def __length_hint__(self) -> int:
        """Return how many batches a pass has, 0 if that is unknown."""
        if self._steps is not None:
            return self._steps
        return operator.length_hint(self._source, 0) if self._length is None else self._length

    def _checked(self, batch: Any, where: str) -> Batch:
        """Return a batch on the backend."""
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            length = f", of {len(batch)}" if isinstance(batch, tuple | list) else ""
            raise DataError(
                f"{where} is a {type(batch).__name__}{length}: wanted (x, t), two arrays or tuples "
                "or dicts of them, or (x, t, weights)"
            )
        if any(
            isinstance(value, Number) or (is_array(value) and value.ndim == 0) for value in batch
        ):
            raise DataError(
                f"{where} is a single example: wanted arrays with one row per example, as those of "
                "Loader(x, t) or of PyTorch's DataLoader(dataset, batch_size=100)"
            )
        x, t, *weights = [map_rows(self._brought, value) for value in batch]
        check_rows(x, t, f"{where}: ", *weights)
        if not weights:
            return x, t
        check_weights(weights[0], f"{where}: ")
        return x, t, weights[0]

    def _brought(self, value: Any) -> Any:
        """Return an array on the backend, and anything else as it is."""
        if self._backend is None or not is_array(value):
            return value
        return self._backend.split(self._backend.asarray(unrecorded(value)))


def _is_iterable(source: Any) -> bool:
    return hasattr(source, "__iter__") or hasattr(source, "__getitem__")


def _gives_batches(source: Any) -> bool:
    if isinstance(source, type | str | bytes | dict) or is_array(source):
        return False
    if isinstance(source, tuple | list):
        # Three arrays, as x, t and weights, are no batches.
        return not any(map(is_array, source))
    return _is_iterable(source) or (callable(source) and takes(source, 0))
