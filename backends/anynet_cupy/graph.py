"""A compiled step as a CUDA graph."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from anynet.graph import Graph


class CudaGraph(Graph):
    """A graph of all launches on one GPU, in memory of its own."""

    def __init__(self, function: Callable[..., list[Any]], device: Any) -> None:
        import cupy

        super().__init__(function)
        self._cupy = cupy
        self._device = device
        self._last: Any = None

    def __call__(self, *args: Any) -> list[Any]:
        """Make its GPU the current one."""
        with self._device:
            return super().__call__(*args)

    def capture(self, function: Callable[[], list[Any]]) -> tuple[Callable[[], object], list[Any]]:
        """Call once beside what is under way, for kernels to be compiled, and once more to capture."""
        current, beside = self._cupy.cuda.get_current_stream(), _stream(self._device.id)
        pool = self._cupy.cuda.MemoryPool()
        beside.wait_event(current.record())
        with self._cupy.cuda.using_allocator(pool.malloc), beside:
            function()
            beside.begin_capture()
            try:
                results = function()
            finally:
                graph = beside.end_capture()
        current.wait_event(beside.record())

        def launch(pool: Any = pool) -> None:
            # What was freed while it was captured is the pool's, and written to each time.
            graph.launch()

        return launch, results

    def wait(self) -> None:
        """Wait for the stream of the last launch, if this is another."""
        stream = self._cupy.cuda.get_current_stream()
        if stream != self._last:
            if self._last is not None:
                stream.wait_event(self._last.record())
            self._last = stream

    def like(self, x: Any) -> Any:
        """Return memory that is read row by row."""
        return self._cupy.empty(x.shape, x.dtype)

    def copy(self, to: list[Any], given: list[Any]) -> None:
        """Copy memory as it is where both are read row by row."""
        stream = self._cupy.cuda.get_current_stream()
        for own, x in zip(to, given, strict=True):
            if x.flags.c_contiguous:
                own.data.copy_from_device_async(x.data, x.nbytes, stream)
            else:
                self._cupy.copyto(own, x)

    def number(self, arrays: Sequence[Any]) -> Any:
        """Return a number of the smallest dtype: beside that of another it would be in a larger one's place."""
        dtypes = [x.dtype for x in arrays if x.dtype.kind == "f"]
        return self._cupy.empty((), min(dtypes, key=lambda dtype: dtype.itemsize, default="float32"))


@cache
def _stream(device: int) -> Any:
    """Return the stream on which all graphs of a GPU are captured."""
    import cupy

    return cupy.cuda.Stream(non_blocking=True)
