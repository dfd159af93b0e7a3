"""The compiler target of PyTorch: on a CUDA GPU, steps are graphs of its launches."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from anynet.backend import Backend
from anynet.compiler.device_graph import Carry, GraphDriver
from anynet.compiler.target import CompilerTarget


class TorchTarget(CompilerTarget):
    """PyTorch without its own derivatives."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        device: Any = backend.device
        if device.type == "cuda":
            self.driver = CudaGraphDriver(device)

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Return whether the tensors are views of the same memory."""
        return shares_storage(x, y)

    def empty(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        strides: Any,
    ) -> Any:
        """Use the same strides: a call that reads two orders takes several times as long."""
        return torch.empty_strided(shape, strides, dtype=dtype, device=self.backend.device)

    def compile(self, function: Any, carry: list[Carry]) -> Any:
        """Switch PyTorch's derivatives off, with which a call takes no ``out``."""
        compiled = super().compile(function, carry)
        return torch.no_grad()(compiled) if self.driver is None else compiled


def shares_storage(x: Any, y: Any) -> bool:
    """Return whether tensors are views of the same memory."""
    return bool(x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr() != 0)


class CudaGraphDriver(GraphDriver):
    """The graphs of one GPU. A graph has memory of its own for intermediate results."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._last: Any = None

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU the current one, and switch PyTorch's derivatives off."""
        with torch.no_grad(), torch.cuda.device(self._device):
            yield

    def capture(self, function: Callable[[], list[Any]]) -> tuple[Callable[[], object], list[Any]]:
        """Call the function twice on another stream, and capture the second call.

        In the first call libraries load their code, and a call that waits for the device raises. A
        capture that fails may leave PyTorch's allocator as if it went on.
        """
        beside, current = (torch.cuda.Stream(self._device), torch.cuda.current_stream())
        beside.wait_stream(current)
        graph = torch.cuda.CUDAGraph()
        try:
            # This context restores the stream where the end of a capture fails. PyTorch's context
            # of a capture does not.
            with torch.cuda.stream(beside):
                with _no_waiting():
                    function()
                # Other threads may allocate memory at the same time.
                with torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
                    results = function()
        finally:
            # Later calls may reuse the memory of the first call.
            current.wait_stream(beside)
        return graph.replay, results

    def wait(self) -> None:
        """Wait for the stream of the last launch, if the current one is another."""
        stream = torch.cuda.current_stream()
        if stream != self._last:
            if self._last is not None:
                stream.wait_stream(self._last)
            self._last = stream

    def memory(self, arrays: list[Any]) -> list[Any]:
        """Return uninitialized tensors like these."""
        return [torch.empty_like(x) for x in arrays]

    def copy(self, to: list[Any], arrays: list[Any]) -> None:
        """Copy all tensors in one call."""
        if to:
            torch._foreach_copy_(to, arrays)

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Return whether the tensors are views of the same memory."""
        return shares_storage(x, y)

    def scalar_dtype(self, arrays: list[Any]) -> Any:
        """Return a dtype that is exact enough. A scalar tensor does not change the dtype of a
        floating-point tensor.
        """
        wide = torch.float64, torch.complex128
        return torch.float64 if any(x.dtype in wide for x in arrays) else torch.float32


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Let PyTorch raise where a call waits for the device.

    PyTorch would raise in other threads too. Where there are some, this changes nothing.
    """
    here = threading.current_thread()
    if any(thread is not here and not thread.daemon for thread in threading.enumerate()):
        yield
        return
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
