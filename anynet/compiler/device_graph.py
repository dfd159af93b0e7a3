"""Graphs: a compiled step as one launch, where a device can repeat by itself what it was asked for
once.

A small network's step on a GPU is dozens of calls of some microseconds each, and the calls take
longer than the work. A graph reads and writes where it did when it was captured. So it works on
memory of its own: what it is given is copied there, unless it is the very array of the call before,
as a data set that every step reads, and what it makes is copied for whom it goes to. Numbers are
there as arrays without axes.
"""

import math
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from weakref import ref

from anynet.array import Array, array_namespace, device

Carried = list[tuple[int, int]]

#: One thread captures at a time: libraries have one stream and one memory pool for it.
_capturing = threading.Lock()

#: What stands for numbers while they are written, which may be interrupted: no number is equal to
#: it.
_UNKNOWN = [math.nan]


class GraphDriver(ABC):
    """What a library has for graphs on one device."""

    @abstractmethod
    def current(self) -> AbstractContextManager[None]:
        """Return the context in which all below is called."""

    @abstractmethod
    def capture(
        self, function: Callable[[], list[Array]]
    ) -> tuple[Callable[[], object], list[Array]]:
        """Return the launch of all that the function asks the device for, and its results, which a
        launch writes.

        The function is called twice, and the first time does what it is asked for. It is to be kept
        as long as it is launched: it has what the device reads.
        """

    @abstractmethod
    def wait(self) -> None:
        """Let what comes wait for the last call, wherever that was."""

    @abstractmethod
    def memory(self, arrays: list[Array]) -> list[Array]:
        """Return memory for as many arrays of the same kinds, which may be one piece."""

    @abstractmethod
    def copy(self, to: list[Array], given: list[Array]) -> None:
        """Copy arrays to memory."""

    def together(self, arrays: list[Array]) -> list[Array]:
        """Return results from where they can be copied in few calls, while they are captured; here,
        where they are.
        """
        return arrays

    @abstractmethod
    def shares_memory(self, x: Array, y: Array) -> bool:
        """Return whether arrays may be in the same memory; the device does not compute, so this may
        be captured.
        """

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

    The first call is plain, the second captures: it is known then what is given again. A function
    that the device cannot capture stays what it is, with one warning.
    """

    def __init__(
        self,
        function: Callable[..., list[Array]],
        carried: Carried,
        driver: GraphDriver,
    ) -> None:
        self._function = function
        #: As many results, the first ones, go from one call to the next.
        self._carried = len(carried)
        self._driver = driver
        self._before: list[Any] | None = None
        self._captured: _Captured | None = None
        self._refused = False

    def __call__(self, arrays: list[Array], numbers: list[float]) -> list[Array]:
        """Return the function's results."""
        driver, captured = self._driver, self._captured
        with driver.current():
            # The function has memory of its own, too, see `anynet.compiler.buffers`.
            driver.wait()
            if captured is None or not captured.takes(arrays):
                captured = self._begin(arrays, numbers)
                if captured is None:
                    return self._function(*arrays, *numbers)
            driver.copy(captured.own, captured.copied(arrays))
            if numbers != captured.values:
                values, captured.values = (
                    captured.values,
                    _UNKNOWN * len(numbers),
                )
                for there, value, before in zip(captured.numbers, numbers, values, strict=True):
                    if value != before:
                        there[...] = value
                captured.values = numbers
            captured.launch()
            # A loss that is kept is not to keep all parameters of its time.
            new = driver.memory(captured.results[: self._carried])
            for result in captured.results[self._carried :]:
                new += driver.memory([result])
            driver.copy(new, captured.results)
        return new

    def _begin(self, arrays: list[Array], values: list[float]) -> _Captured | None:
        if self._refused:
            return None
        if self._before is None:
            self._before = [ref(x) for x in arrays]
            return None
        driver = self._driver
        before = self._captured.held if self._captured else [known() for known in self._before]
        held = [x if x is known else None for x, known in zip(arrays, before, strict=True)]
        copied = [x for x, kept in zip(arrays, held, strict=True) if kept is None]
        own, dtype = driver.memory(copied), driver.number_dtype(arrays)
        copies = iter(own)
        inputs = [next(copies) if kept is None else kept for kept in held]
        numbers = [
            array_namespace(*arrays).full((), x, dtype=dtype, device=device(arrays[0]))
            for x in values
        ]

        def function() -> list[Array]:
            found = self._function(*inputs, *numbers)
            return driver.together(found[: self._carried]) + found[self._carried :]

        try:
            driver.copy(own, copied)
            with _capturing:
                launch, results = driver.capture(function)
        except Exception as error:
            _warn(error)
            self._refused = True
            return None
        self._captured = _Captured(launch, function, held, own, numbers, values, results)
        return self._captured


@dataclass
class _CapturedLoop:
    """What is launched for each entry, and the memory that it reads and writes."""

    launch: Callable[[], object]
    function: Callable[[], list[Array]]
    #: Shape and dtype of the entries, and how many numbers each has.
    kind: Any
    #: What is read where it is, and memory for the other arguments, the carried ones first.
    held: dict[int, Array]
    own: dict[int, Array]
    #: Memory for all entries, their numbers, the index of the next one, and all results that are
    #: not carried.
    entries: Array
    numbers: Array
    next: Array
    others: list[Array]

    def replaced(self, given: list[Array]) -> list[int]:
        """Return the arguments that are read where they were, and are other arrays now."""
        return [i for i, x in self.held.items() if x is not given[i]]


class Loop:
    """The function called for each of the entries of an array, which it takes as its last array;
    see `Backend.loop`.

    What is carried stays in memory of the graph from one launch to the next, and the index of the
    entry is there too: launches follow each other with nothing in between.
    """

    def __init__(
        self,
        function: Callable[..., list[Array]],
        carried: Carried,
        driver: GraphDriver,
    ) -> None:
        self._function = function
        self._carried = carried
        self._driver = driver
        self._captured: _CapturedLoop | None = None
        self._refused = False

    def __call__(
        self,
        given: list[Array],
        entries: Array,
        numbers: list[list[float]],
        start: int,
        stop: int,
    ) -> tuple[list[Array], list[Array]]:
        """Return what is carried, and the other results of all calls, stacked."""
        driver, xp = self._driver, array_namespace(entries)
        with driver.current():
            driver.wait()
            captured = self._begin(given, entries, numbers)
            if captured is None:
                return self._plainly(given, entries, numbers, start, stop)
            own = list(captured.own.values())
            values = xp.asarray(
                numbers,
                dtype=captured.numbers.dtype,
                device=device(entries),
            )
            given = [given[i] for i in captured.own]
            driver.copy(
                [*own, captured.entries, captured.numbers],
                [*given, entries, values],
            )
            captured.next[...] = start
            for _ in range(start, stop):
                captured.launch()
            state = own[: len(self._carried)]
            others = [x[start:stop, ...] for x in captured.others]
            new, stacked = (
                driver.memory(state),
                [x for other in others for x in driver.memory([other])],
            )
            driver.copy([*new, *stacked], [*state, *others])
        return new, stacked

    def _begin(
        self, given: list[Array], entries: Array, numbers: list[list[float]]
    ) -> _CapturedLoop | None:
        """Return the graph for these arguments, captured if there is none; None where the device
        refuses.
        """
        if self._refused:
            return None
        kind = entries.shape, entries.dtype, len(numbers[0])
        captured = self._captured
        if captured is None:
            places = [argument for argument, _ in self._carried]
        else:
            replaced = captured.replaced(given)
            if kind == captured.kind and not replaced:
                return captured
            places = [*captured.own, *replaced]
        try:
            # Set once it is complete: what interrupts a capture leaves the graph of before.
            self._captured = self._capture(kind, places, given, entries, numbers)
        except Exception as error:
            _warn(error)
            self._refused = True
            return None
        return self._captured

    def _capture(
        self,
        kind: Any,
        places: list[int],
        given: list[Array],
        entries: Array,
        numbers: list[list[float]],
    ) -> _CapturedLoop:
        """Capture the function on memory for the arguments at these places, the carried ones
        first.
        """
        driver, xp, place = (
            self._driver,
            array_namespace(entries),
            device(entries),
        )
        memory = driver.memory([given[i] for i in places])
        own = dict(zip(places, memory, strict=True))
        all_entries = xp.asarray(entries, copy=True)
        all_numbers = xp.asarray(numbers, dtype=driver.number_dtype(given), device=place)
        index = xp.zeros(1, dtype=xp.int64, device=place)
        stacked: list[Array] = []
        driver.copy(memory, [given[i] for i in places])
        arguments = [own.get(i, x) for i, x in enumerate(given)]
        every = xp.arange(entries.shape[0], device=place)
        state = memory[: len(self._carried)]

        def function() -> list[Array]:
            entry, values = (xp.take(x, index, axis=0)[0, ...] for x in (all_entries, all_numbers))
            found = self._function(
                *arguments,
                entry,
                *(values[i] for i in range(values.shape[0])),
            )
            carried = {result for _, result in self._carried}
            others = [x for i, x in enumerate(found) if i not in carried]
            if not stacked:
                stacked.extend(
                    xp.zeros(
                        (every.shape[0], *x.shape),
                        dtype=x.dtype,
                        device=place,
                    )
                    for x in others
                )
            for all_, x in zip(stacked, others, strict=True):
                here = xp.reshape(every == index, (-1,) + (1,) * x.ndim)
                driver.copy([all_], [xp.where(here, x, all_)])
            driver.copy(
                state,
                self._apart([found[result] for _, result in self._carried], state),
            )
            index[...] = index + 1
            return []

        with _capturing:
            launch, _ = driver.capture(function)
        held = {i: x for i, x in enumerate(given) if i not in own}
        return _CapturedLoop(
            launch,
            function,
            kind,
            held,
            own,
            all_entries,
            all_numbers,
            index,
            stacked,
        )

    def _apart(self, new: list[Array], state: list[Array]) -> list[Array]:
        """Return new state, copied where it is in memory of the state, as the old value of another
        argument is.

        All of it is read before any of it is written.
        """
        driver = self._driver
        # In its own place it stays as it is.
        moved = [
            i
            for i, x in enumerate(new)
            if x is not state[i] and any(driver.shares_memory(x, memory) for memory in state)
        ]
        new = list(new)
        for i, copied in zip(moved, driver.memory([new[i] for i in moved]), strict=True):
            driver.copy([copied], [new[i]])
            new[i] = copied
        return new

    def _plainly(
        self,
        given: list[Array],
        entries: Array,
        numbers: list[list[float]],
        start: int,
        stop: int,
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
    warnings.warn(
        f"a compiled step is no graph, its calls are made one by one: {error!r}",
        stacklevel=7,
    )
