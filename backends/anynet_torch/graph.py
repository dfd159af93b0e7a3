"""A compiled step as a CUDA graph."""

from collections.abc import Callable
from typing import Any

import torch

from anynet.graph import Graph


class CudaGraph(Graph):
    """A graph of all launches on one GPU, in memory of its own."""

    def __init__(self, function: Callable[..., list[Any]], carried: list[tuple[int, int]], device: Any) -> None:
        super().__init__(function, carried)
        self._device = device
        self._stream: Any = None

    def __call__(self, arrays: list[Any], numbers: list[float]) -> list[Any]:
        """Make its GPU the current one, and leave PyTorch's own derivatives out."""
        with torch.no_grad(), torch.cuda.device(self._device):
            return super().__call__(arrays, numbers)

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
        if stream != self._stream:
            if self._stream is not None:
                stream.wait_stream(self._stream)
            self._stream = stream

    def memory(self, arrays: list[Any]) -> list[Any]:
        """Return memory in the same order."""
        return [torch.empty_like(x) for x in arrays]

    def copy(self, to: list[Any], given: list[Any]) -> None:
        """Copy all in one call."""
        if to:
            torch._foreach_copy_(to, given)

    def number(self, arrays: list[Any]) -> Any:
        """Return a number without axes, whose dtype PyTorch does not mind beside floating numbers."""
        return torch.empty(
            (),
            dtype=torch.float64 if torch.float64 in [x.dtype for x in arrays] else torch.float32,
            device=self._device,
        )
