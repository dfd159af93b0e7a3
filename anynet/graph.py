"""Graphs: a compiled step as one launch, where a device can repeat by itself what it was asked for once.

A small network's step on a GPU is dozens of calls of some microseconds each, and the calls take longer than the work.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import ref

from anynet.array import Array


@dataclass
class _Captured:
    """What is launched: the memory that it reads and writes, and what stands there now."""

    launch: Callable[[], object]
    #: For each array that is given: itself where it is read, None where a copy is.
    held: list[Array | None]
    own: list[Array]
    numbers: list[Array]
    values: list[float]
    results: list[Array]

    def takes(self, arrays: list[Array]) -> bool:
        """Tell whether all arrays that are read where they are have been given."""
        return all(held is None or held is x for held, x in zip(self.held, arrays, strict=True))


class Graph(ABC):
    """A function of arrays and numbers that returns a list of arrays and changes nothing.

    A graph reads and writes where it did when it was captured. So what is given is copied to memory of its own, unless
    it is the very array of the call before, as a data set that every step reads; numbers are there as arrays without
    axes; and results are copied for whom they go to. The first call is plain, the second captures. A function that the
    device cannot capture stays what it is, with one warning.
    """

    def __init__(self, function: Callable[..., list[Array]], carried: list[tuple[int, int]]) -> None:
        self._function = function
        #: As many results, the first ones, go from one call to the next.
        self._carried = len(carried)
        self._before: list[Any] | None = None
        self._captured: _Captured | None = None
        self._refused = False

    @abstractmethod
    def capture(self, function: Callable[[], list[Array]]) -> tuple[Callable[[], object], list[Array]]:
        """Return the launch of all that the function asks the device for, and the results, which a launch writes."""

    @abstractmethod
    def wait(self) -> None:
        """Let what comes wait for the last launch, wherever that was."""

    @abstractmethod
    def memory(self, arrays: list[Array]) -> list[Array]:
        """Return memory for as many arrays of the same kinds, which may be one piece."""

    @abstractmethod
    def copy(self, to: list[Array], given: list[Array]) -> None:
        """Copy arrays to memory."""

    @abstractmethod
    def number(self, arrays: list[Array]) -> Array:
        """Return memory for a number, of a dtype that leaves those of the arrays as they are."""

    def __call__(self, arrays: list[Array], numbers: list[float]) -> list[Array]:
        """Return the function's results."""
        captured = self._captured
        if captured is None or not captured.takes(arrays):
            captured = self._begin(arrays, numbers)
            if captured is None:
                return self._function(*arrays, *numbers)
        self.wait()
        self.copy(captured.own, [x for held, x in zip(captured.held, arrays, strict=True) if held is None])
        if numbers != captured.values:
            for there, value, before in zip(captured.numbers, numbers, captured.values, strict=True):
                if value != before:
                    there[...] = value
            captured.values = numbers
        captured.launch()
        # A loss that is kept is not to keep all parameters of its time.
        new = self.memory(captured.results[: self._carried])
        for result in captured.results[self._carried :]:
            new += self.memory([result])
        self.copy(new, captured.results)
        return new

    def _begin(self, arrays: list[Array], values: list[float]) -> _Captured | None:
        """Capture, now that it is known which arrays are given again."""
        if self._refused:
            return None
        if self._before is None:
            self._before = [ref(x) for x in arrays]
            return None
        before = self._captured.held if self._captured else [known() for known in self._before]
        held = [x if x is known else None for x, known in zip(arrays, before, strict=True)]
        copied = [x for x, kept in zip(arrays, held, strict=True) if kept is None]
        own = self.memory(copied)
        numbers = [self.number(arrays) for _ in values]
        copies = iter(own)
        inputs = [next(copies) if kept is None else kept for kept in held]
        try:
            # What stands in the copies does not matter yet, but they may be looked at.
            self.copy(own, copied)
            for number, value in zip(numbers, values, strict=True):
                number[...] = value
            launch, results = self.capture(lambda: self._function(*inputs, *numbers))
        except Exception as error:
            warnings.warn(f"a compiled step is no graph, its calls are made one by one: {error!r}", stacklevel=6)
            self._refused = True
            return None
        self._captured = _Captured(launch, held, own, numbers, values, results)
        return self._captured
