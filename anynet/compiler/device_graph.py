"""Device graphs: a compiled step as one launch.

A small network's step on a GPU is dozens of calls of a few microseconds each, and the calls take
longer than the work. A graph is those calls, captured once. It reads and writes the memory that it
was captured with. So a graph has memory of its own. Each launch copies its arguments there, except
for an array that every call gets again, such as a data set. Each launch also copies the results, to
new arrays. Scalars are arrays without axes.
"""

import math
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import ref

from anynet.array import Array, DType, array_namespace, device


class Carry(NamedTuple):
    """A result that the next call takes as an argument, each by its index."""

    argument: int
    result: int


#: A function of arrays and scalars that returns new arrays and changes nothing.
ArrayFunction = Callable[..., list[Array]]

#: Such a function without arguments, which is captured.
Capturable = Callable[[], list[Array]]

#: One thread captures at a time, because a library has one stream and one memory pool for it.
_capturing = threading.Lock()


class GraphDriver(ABC):
    """The functions of a library that capture and launch graphs on one device."""

    @abstractmethod
    def current(self) -> AbstractContextManager[None]:
        """Return the context in which all other methods are called."""

    @abstractmethod
    def capture(self, function: Capturable) -> tuple[Callable[[], object], list[Array]]:
        """Return the launch of all calls that the function makes, and its results, which a launch
        overwrites.

        The function is called twice. The first call does the work. The caller keeps the function as
        long as it launches, because the function holds the arrays that the device reads.
        """

    @abstractmethod
    def wait(self) -> None:
        """Let later calls wait for the last one, on whichever stream it was."""

    @abstractmethod
    def memory(self, arrays: list[Array]) -> list[Array]:
        """Return uninitialized arrays of the same kinds, which may be one piece of memory."""

    @abstractmethod
    def copy(self, to: list[Array], arrays: list[Array]) -> None:
        """Copy arrays to memory."""

    def together(self, arrays: list[Array]) -> list[Array]:
        """Return results that are copied in few calls, while a graph is captured. The default
        returns the arrays.
        """
        return arrays

    @abstractmethod
    def shares_memory(self, x: Array, y: Array) -> bool:
        """Return whether arrays may share memory. This computes nothing on the device, so it may be
        captured.
        """

    @abstractmethod
    def scalar_dtype(self, arrays: list[Array]) -> DType:
        """Return a dtype for scalars that leaves the dtypes of the arrays as they are."""


class _Inputs:
    """The arrays that a graph reads: some arguments themselves, and copies of the others."""

    def __init__(
        self,
        driver: GraphDriver,
        arguments: list[Array],
        copied: Iterable[int],
    ) -> None:
        self._driver = driver
        self.copied = sorted(copied)
        self._memory = driver.memory([arguments[i] for i in self.copied])
        self.arrays = list(arguments)
        for i, x in zip(self.copied, self._memory, strict=True):
            self.arrays[i] = x
        self._kept = [(i, x) for i, x in enumerate(arguments) if i not in self.copied]
        self.update(arguments)

    def replaced(self, arguments: list[Array]) -> list[int]:
        """Return the indices of arguments that are not the arrays that the graph reads."""
        return [i for i, x in self._kept if x is not arguments[i]]

    def update(self, arguments: list[Array]) -> None:
        """Copy the arguments that the graph reads from copies."""
        self._driver.copy(self._memory, [arguments[i] for i in self.copied])


@dataclass
class _Captured:
    inputs: _Inputs
    launch: Callable[[], object]
    results: list[Array]
    #: Other memory of the graph.
    memory: list[Array]
    #: Kept, because it holds the arrays that the device reads.
    function: Capturable


def _scalar(
    value: float,
    like: Array,
    dtype: DType,
) -> Array:
    xp = array_namespace(like)
    return xp.full((), value, dtype=dtype, device=device(like))


class _Capturing(ABC):
    """Captures a function of arrays and scalars that returns a list of arrays and changes nothing.

    A graph copies the carried arguments. Where a later call has another array for an argument that
    was not copied, a new graph copies that one too. Where the device cannot capture the function,
    this warns once and does not try again.
    """

    def __init__(
        self,
        function: ArrayFunction,
        carry: list[Carry],
        driver: GraphDriver,
    ) -> None:
        self._function = function
        self._carry = carry
        self._driver = driver
        self._copied = {argument for argument, _ in carry}
        self._captured: _Captured | None = None
        self._failed = False

    @abstractmethod
    def _on(self, inputs: _Inputs, memory: list[Array]) -> Capturable:
        """Return the function that is captured. Whatever memory a launch needs is appended."""

    def _capture(self, arguments: list[Array]) -> _Captured | None:
        """Return the graph for these arguments, None where there cannot be one."""
        if self._failed:
            return None
        if self._captured is not None:
            replaced = self._captured.inputs.replaced(arguments)
            if not replaced:
                return self._captured
            self._copied.update(replaced)
            # The next graph can use its memory.
            self._captured = None
        try:
            inputs = _Inputs(self._driver, arguments, self._copied)
            memory: list[Array] = []
            function = self._on(inputs, memory)
            with _capturing:
                launch, results = self._driver.capture(function)
        except Exception as error:
            self._failed = True
            warnings.warn(
                f"could not capture the step as a device graph; replaying its calls one by one: "
                f"{error!r}",
                stacklevel=2,
            )
            return None
        self._captured = _Captured(inputs, launch, results, memory, function)
        return self._captured


class Graph(_Capturing):
    """A function as one launch. Called with a list of arrays and one of scalars, it returns new
    arrays.
    """

    #: The arguments of the first call.
    _first: list[Any] | None = None

    def __call__(self, arrays: list[Array], scalars: list[float]) -> list[Array]:
        """Return the results of the function."""
        driver = self._driver
        with driver.current():
            # The function has memory of its own too, see `anynet.compiler.buffers`.
            driver.wait()
            if self._first is None:
                # The second call captures, because it shows which arguments change.
                self._first = [ref(x) for x in arrays]
                return self._function(*arrays, *scalars)
            if self._captured is None and not self._failed:
                self._begin(arrays, scalars)
            captured = self._capture(arrays)
            if captured is None:
                return self._function(*arrays, *scalars)
            captured.inputs.update(arrays)
            self._update_scalars(scalars)
            captured.launch()
            # Whoever keeps a loss must not keep all parameters of its step with it.
            count = len(self._carry)
            new = driver.memory(captured.results[:count])
            for result in captured.results[count:]:
                new += driver.memory([result])
            driver.copy(new, captured.results)
        return new

    def _on(self, inputs: _Inputs, memory: list[Array]) -> Capturable:
        count = len(self._carry)

        def function() -> list[Array]:
            results = self._function(*inputs.arrays, *self._scalars)
            return self._driver.together(results[:count]) + results[count:]

        return function

    def _begin(self, arrays: list[Array], scalars: list[float]) -> None:
        first = self._first or ()
        changed = [i for i, known in enumerate(first) if known() is not arrays[i]]
        self._copied.update(changed)
        dtype = self._driver.scalar_dtype(arrays)
        self._scalars = [_scalar(x, arrays[0], dtype) for x in scalars]
        self._values = list(scalars)

    def _update_scalars(self, scalars: list[float]) -> None:
        values = self._values
        for i, value in enumerate(scalars):
            if value != values[i]:
                # NaN equals nothing, in case the write is interrupted.
                values[i] = math.nan
                self._scalars[i][...] = value
                values[i] = value


class Loop(_Capturing):
    """A function called for each entry of an array, which it takes as its last array, see
    `anynet.compiler.target.CompilerTarget.loop`.

    The carried arrays stay in the memory of the graph from one launch to the next, and so does the
    index of the entry. So one launch follows the other without Python.
    """

    def __call__(
        self,
        arrays: list[Array],
        entries: Array,
        scalars: list[list[float]],
        start: int,
        stop: int,
    ) -> tuple[list[Array], list[Array]] | None:
        """Return the carried results, and the other results of all calls, stacked. Return None
        where the device cannot capture the function.
        """
        driver, xp = self._driver, array_namespace(entries)
        with driver.current():
            driver.wait()
            dtype = driver.scalar_dtype(arrays)
            values = xp.asarray(scalars, dtype=dtype, device=device(entries))
            arguments = [*arrays, entries, values]
            self._copied.update((len(arrays), len(arrays) + 1))
            captured = self._captured
            if captured is not None and captured.inputs.arrays[-2].shape != entries.shape:
                self._captured = None
            captured = self._capture(arguments)
            if captured is None:
                return None
            captured.inputs.update(arguments)
            index, *stacked = captured.memory
            index[...] = start
            for _ in range(start, stop):
                captured.launch()
            state = [captured.inputs.arrays[argument] for argument, _ in self._carry]
            rows = [x[start:stop, ...] for x in stacked]
            new = driver.memory(state)
            others = [x for some in rows for x in driver.memory([some])]
            driver.copy([*new, *others], [*state, *rows])
        return new, others

    def _on(self, inputs: _Inputs, memory: list[Array]) -> Capturable:
        *arguments, entries, values = inputs.arrays
        driver, xp, place = self._driver, array_namespace(entries), device(entries)
        carried = {result for _, result in self._carry}
        state = [arguments[argument] for argument, _ in self._carry]
        every = xp.arange(entries.shape[0], device=place)
        index = xp.zeros(1, dtype=xp.int64, device=place)
        memory.append(index)

        def function() -> list[Array]:
            entry = xp.take(entries, index, axis=0)[0, ...]
            scalars = xp.take(values, index, axis=0)[0, ...]
            results = self._function(
                *arguments, entry, *(scalars[i] for i in range(scalars.shape[0]))
            )
            others = [x for i, x in enumerate(results) if i not in carried]
            if len(memory) == 1:
                for x in others:
                    shape = every.shape[0], *x.shape
                    memory.append(xp.zeros(shape, dtype=x.dtype, device=place))
            for rows, x in zip(memory[1:], others, strict=True):
                is_row = xp.reshape(every == index, (-1,) + (1,) * x.ndim)
                driver.copy([rows], [xp.where(is_row, x, rows)])
            driver.copy(state, self._apart([results[result] for _, result in self._carry], state))
            index[...] = index + 1
            return []

        return function

    def _apart(self, new: list[Array], state: list[Array]) -> list[Array]:
        """Return the new state with copies of the arrays that are in memory of the old state.

        All of the old state is read before any of it is overwritten.
        """
        driver = self._driver

        def apart(x: Array, own: Array) -> Array:
            # An array that stays in its memory needs no copy.
            if x is own or not any(driver.shares_memory(x, memory) for memory in state):
                return x
            memory = driver.memory([x])
            driver.copy(memory, [x])
            return memory[0]

        return list(map(apart, new, state))
