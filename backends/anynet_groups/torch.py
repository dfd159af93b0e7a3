"""A group of PyTorch's processes: ``torchrun --standalone --nproc-per-node 2 train.py``."""

import atexit
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from anynet.backend import get_backend
from anynet.errors import GroupError
from anynet_groups.host import writable_host

#: Variables that torchrun sets, and that may be set by hand.
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR")

#: The type of CUDA devices in DLPack.
CUDA = 2

#: Seconds for which a process that gives up waits for the others to say why they do.
FAREWELL = 0.8

#: Seconds between two calls of the function that may give up.
SLICE = timedelta(seconds=0.02)


class TorchEngine:
    """The process group of torch.distributed: the one that is there, or one of gloo and NCCL.

    Args:
        timeout: seconds after which PyTorch itself gives up.

    """

    #: How many groups this process has opened, and whether PyTorch's process group is theirs.
    _opened = 0
    _is_own = False

    def __init__(self, timeout: float) -> None:
        try:
            import torch
            import torch.distributed as dist
        except ImportError as error:
            raise GroupError(f"PyTorch cannot be imported ({error}): install torch") from error
        self._torch, self._dist = torch, dist
        if not dist.is_initialized():
            missing = [name for name in VARIABLES if name not in os.environ]
            if missing:
                raise GroupError(
                    f"{', '.join(missing)} is not set: start the program with torchrun "
                    "--standalone --nproc-per-node 2 train.py"
                )
            # PyTorch gives up later than the group does, which says more.
            patience = timedelta(seconds=timeout + 60)
            kind = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            dist.init_process_group(kind, timeout=patience)
            # Later groups use it too. One that is opened after another one was ended may meet the
            # addresses of that.
            TorchEngine._is_own = True
            atexit.register(_end, dist)
        TorchEngine._opened += 1
        self._prefix = f"anynet/{TorchEngine._opened}"
        self.rank: int = dist.get_rank()
        self.size: int = dist.get_world_size()
        self._is_of_gpus = dist.get_backend() == "nccl" and not self._is_own
        self._store: Any = dist.distributed_c10d._get_default_store()

    @classmethod
    def is_launched(cls, environment: Mapping[str, str]) -> bool:
        """Return whether torchrun has started this process, or it has a process group."""
        dist = sys.modules.get("torch.distributed")
        is_initialized = getattr(dist, "is_initialized", bool)
        return is_initialized() or all(name in environment for name in VARIABLES)

    def sum(self, x: Any, waiting: Callable[[], None]) -> Any:
        """Return the sum over all ranks."""
        tensor, total = self._tensor(x)
        # A group that somebody else has opened may be one of GPUs alone.
        message = tensor.cuda() if self._is_of_gpus and not tensor.is_cuda else tensor
        work = self._dist.all_reduce(message, async_op=True)
        while not work.is_completed():
            try:
                work.wait(SLICE)
            except RuntimeError:
                # The slice is over, or the sum failed, which the last call raises again.
                if work.is_completed():
                    break
            waiting()
        work.wait()
        if message is not tensor:
            tensor.copy_(message)
        return x if total is x else get_backend(x).asarray(total)

    def _tensor(self, x: Any) -> tuple[Any, Any]:
        """Return a tensor to sum into, and the array that has its memory."""
        if isinstance(x, self._torch.Tensor):
            return x.detach(), x
        if x.__dlpack_device__()[0] == CUDA:
            return self._torch.from_dlpack(x), x
        host = writable_host(x)
        return self._torch.from_numpy(host), host

    def post(self, note: str) -> None:
        """Write a note into the store."""
        self._store.set(f"{self._prefix}/{self.rank}", note)

    def notes(self) -> dict[int, str]:
        """Return the notes in the store."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        keys = {rank: f"{self._prefix}/{rank}" for rank in others}
        return {
            rank: self._store.get(key).decode()
            for rank, key in keys.items()
            if self._store.check([key])
        }

    def close(self) -> None:
        """Leave the process group to the groups after this one."""

    def give_up(self) -> None:
        """End this process without PyTorch's own end, which waits for sums without an end."""
        if self._is_own:
            atexit.register(_exit)


def _end(dist: Any) -> None:
    """End PyTorch's process group, unless somebody else has."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _exit() -> None:
    """End the process at once, after the traceback of its error was printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    # torchrun ends the others as soon as one has ended.
    time.sleep(FAREWELL)
    os._exit(1)
