"""The processes of a library whose arrays lie on the devices of all of them."""

from typing import TypeVar

from anynet.backend import Backend
from anynet.distributed.group import Group

T = TypeVar("T")


class Processes(Group):
    """The processes that make the same calls with the same arrays of such a library.

    They share no rows as the ranks of other groups do, because the library does it. They only have
    to agree on when a run ends, and who writes files.

    >>> from anynet.distributed.processes import Processes
    >>> Processes(anynet.get_backend("numpy")).size
    1

    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(None, 0.0)
        self.rank, self.size = backend.process
        self._backend = backend

    def gather(self, value: T) -> list[T]:
        """Return the value of each process, and whether one was asked to stop."""
        wishes, values = zip(*self._backend.gather((self.wants_stop, value)), strict=True)
        self.stopping = self.stopping or any(wishes)
        return list(values)
