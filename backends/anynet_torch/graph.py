"""CUDA graphs of PyTorch's launches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from anynet.graph import Launches


class CudaLaunches(Launches):
    """The launches on one GPU; a graph has memory of its own for what is made on the way."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._last: Any = None

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU the current one, and leave PyTorch's own derivatives out."""
        with torch.no_grad(), torch.cuda.device(self._device):
            yield

    def capture(self, function: Callable[[], list[Any]]) -> tuple[Callable[[], object], list[Any]]:
        """Call once beside what is under way, for libraries to load what they need, and once more to capture."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            function()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = function()
        return graph.replay, results

    def wait(self) -> None:
        """Wait for the stream of the last launch, if this is another."""
        stream = torch.cuda.current_stream()
        if stream != self._last:
            if self._last is not None:
                stream.wait_stream(self._last)
            self._last = stream

    def memory(self, arrays: list[Any]) -> list[Any]:
        """Return memory in the same order."""
        return [torch.empty_like(x) for x in arrays]

    def copy(self, to: list[Any], given: list[Any]) -> None:
        """Copy all in one call."""
        if to:
            torch._foreach_copy_(to, given)

    def number_dtype(self, arrays: list[Any]) -> Any:
        """Return one that is exact enough: PyTorch does not mind a number's dtype beside floating arrays."""
        return torch.float64 if any(x.dtype is torch.float64 for x in arrays) else torch.float32
