"""A group of MPI's processes, by mpi4py: ``mpiexec -n 2 python -m mpi4py train.py``."""

import atexit
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from anynet.backend import get_backend
from anynet.errors import GroupError
from anynet_groups.host import writable_host

#: Variables that launchers set to the number of processes or to that of this process.
VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK")

#: Lets another process have this core. Windows has a call of another name.
give_way: Callable[[], object] = getattr(os, "sched_yield", partial(time.sleep, 0))

#: Seconds for which a process that gives up waits for the others to say why they do.
FAREWELL = 0.8


class MPIEngine:
    """MPI's COMM_WORLD, in a copy of its own.

    Args:
        timeout: is not used, because MPI waits until it is told not to.

    """

    def __init__(self, timeout: float) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise GroupError(
                f"mpi4py cannot be imported ({error}): install it with an MPI library, as with pip "
                "install mpi4py mpich"
            ) from error
        self._messages = MPI.COMM_WORLD.Dup()
        self._notes = MPI.COMM_WORLD.Dup()
        self.rank: int = self._messages.rank
        self.size: int = self._messages.size
        self._received: dict[int, str] = {}
        #: Sends that may not have ended.
        self._sent: list[Any] = []

    @classmethod
    def is_launched(cls, environment: Mapping[str, str]) -> bool:
        """Return whether a launcher of MPI has started this process."""
        return any(name in environment for name in VARIABLES)

    def sum(self, x: Any, waiting: Callable[[], None]) -> Any:
        """Return the sum over all ranks. MPI computes it on the host."""
        from mpi4py import MPI

        total = writable_host(x)
        request = self._messages.Iallreduce(MPI.IN_PLACE, total)
        while not request.Test():
            waiting()
            # Other ranks may need this core.
            give_way()
        return x if total is x else get_backend(x).asarray(total)

    def post(self, note: str) -> None:
        """Send a note to all other ranks."""
        for rank in range(self.size):
            if rank != self.rank:
                self._sent.append(self._notes.isend(note, dest=rank))

    def notes(self) -> dict[int, str]:
        """Return the notes that have come."""
        from mpi4py import MPI

        status = MPI.Status()
        while self._notes.Iprobe(status=status):
            source = status.Get_source()
            self._received[source] = self._notes.recv(source=source)
        return self._received

    def close(self) -> None:
        """Free the copies of the communicator."""
        self._messages.Free()
        self._notes.Free()

    def give_up(self) -> None:
        """End all processes when this one ends, because MPI would wait for sums without an end."""
        atexit.register(self._abort)

    def _abort(self) -> None:
        # The traceback of this process is printed by now. That of others may not be.
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(FAREWELL)
        self._messages.Abort(1)
