"""The compiler target of CuPy: steps are CUDA graphs of its launches."""

from collections.abc import Callable
from functools import cache
from typing import Any

from anynet.backend import Backend
from anynet.compiler.device_graph import GraphDriver
from anynet.compiler.target import CompilerTarget

#: Bytes of which arrays in one piece take whole multiples, and up to which they are copied once
#: more for fewer calls.
_LINE, _SMALL = 256, 1 << 20

#: Bytes of float32.
_NARROWEST = 4


def _whole(size: int) -> int:
    """Return the bytes of as many whole lines."""
    return -(-size // _LINE) * _LINE


class CupyTarget(CompilerTarget):
    """CuPy, whose steps are graphs."""

    driver: "CudaGraphDriver"

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.driver = CudaGraphDriver(backend.device)

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Compare where they begin and end. Ask CuPy, which compares all elements, only where they
        overlap.
        """
        may_share = self.driver.shares_memory(x, y)
        return may_share and bool(self.driver.cupy.shares_memory(x, y))


class CudaGraphDriver(GraphDriver):
    """The launches on one GPU; a graph has memory of its own for what is made on the way."""

    def __init__(self, device: Any) -> None:
        import cupy

        self.cupy = cupy
        self._device = device
        self._last: Any = None

    def current(self) -> Any:
        """Make the GPU the current one."""
        return self._device

    def capture(self, function: Callable[[], list[Any]]) -> tuple[Callable[[], object], list[Any]]:
        """Call once beside what is under way, for kernels to be compiled, and once more to
        capture.
        """
        current, beside = (self.cupy.cuda.get_current_stream(), _stream(self._device.id))
        pool = self.cupy.cuda.MemoryPool()
        beside.wait_event(current.record())
        try:
            with self.cupy.cuda.using_allocator(pool.malloc), beside:
                function()
                beside.begin_capture()
                try:
                    results = function()
                finally:
                    graph = beside.end_capture()
        finally:
            # What the first call has read and written is free from now on.
            current.wait_event(beside.record())

        def launch(pool: Any = pool) -> None:
            # What was freed while it was captured is the pool's, and written to each time.
            graph.launch()

        return launch, results

    def wait(self) -> None:
        """Wait for the stream of the last launch, if this is another."""
        stream = self.cupy.cuda.get_current_stream()
        if stream != self._last:
            if self._last is not None:
                stream.wait_event(self._last.record())
            self._last = stream

    def memory(self, arrays: list[Any]) -> list[Any]:
        """Return one piece with all arrays in it, in order, each read row by row."""
        if not arrays:
            return []
        places, end = [], 0
        for x in arrays:
            places.append(end)
            end += _whole(x.nbytes)
        piece = self.cupy.cuda.alloc(end)
        make = self.cupy.ndarray
        return [
            make(x.shape, x.dtype, piece + place) for x, place in zip(arrays, places, strict=True)
        ]

    def copy(self, to: list[Any], given: list[Any]) -> None:
        """Copy in one call what follows each other there and here, and in another order element by
        element.
        """
        runtime = self.cupy.cuda.runtime
        stream = self.cupy.cuda.get_current_stream().ptr
        # Of what is still to be copied: where to, where from, and how many bytes; between arrays
        # nothing is kept.
        there = here = size = 0
        # Pieces that happen to follow each other are not one for CUDA.
        pieces: Any = None
        for own, x in zip(to, given, strict=True):
            if not x.flags.c_contiguous:
                self.cupy.copyto(own, x)
                continue
            target, source, whole = own.data, x.data, _whole(size)
            follows = size and target.ptr == there + whole and source.ptr == here + whole
            if follows and pieces[0] is target.mem and pieces[1] is source.mem:
                size = whole + x.nbytes
                continue
            if size:
                runtime.memcpyAsync(there, here, size, runtime.memcpyDefault, stream)
            there, here, size, pieces = (target.ptr, source.ptr, x.nbytes, (target.mem, source.mem))
        if size:
            runtime.memcpyAsync(there, here, size, runtime.memcpyDefault, stream)

    def together(self, arrays: list[Any]) -> list[Any]:
        """Copy small results to one piece, once more, for they leave it in one call."""
        if sum(x.nbytes for x in arrays) > _SMALL:
            return arrays
        piece = self.memory(arrays)
        self.copy(piece, arrays)
        return piece

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Compare where they begin and end."""
        return bool(self.cupy.may_share_memory(x, y))

    def number_dtype(self, arrays: list[Any]) -> Any:
        """Return the smallest: beside a larger one it is in that one's place, and not the other way
        round.

        Updates compute in float32 at least, and smaller numbers would be no rates: 0.9999 is 1 in
        half precision.
        """
        # Of complex numbers, the dtype of their parts.
        dtypes = [x.real.dtype for x in arrays if x.dtype.kind in "fc"]
        wide = [dtype for dtype in dtypes if dtype.itemsize >= _NARROWEST]
        return min(wide, key=lambda dtype: dtype.itemsize, default=self.cupy.dtype("float32"))


@cache
def _stream(device: int) -> Any:
    """Return the stream on which all graphs of a GPU are captured."""
    import cupy

    return cupy.cuda.Stream(non_blocking=True)
