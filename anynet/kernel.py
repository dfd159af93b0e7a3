"""Kernels: what a backend computes faster than the references, and how each may be used.

A kernel is a function under the name of a primitive or of a function of the standard. It returns
NotImplemented for arguments that it does not support, and the reference computes these.

A compiled step reuses memory. For that, `Aliasing` is declared where a function is defined: a wrong
declaration would overwrite a user's array. A compiled step also replaces a kernel by the library
calls that it consists of. This is the kernel's lowering.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, TypeVar

__all__ = [
    "Aliasing",
    "Kernels",
]

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

#: Calls a function with arguments and settings, and records the call.
Emit = Callable[..., Any]


class Aliasing(IntEnum):
    """Where the result of a function may be, from the weakest promise to the strongest.

    Each promise includes the ones before it.

    >>> anynet.kernel.Aliasing.OUT > anynet.kernel.Aliasing.FRESH
    True

    """

    #: The result may share memory with an argument.
    MAY_VIEW = 0
    #: The result shares memory with nothing.
    FRESH = 1
    #: With ``out=array``, the function writes its result into that array and returns it.
    OUT = 2
    #: That array may be an argument.
    IN_PLACE = 3


class Kernels(dict[str, Function]):
    """Kernels by name, the aliasing of functions, and the lowerings of kernels.

    Args:
        parts: kernels to begin with, later ones before earlier ones. A plain dictionary declares
            nothing about aliasing.

    >>> kernels = Kernels()
    >>> @kernels.register(Aliasing.FRESH)
    ... def relu(x):
    ...     return (x > 0) * x
    >>> kernels["relu"] is relu
    True
    >>> kernels.aliasing_of(relu).name, kernels.aliasing_of(abs).name
    ('FRESH', 'MAY_VIEW')

    """

    def __init__(self, *parts: Mapping[str, Function]) -> None:
        super().__init__()
        #: The aliasing of kernels, and of functions of the library that lowerings call.
        self.aliasing: dict[Function, Aliasing] = {}
        #: Kernels to functions that are called as ``lowering(emit, *args, **settings)``, with
        #: arguments that the kernel supports, and return the result or NotImplemented.
        self.lowerings: dict[Function, Function] = {}
        for part in parts:
            self.update(part)
            if isinstance(part, Kernels):
                self.aliasing |= part.aliasing
                self.lowerings |= part.lowerings

    def register(self, aliasing: Aliasing = Aliasing.MAY_VIEW) -> Callable[[F], F]:
        """Return a decorator that adds a function under its own name."""

        def add(function: F) -> F:
            self[function.__name__] = function
            self.aliasing[function] = aliasing
            return function

        return add

    def declare(self, aliasing: Aliasing, *functions: Function) -> None:
        """Declare the aliasing of functions that are defined elsewhere."""
        self.aliasing |= dict.fromkeys(functions, aliasing)

    def lowering(self, kernel: Function) -> Callable[[F], F]:
        """Return a decorator that makes a function the lowering of a kernel."""

        def add(function: F) -> F:
            self.lowerings[kernel] = function
            return function

        return add

    def aliasing_of(self, function: Function) -> Aliasing:
        """Return the aliasing that was declared for a function, ``MAY_VIEW`` if none was."""
        return self.aliasing.get(function, Aliasing.MAY_VIEW)
