"""Graphs: a compiled step as one launch, where a device can repeat by itself what it was asked for once.

A small network's step on a GPU is dozens of calls of some microseconds each, and the calls take longer than the work.
A graph reads and writes where it did when it was captured. So it works on memory of its own: what it is given is copied
there, unless it is the very array of the call before, as a data set that every step reads, and what it makes is copied
for whom it goes to. Numbers are there as arrays without axes.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from weakref import ref

from anynet.array import Array, array_namespace, device

Carried = list[tuple[int, int]]


class Launches(ABC):
    """What a library has for graphs on one device."""

    @abstractmethod
    def current(self) -> AbstractContextManager[None]:
        """Return the context in which all below is called."""

    @abstractmethod
    def capture(self, function: Callable[[], list[Array]]) -> tuple[Callable[[], object], list[Array]]:
        """Return the launch of all that the function asks the device for, and its results, which a launch writes.

        The function is called twice, and the first time does what it is asked for. It is to be kept as long as it is
        launched: it has what the device reads.
        """

    @abstractmethod
    def wait(self) -> None:
        """Let what comes wait for the last launch, wherever that was."""

    @abstractmethod
    def memory(self, arrays: list[Array]) -> list[Array]:
        """Return memory for as many arrays of the same kinds, which may be one piece."""

    @abstractmethod
    def copy(self, to: list[Array], given: list[Array]) -> None:
        """Copy arrays to memory."""

    def together(self, arrays: list[Array]) -> list[Array]:
        """Return results from where they can be copied in few calls, while they are captured; here, where they are."""
        return arrays

    @abstractmethod
    def number_dtype(self, arrays: list[Array]) -> Any:
        """Return a dtype for numbers that leaves those of the arrays as they are."""


@dataclass
class _Captured:
    """What is launched, the memory that it reads and writes, and the numbers that are there now."""

    launch: Callable[[], object]
    function: Callable[[], list[Array]]
    #: For each array that is given: itself where it is read, None where a copy is.
    held: list[Array | None]
    own: list[Array]
    numbers: list[Array]
    values: list[float]
    results: list[Array]

    def takes(self, arrays: list[Array]) -> bool:
        """Tell whether all arrays that are read where they are have been given."""
        return all(held is None or held is x for held, x in zip(self.held, arrays, strict=True))

    def copied(self, arrays: list[Array]) -> list[Array]:
        """Return those of the arrays that are copied."""
        return [x for held, x in zip(self.held, arrays, strict=True) if held is None]


class Graph:
    """A function of arrays and numbers that returns a list of arrays and changes nothing.

    The first call is plain, the second captures: it is known then what is given again. A function that the device
    cannot capture stays what it is, with one warning.
    """

    def __init__(self, function: Callable[..., list[Array]], carried: Carried, launches: Launches) -> None:
        self._function = function
        #: As many results, the first ones, go from one call to the next.
        self._carried = len(carried)
        self._launches = launches
        self._before: list[Any] | None = None
        self._captured: _Captured | None = None
        self._refused = False

    def __call__(self, arrays: list[Array], numbers: list[float]) -> list[Array]:
        """Return the function's results."""
        launches, captured = self._launches, self._captured
        with launches.current():
            if captured is None or not captured.takes(arrays):
                captured = self._begin(arrays, numbers)
                if captured is None:
                    return self._function(*arrays, *numbers)
            launches.wait()
            launches.copy(captured.own, captured.copied(arrays))
            if numbers != captured.values:
                for there, value, before in zip(captured.numbers, numbers, captured.values, strict=True):
                    if value != before:
                        there[...] = value
                captured.values = numbers
            captured.launch()
            # A loss that is kept is not to keep all parameters of its time.
            new = launches.memory(captured.results[: self._carried])
            for result in captured.results[self._carried :]:
                new += launches.memory([result])
            launches.copy(new, captured.results)
        return new

    def _begin(self, arrays: list[Array], values: list[float]) -> _Captured | None:
        if self._refused:
            return None
        if self._before is None:
            self._before = [ref(x) for x in arrays]
            return None
        launches = self._launches
        before = self._captured.held if self._captured else [known() for known in self._before]
        held = [x if x is known else None for x, known in zip(arrays, before, strict=True)]
        copied = [x for x, kept in zip(arrays, held, strict=True) if kept is None]
        own, dtype = launches.memory(copied), launches.number_dtype(arrays)
        copies = iter(own)
        inputs = [next(copies) if kept is None else kept for kept in held]
        numbers = [array_namespace(*arrays).full((), x, dtype=dtype, device=device(arrays[0])) for x in values]

        def function() -> list[Array]:
            found = self._function(*inputs, *numbers)
            return launches.together(found[: self._carried]) + found[self._carried :]

        try:
            launches.copy(own, copied)
            launch, results = launches.capture(function)
        except Exception as error:
            _warn(error)
            self._refused = True
            return None
        self._captured = _Captured(launch, function, held, own, numbers, values, results)
        return self._captured


class Loop:
    """The function called for each of the entries of an array, which it takes as its last array; see `Backend.loop`.

    What is carried stays in memory of the graph from one launch to the next, and the number of the entry is there too:
    launches follow each other with nothing in between.
    """

    def __init__(self, function: Callable[..., list[Array]], carried: Carried, launches: Launches) -> None:
        self._function = function
        self._carried = carried
        self._launches = launches
        self._launch: Callable[[], object] | None = None
        self._captured: Callable[[], list[Array]] | None = None
        self._kind: Any = None
        self._refused = False
        #: What is read where it is, and memory for the other arguments, the carried ones first.
        self._held: dict[int, Array] = {}
        self._own: dict[int, Array] = {}
        #: Memory for all entries, their numbers, the number of the next one, and all results that are not carried.
        self._entries: Array = None
        self._numbers: Array = None
        self._next: Array = None
        self._others: list[Array] = []

    def __call__(
        self, given: list[Array], entries: Array, numbers: list[list[float]], start: int, stop: int
    ) -> tuple[list[Array], list[Array]]:
        """Return what is carried, and the other results of all calls, stacked."""
        launches, xp = self._launches, array_namespace(entries)
        with launches.current():
            launches.wait()
            if not self._ready(given, entries, numbers):
                return self._plainly(given, entries, numbers, start, stop)
            assert self._launch is not None
            values = xp.asarray(numbers, dtype=self._numbers.dtype, device=device(entries))
            given = [given[i] for i in self._own]
            launches.copy([*self._own.values(), self._entries, self._numbers], [*given, entries, values])
            self._next[...] = start
            for _ in range(start, stop):
                self._launch()
            state = list(self._own.values())[: len(self._carried)]
            others = [x[start:stop, ...] for x in self._others]
            new, stacked = launches.memory(state), [x for other in others for x in launches.memory([other])]
            launches.copy([*new, *stacked], [*state, *others])
        return new, stacked

    def _ready(self, given: list[Array], entries: Array, numbers: list[list[float]]) -> bool:
        """Tell whether there is a graph; capture it if there is none for these arguments."""
        if self._refused:
            return False
        kind = entries.shape, entries.dtype, len(numbers[0])
        others = [i for i, x in self._held.items() if x is not given[i]]
        if kind == self._kind and not others:
            return True
        first = [argument for argument, _ in self._carried] if self._kind is None else list(self._own)
        places = [*first, *others]
        self._own = dict(zip(places, self._launches.memory([given[i] for i in places]), strict=True))
        self._held = {i: x for i, x in enumerate(given) if i not in self._own}
        self._kind = kind
        try:
            self._capture(given, entries, numbers)
        except Exception as error:
            _warn(error)
            self._refused = True
        return not self._refused

    def _capture(self, given: list[Array], entries: Array, numbers: list[list[float]]) -> None:
        launches, xp, place = self._launches, array_namespace(entries), device(entries)
        self._entries = xp.asarray(entries, copy=True)
        self._numbers = xp.asarray(numbers, dtype=launches.number_dtype(given), device=place)
        self._next = xp.zeros(1, dtype=xp.int64, device=place)
        self._others = []
        launches.copy(list(self._own.values()), [given[i] for i in self._own])
        arguments = [self._own.get(i, x) for i, x in enumerate(given)]
        every = xp.arange(entries.shape[0], device=place)

        def function() -> list[Array]:
            entry, values = (xp.take(x, self._next, axis=0)[0, ...] for x in (self._entries, self._numbers))
            found = self._function(*arguments, entry, *(values[i] for i in range(values.shape[0])))
            carried = {result for _, result in self._carried}
            others = [x for i, x in enumerate(found) if i not in carried]
            if not self._others:
                self._others = [xp.zeros((every.shape[0], *x.shape), dtype=x.dtype, device=place) for x in others]
            for all_, x in zip(self._others, others, strict=True):
                here = xp.reshape(every == self._next, (-1,) + (1,) * x.ndim)
                launches.copy([all_], [xp.where(here, x, all_)])
            new = [found[result] for _, result in self._carried]
            launches.copy(list(self._own.values())[: len(new)], new)
            self._next[...] = self._next + 1
            return []

        self._launch, _ = launches.capture(function)
        self._captured = function

    def _plainly(
        self, given: list[Array], entries: Array, numbers: list[list[float]], start: int, stop: int
    ) -> tuple[list[Array], list[Array]]:
        carried, rows = {result for _, result in self._carried}, []
        for i in range(start, stop):
            found = self._function(*given, entries[i, ...], *numbers[i])
            given = list(given)
            for argument, result in self._carried:
                given[argument] = found[result]
            rows.append([x for j, x in enumerate(found) if j not in carried])
        stacked = [array_namespace(*column).stack(column) for column in zip(*rows, strict=True)]
        return [given[argument] for argument, _ in self._carried], stacked


def _warn(error: Exception) -> None:
    warnings.warn(f"a compiled step is no graph, its calls are made one by one: {error!r}", stacklevel=7)
