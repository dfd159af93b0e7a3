"""Uninitialized parameters, and how a network's parameters get their first values."""

from collections.abc import Callable
from typing import Any, cast

from anynet.arguments import check_function, describe, whole_number
from anynet.array import Array
from anynet.errors import ArgumentTypeError


class Uninitialized:
    """Stands for an array until `Module.initialize` draws it."""

    def __init__(self, shape: tuple[int, ...], initializer: Callable[..., Array]) -> None:
        self.shape = shape
        self.initializer = initializer

    def __repr__(self) -> str:
        return f"Uninitialized({self.shape})"


def parameter(shape: tuple[int, ...], initializer: Callable[..., Array]) -> Array:
    """Return a value that stands for an array until `Module.initialize` draws it.

    A module keeps it in an attribute. It becomes a parameter, or a buffer if the attribute's name
    is in ``BUFFERS``. One value in two attributes becomes one array, which ties them.

    Args:
        shape: of the array, whole numbers of 0 or more.
        initializer: one of `anynet.initializers`, or a function of (key, shape, dtype).

    Raises:
        ArgumentTypeError: a shape that is no tuple, or an initializer that cannot be called.

    >>> weight = layers.parameter((784, 50), initializers.he)
    >>> weight
    Uninitialized((784, 50))

    """
    if not isinstance(shape, tuple | list):
        raise ArgumentTypeError(
            f"the shape of a parameter is {describe(shape)}: wanted a tuple, as (784, 50)"
        )
    check_function(
        "initializer",
        initializer,
        "one of anynet.initializers, or a function of key, shape and dtype",
    )
    lengths = [whole_number("an axis of a parameter", n, 0) for n in shape]
    return cast(Array, Uninitialized(tuple(lengths), initializer))


def is_uninitialized(value: Any) -> bool:
    """Tell whether a value stands for an array that `initialize` has not drawn yet."""
    return type(value) is Uninitialized
