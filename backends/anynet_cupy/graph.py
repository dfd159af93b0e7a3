"""A compiled step as a CUDA graph."""

from collections.abc import Callable
from functools import cache
from typing import Any

from anynet.graph import Graph

#: Bytes of which arrays in one piece take whole multiples, and up to which they are copied once more for fewer calls.
_LINE, _SMALL = 256, 1 << 20


def _whole(size: int) -> int:
    """Return the bytes of as many whole lines."""
    return -(-size // _LINE) * _LINE


class CudaGraph(Graph):
    """A graph of all launches on one GPU, in memory of its own."""

    def __init__(self, function: Callable[..., list[Any]], carried: list[tuple[int, int]], device: Any) -> None:
        import cupy

        super().__init__(function, carried)
        self._cupy = cupy
        self._device = device
        self._last: Any = None

    def __call__(self, arrays: list[Any], numbers: list[float]) -> list[Any]:
        """Make its GPU the current one."""
        with self._device:
            return super().__call__(arrays, numbers)

    def capture(self, function: Callable[[], list[Any]]) -> tuple[Callable[[], object], list[Any]]:
        """Call once beside what is under way, for kernels to be compiled, and once more to capture."""
        current, beside = self._cupy.cuda.get_current_stream(), _stream(self._device.id)
        pool = self._cupy.cuda.MemoryPool()
        beside.wait_event(current.record())
        with self._cupy.cuda.using_allocator(pool.malloc), beside:
            function()
            beside.begin_capture()
            try:
                results = self._together(function())
            finally:
                graph = beside.end_capture()
        current.wait_event(beside.record())

        def launch(pool: Any = pool) -> None:
            # What was freed while it was captured is the pool's, and written to each time.
            graph.launch()

        return launch, results

    def _together(self, results: list[Any]) -> list[Any]:
        """Bring small results that are carried to one piece, so that they leave it in one call."""
        carried = results[: self._carried]
        if sum(x.nbytes for x in carried) > _SMALL:
            return results
        piece = self.memory(carried)
        self.copy(piece, carried)
        return piece + results[self._carried :]

    def wait(self) -> None:
        """Wait for the stream of the last launch, if this is another."""
        stream = self._cupy.cuda.get_current_stream()
        if stream != self._last:
            if self._last is not None:
                stream.wait_event(self._last.record())
            self._last = stream

    def memory(self, arrays: list[Any]) -> list[Any]:
        """Return one piece with all arrays in it, in order, each read row by row."""
        places, end = [], 0
        for x in arrays:
            places.append(end)
            end += _whole(x.nbytes)
        piece = self._cupy.cuda.alloc(end)
        make = self._cupy.ndarray
        return [make(x.shape, x.dtype, piece + place) for x, place in zip(arrays, places, strict=True)]

    def copy(self, to: list[Any], given: list[Any]) -> None:
        """Copy in one call what follows each other there and here, and in another order element by element."""
        runtime = self._cupy.cuda.runtime
        stream = self._cupy.cuda.get_current_stream().ptr
        # Of what is still to be copied: where to, where from, and how many bytes; between arrays nothing is kept.
        there = here = size = 0
        for own, x in zip(to, given, strict=True):
            if not x.flags.c_contiguous:
                self._cupy.copyto(own, x)
                continue
            target, source = own.data.ptr, x.data.ptr
            whole = _whole(size)
            if size and target == there + whole and source == here + whole:
                size = whole + x.nbytes
                continue
            if size:
                runtime.memcpyAsync(there, here, size, runtime.memcpyDefault, stream)
            there, here, size = target, source, x.nbytes
        if size:
            runtime.memcpyAsync(there, here, size, runtime.memcpyDefault, stream)

    def number(self, arrays: list[Any]) -> Any:
        """Return a number of the smallest dtype: beside that of another it would be in a larger one's place."""
        dtypes = [x.dtype for x in arrays if x.dtype.kind == "f"]
        return self._cupy.empty((), min(dtypes, key=lambda dtype: dtype.itemsize, default="float32"))


@cache
def _stream(device: int) -> Any:
    """Return the stream on which all graphs of a GPU are captured."""
    import cupy

    return cupy.cuda.Stream(non_blocking=True)
