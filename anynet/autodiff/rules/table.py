"""How a file of rules is written down: named functions, gathered under the standard's names."""

from collections.abc import Callable
from typing import Any


class Table(dict[str, Callable[..., Any]]):
    """Rules, or decompositions, by the name of their function; as a decorator, it adds the one it
    decorates.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Add a function; an underscore after its name keeps a Python built-in in sight."""
        self[self.prefix + function.__name__.removesuffix("_")] = function
        return function
