"""The compiler target of CuPy: steps are CUDA graphs of its launches."""

from collections.abc import Callable
from functools import cache
from typing import Any

from anynet.backend import Backend
from anynet.compiler.device_graph import GraphDriver
from anynet.compiler.target import CompilerTarget

#: Each array in a piece of memory begins at a multiple of this many bytes.
_LINE = 256

#: Results of no more bytes are gathered in one piece, so that one call copies them.
_SMALL = 1 << 20

#: Bytes of float32.
_NARROWEST = 4


def _whole(size: int) -> int:
    """Return a size, rounded up to whole lines."""
    return -(-size // _LINE) * _LINE


class CupyTarget(CompilerTarget):
    """CuPy, whose steps are graphs."""

    driver: "CudaGraphDriver"

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.driver = CudaGraphDriver(backend.device)

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Return whether the arrays have an element in common. Elements are compared only where the
        arrays overlap.
        """
        may_share = self.driver.shares_memory(x, y)
        return may_share and bool(self.driver.cupy.shares_memory(x, y))


class CudaGraphDriver(GraphDriver):
    """The graphs of one GPU. A graph has memory of its own for intermediate results."""

    def __init__(self, device: Any) -> None:
        import cupy

        self.cupy = cupy
        self._device = device
        self._last: Any = None

    def current(self) -> Any:
        """Make the GPU the current one."""
        return self._device

    def capture(self, function: Callable[[], list[Any]]) -> tuple[Callable[[], object], list[Any]]:
        """Call the function twice on another stream, and capture the second call. The first call
        compiles kernels.
        """
        current, beside = self.cupy.cuda.get_current_stream(), _stream(self._device.id)
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
            # Later calls may reuse the memory of the first call.
            current.wait_event(beside.record())

        def launch(pool: Any = pool) -> None:
            # Each launch writes to memory that was freed during the capture. The pool keeps it.
            graph.launch()

        return launch, results

    def wait(self) -> None:
        """Wait for the stream of the last launch, if the current one is another."""
        stream = self.cupy.cuda.get_current_stream()
        if stream != self._last:
            if self._last is not None:
                stream.wait_event(self._last.record())
            self._last = stream

    def memory(self, arrays: list[Any]) -> list[Any]:
        """Return contiguous arrays of the same shapes and dtypes, in order in one piece."""
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

    def copy(self, to: list[Any], arrays: list[Any]) -> None:
        """Copy arrays. One call copies those that follow each other in memory on both sides. Arrays
        that are not contiguous are copied element by element.
        """
        runtime = self.cupy.cuda.runtime
        stream = self.cupy.cuda.get_current_stream().ptr
        # The copy that is still to be made: its addresses and its bytes.
        to_address = from_address = size = 0
        # Two pieces of memory may follow each other. CUDA does not copy them as one.
        pieces: Any = None
        for own, x in zip(to, arrays, strict=True):
            if not x.flags.c_contiguous:
                self.cupy.copyto(own, x)
                continue
            target, source, whole = own.data, x.data, _whole(size)
            follows = (
                size and target.ptr == to_address + whole and source.ptr == from_address + whole
            )
            if follows and pieces[0] is target.mem and pieces[1] is source.mem:
                size = whole + x.nbytes
                continue
            if size:
                runtime.memcpyAsync(to_address, from_address, size, runtime.memcpyDefault, stream)
            to_address, from_address, size = target.ptr, source.ptr, x.nbytes
            pieces = target.mem, source.mem
        if size:
            runtime.memcpyAsync(to_address, from_address, size, runtime.memcpyDefault, stream)

    def together(self, arrays: list[Any]) -> list[Any]:
        """Return small results in one piece, from which one call copies them."""
        if sum(x.nbytes for x in arrays) > _SMALL:
            return arrays
        piece = self.memory(arrays)
        self.copy(piece, arrays)
        return piece

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Return whether the arrays overlap from first to last byte."""
        return bool(self.cupy.may_share_memory(x, y))

    def scalar_dtype(self, arrays: list[Any]) -> Any:
        """Return the smallest floating dtype of the arrays, but no smaller one than float32.

        A scalar of that dtype leaves larger ones as they are. In half precision, a decay rate of
        0.9999 would be 1.
        """
        # Complex arrays count by the dtype of their parts.
        dtypes = [x.real.dtype for x in arrays if x.dtype.kind in "fc"]
        wide = [dtype for dtype in dtypes if dtype.itemsize >= _NARROWEST]
        return min(
            wide,
            key=lambda dtype: dtype.itemsize,
            default=self.cupy.dtype("float32"),
        )


@cache
def _stream(device: int) -> Any:
    """Return the stream on which all graphs of a GPU are captured."""
    import cupy

    return cupy.cuda.Stream(non_blocking=True)
