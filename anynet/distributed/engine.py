"""Engines: the libraries that carry messages between ranks.

An engine is a plug-in: a class in the entry-point group ``anynet.groups``.
"""

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Protocol

from anynet.arguments import describe
from anynet.array import Array
from anynet.errors import ArgumentError, ArgumentTypeError, GroupError

GROUP = "anynet.groups"


class Engine(Protocol):
    """What a group needs of a library. The constructor joins the other processes.

    Args:
        timeout: the seconds after which the group gives up.

    """

    #: The number of this process, from 0, and how many processes there are.
    rank: int
    size: int

    def __init__(self, timeout: float) -> None: ...

    @classmethod
    def is_launched(cls, environment: Mapping[str, str]) -> bool:
        """Return whether this process was started as one of several. It imports no library."""

    def sum(self, x: Array, waiting: Callable[[], None]) -> Array:
        """Return the sum of x over all ranks, the same bits on each.

        Args:
            x: flat and contiguous, float32, float64 or int32. Nobody else has it, so that the sum
                may be written into it.
            waiting: is called again and again while other ranks have not sent theirs. It raises
                when they will not.

        """

    def post(self, note: str) -> None:
        """Leave a note that the other ranks can read, without waiting for them."""

    def notes(self) -> dict[int, str]:
        """Return the last note of each other rank that has left one."""

    def close(self) -> None:
        """End a group in which all ranks have come to the end."""

    def give_up(self) -> None:
        """Let this process end while others may not answer, and end them if the library can."""


def engine_class(name: str | None, environment: Mapping[str, str]) -> type[Engine] | None:
    """Return the engine of a name, or the one that started this process, None for none.

    Raises:
        ArgumentTypeError: the name is no string.
        ArgumentError: there is no engine of this name.
        GroupError: two engines have started this process.

    """
    entries = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if name is None:
        classes = {entry.name: entry.load() for entry in entries.values()}
        launched = [key for key, kind in classes.items() if kind.is_launched(environment)]
        if len(launched) > 1:
            raise GroupError(
                f"this process was started by {' and '.join(launched)}: wanted one, as "
                f"open_group({launched[0]!r})"
            )
        return classes[launched[0]] if launched else None
    if not isinstance(name, str):
        raise ArgumentTypeError(f"name is {describe(name)}: wanted 'mpi', 'torch' or None")
    if name not in entries:
        raise ArgumentError(f"there is no group {name!r}: wanted one of {', '.join(entries)}")
    loaded: type[Engine] = entries[name].load()
    return loaded
