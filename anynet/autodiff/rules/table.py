"""The table in which a file of rules collects its functions by name."""

from collections.abc import Callable
from typing import Any


class Table(dict[str, Callable[..., Any]]):
    """Rules or decompositions by the standard's name. As a decorator it adds a function."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Add a function. An underscore at the end of its name is left out."""
        self[self.prefix + function.__name__.removesuffix("_")] = function
        return function
