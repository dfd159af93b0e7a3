"""Batches from any iterable, such as a list or a PyTorch DataLoader."""

import inspect
import operator
from collections.abc import Callable, Iterable, Iterator
from numbers import Number
from typing import Any

from anynet.arguments import describe
from anynet.array import Array, is_array, unrecorded
from anynet.backend import Backend
from anynet.callables import takes
from anynet.data.loader import check_finite, check_rows
from anynet.errors import ArgumentError, ArgumentTypeError, DataError

#: A source of batches: an iterable of (x, t), or a function that returns one.
Source = Iterable[tuple[Array, Array]] | Callable[[], Iterable[tuple[Array, Array]]]


class Batches:
    """The batches of another iterable, brought to a backend.

    `first` returns the first batch before a pass begins. The next pass begins with that batch, so
    each pass reads the iterable once.

    Args:
        name: the name of the argument, for errors.
        source: an iterable of pairs of arrays, or a function without arguments that returns one,
            called for each pass.
        backend: where the batches go. None leaves them where they are.
        passes: how often the batches will be read.

    Raises:
        ArgumentTypeError: the source is not an iterable of batches.
        ArgumentError: the source can be read only once, and passes is above 1.

    """

    def __init__(
        self,
        name: str,
        source: Any,
        backend: Backend | None,
        passes: int,
    ) -> None:
        self._name = name
        self._source = source
        self._backend = backend
        self._begun: tuple[tuple[Array, Array], Iterator[tuple[Array, Array]]] | None = None
        self._steps: int | None = None
        if not _gives_batches(source):
            function = ", a function that takes arguments" if inspect.isroutine(source) else ""
            raise ArgumentTypeError(
                f"{name} is {describe(source)}{function}: wanted two arrays in one tuple (x, t), a "
                "Loader, or an iterable of batches (x, t), such as a list or a PyTorch DataLoader"
            )
        if passes > 1 and isinstance(source, Iterator):
            raise ArgumentError(
                f"{name} is {describe(source)}, which can be read only once, and epochs is "
                f"{passes}: wanted a list, a Loader, a PyTorch DataLoader, or the function that "
                "makes the generator, as in fit(net, batches) in place of fit(net, batches())"
            )

    def first(self) -> tuple[Array, Array]:
        """Return the first batch of the next pass.

        Raises:
            DataError: there is no batch, or its values are not finite.

        """
        if self._begun is None:
            batches = self._pass()
            first = next(batches, None)
            if first is None:
                again = "" if self._steps is None else " any more"
                raise DataError(
                    f"{self._name} gave no batch{again}: wanted one or more each time it is read"
                )
            check_finite(*first, f"batch 1 of {self._name}: ")
            self._begun = first, batches
        return self._begun[0]

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        yield self.first()
        assert self._begun is not None
        (_, rest), self._begun = self._begun, None
        steps = 1
        for batch in rest:
            yield batch
            steps += 1
        self._steps = steps

    def __length_hint__(self) -> int:
        """Return how many batches a pass has, 0 if that is unknown."""
        return operator.length_hint(self._source, 0) if self._steps is None else self._steps

    def _pass(self) -> Iterator[tuple[Array, Array]]:
        batches = self._source if _is_iterable(self._source) else self._source()
        for number, batch in enumerate(batches, 1):
            yield self._read(batch, f"batch {number} of {self._name}")

    def _read(self, batch: Any, where: str) -> tuple[Array, Array]:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            length = f", of {len(batch)}" if isinstance(batch, tuple | list) else ""
            raise DataError(
                f"{where} is a {type(batch).__name__}{length}: wanted (x, t), two arrays"
            )
        if any(
            isinstance(value, Number) or (is_array(value) and value.ndim == 0) for value in batch
        ):
            raise DataError(
                f"{where} is a single example: wanted arrays with one row per example, as those of "
                "Loader(x, t) or of PyTorch's DataLoader(dataset, batch_size=100)"
            )
        x, t = batch
        if self._backend is not None:
            x, t = (
                self._backend.asarray(unrecorded(value)) if is_array(value) else value
                for value in batch
            )
        check_rows(x, t, f"{where}: ")
        return x, t


def _is_iterable(source: Any) -> bool:
    return hasattr(source, "__iter__") or hasattr(source, "__getitem__")


def _gives_batches(source: Any) -> bool:
    if isinstance(source, type | str | bytes | dict) or is_array(source):
        return False
    if isinstance(source, tuple | list):
        # Three arrays, as x, t and weights, are no batches.
        return not any(map(is_array, source))
    return _is_iterable(source) or (callable(source) and takes(source, 0))
