"""The group of processes that train one network together."""

import os
from collections.abc import Callable, Collection
from typing import Any, Self

from anynet.array import Array, array_namespace
from anynet.backend import get_backend
from anynet.distributed.share import Share, share_in, split


class Group:
    """The ranks of a group."""

    def __init__(self, communicator: Any = None) -> None:
        self.communicator = communicator
        self.rank: int = 0 if communicator is None else communicator.rank
        self.size: int = 1 if communicator is None else communicator.size
        #: Whether this rank writes files and shows progress.
        self.is_first = self.rank == 0
        #: Whether this rank was asked to stop, which its next message says.
        self.wants_stop = False
        #: Whether a message said that a rank was asked to stop.
        self.stopping = False

    def exchange(self, parts: list[Array]) -> Array:
        """Return the sum over all ranks of flat arrays of one dtype, joined."""
        flat = array_namespace(*parts).concat(parts)
        backend = get_backend(flat)
        own = backend.to_host(flat), self.wants_stop
        every = self.gather(own)
        self.stopping |= any(stop for _, stop in every)
        return backend.asarray(sum(x for x, _ in every))

    def gather(self, value: Any) -> list[Any]:
        """Return the value of each rank, by rank."""
        if self.communicator is None:
            return [value]
        values: list[Any] = self.communicator.allgather(value)
        return values

    def check(self, texts: dict[str, str]) -> None:
        """Raise unless all ranks have the same texts."""
        first, *others = self.gather(texts)
        for rank, other in enumerate(others, 1):
            if other != first:
                raise RuntimeError(f"rank {rank} has {other}, and rank 0 {first}")

    def split(
        self,
        args: tuple[Any, ...],
        whole: Callable[[tuple[Any, ...]], Collection[Any]],
    ) -> tuple[Share | None, tuple[Any, ...]]:
        """Return the share of this rank in a call, and the arguments with its rows."""
        return split(self, args, whole)

    def share(self, rows: int) -> Share:
        """Return the share of this rank in a batch of this many rows."""
        return share_in(self, rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def open_group() -> Group:
    """Return the group of this process."""
    if "PMI_RANK" not in os.environ:
        return Group()
    from mpi4py import MPI

    return Group(MPI.COMM_WORLD)
