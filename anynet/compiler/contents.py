"""Contents: the objects that a step reaches, by which guards tell whether it has changed."""

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anynet.compiler.flatten import Outside

#: The code of a function, which tools that reload edited files replace.
_code = attrgetter("__code__")


class Contents:
    """The objects that containers, and the places outside of the arguments, hold."""

    def __init__(self, outside: "Outside", containers: Sequence[Any] = ()) -> None:
        closed = [*containers, *outside.containers]
        self._dicts: list[Mapping[Any, Any]] = [x for x in closed if isinstance(x, dict)]
        self._others = [x for x in closed if not isinstance(x, dict)]
        self._others += outside.open
        self._names = [*map(list, self._dicts)]
        self._lengths = [*map(len, self._others)]
        # Live views.
        self._values = [x.values() if isinstance(x, dict) else x for x in closed]
        # The outside itself would close a cycle, which keeps arrays until it is collected.
        self._cells, self._single = outside.cells, outside.single
        self._functions = outside.functions
        self.refresh()

    def refresh(self) -> None:
        """Store the objects that are there now."""
        self._before = self._now()

    def _now(self) -> list[Any]:
        now = [*chain.from_iterable(self._values), *map(_code, self._functions)]
        if self._cells:
            now += [cell.cell_contents for cell in self._cells]
        if self._single:
            now += [holder[name] for holder, name in self._single]
        return now

    def are_unchanged(self) -> bool:
        """Return whether the same objects are in the same places."""
        if [*map(list, self._dicts)] != self._names or [*map(len, self._others)] != self._lengths:
            return False
        try:
            return all(map(is_, self._now(), self._before))
        except (KeyError, AttributeError, ValueError):
            return False
