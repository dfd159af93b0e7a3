"""Targets: the functions of a backend for compiled steps."""

from collections.abc import Callable
from typing import Any

from anynet.array import Array, DType
from anynet.backend import Backend, get_backend
from anynet.compiler.device_graph import ArrayFunction, Carry, Graph, GraphDriver, Loop
from anynet.kernel import Function


class CompilerTarget:
    """The functions of a library for compiled steps on one device. This class serves every library.

    A plug-in derives a class from it and names that class in its backend, as ``Backend.target``.

    Args:
        backend: the library and device.

    >>> import anynet
    >>> from anynet.compiler import CompilerTarget
    >>> class Target(CompilerTarget):
    ...     def compile(self, function, carry):
    ...         return lambda arrays, scalars: function(*arrays, *scalars)
    >>> Target(anynet.get_backend("numpy")).has_loop
    False

    """

    #: How the device captures graphs. Without one, a compiled step makes its calls one by one.
    driver: GraphDriver | None = None

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @property
    def has_loop(self) -> bool:
        """Whether the device can repeat a compiled step without Python, see `loop`."""
        return self.driver is not None

    def shares_memory(self, x: Array, y: Array) -> bool:
        """Return whether a write into one array changes the other, as it does for a view."""
        return x is y

    def empty(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        strides: Any,
    ) -> Array:
        """Return an uninitialized array whose axes have the order in memory that strides give."""
        return self.backend.xp.empty(shape, dtype=dtype, device=self.backend.device)

    def compile(
        self, function: ArrayFunction, carry: list[Carry]
    ) -> Callable[[list[Array], list[float]], list[Array]]:
        """Return a faster version of a function of arrays and scalars that changes nothing.

        It takes the arrays and the scalars as two lists.
        """
        if self.driver is not None:
            return Graph(function, carry, self.driver)
        return lambda arrays, scalars: function(*arrays, *scalars)

    def calls_python(self, function: Function, arguments: list[Array]) -> bool:
        """Return whether a compiled step can call a Python function with such arguments."""
        return self.driver is None

    def loop(self, function: ArrayFunction, carry: list[Carry]) -> Function:
        """Return a loop on the device over a function, where ``has_loop`` says that there is one.

        The function takes arrays, the last of which is one of the entries, and scalars. The loop
        takes the other arrays, all entries, the scalars of each entry, and the entries at which to
        start and to stop. It returns the carried results of the last call, and the other results
        of all calls, stacked.
        """
        assert self.driver is not None
        return Loop(function, carry, self.driver)


def target_of(which: Backend | Array | None) -> CompilerTarget:
    """Return the compiler target of a backend, or of the library and device of an array.

    >>> from anynet.backend import get_backend
    >>> target_of(get_backend("numpy")).has_loop
    False

    """
    backend = get_backend(which)
    kind: type[CompilerTarget] = backend.target or CompilerTarget
    return kind(backend)
