"""Products and sums of matrices by cuBLAS: CuPy's way there takes longer, and refuses while a graph is captured."""

import ctypes
import math
import os
from functools import cache
from typing import Any

_NUMBERS = {"f": ctypes.c_float, "d": ctypes.c_double}
_TF32 = 3


def matmul(x1: Any, x2: Any) -> Any:
    """Multiply two matrices, as many from two stacks, or each of a stack by one."""
    if x1.dtype != x2.dtype or x1.dtype.char not in _NUMBERS or min(x1.ndim, x2.ndim) < 2 or not x1.size * x2.size:
        return NotImplemented
    if x1.shape[-1] != x2.shape[-2] or _cublas() is None:
        return NotImplemented
    if x2.ndim == 2:
        rows = x1.reshape(-1, x1.shape[-1])
        return _multiply(rows, x2).reshape(*x1.shape[:-1], x2.shape[1])
    return _multiply(x1, x2) if x1.shape[:-2] == x2.shape[:-2] else NotImplemented


def product(x1: Any, x2: Any) -> Any:
    """Multiply, as CuPy does it where there is no other way."""
    import cupy

    found = matmul(x1, x2)
    return cupy.matmul(x1, x2) if found is NotImplemented else found


def sums(x: Any, axis: int, share: float = 1.0) -> Any:
    """Return the share of the sums of a matrix over an axis: a product with ones is quicker than a reduction."""
    import cupy

    rows, columns = x.shape
    cublas: Any = _cublas() if x.dtype.char in _NUMBERS and x.size else None
    if cublas is None:
        return cupy.sum(x, axis=axis) * x.dtype.type(share)
    from cupy.cuda.device import get_device_id

    x, across, apart = layout(x)
    size = (rows, columns) if across else (columns, rows)
    out = cupy.empty(x.shape[1 - axis], x.dtype)
    ones = _ones(x.shape[axis], x.dtype.char, get_device_id())
    number, turned = _NUMBERS[x.dtype.char], int((axis == 0) == bool(across))
    given = (cublas.handle(), turned, *size, ctypes.byref(number(share)), x.data.ptr, apart, ones.data.ptr, 1)
    _check(cublas.vector[x.dtype.char](*given, ctypes.byref(number(0)), out.data.ptr, 1), x)
    return out


@cache
def _ones(count: int, char: str, device: int) -> Any:
    import cupy

    return cupy.ones(count, char)


def _multiply(x1: Any, x2: Any) -> Any:
    import cupy

    (x1, across1, apart1), (x2, across2, apart2) = layout(x1), layout(x2)
    (n, k), m = x1.shape[-2:], x2.shape[-1]
    out = cupy.empty((*x1.shape[:-1], m), x1.dtype)
    cublas: Any = _cublas()
    number = _NUMBERS[x1.dtype.char]
    # cuBLAS reads columns one after the other: it sees all three transposed, and multiplies the other way round.
    given = (cublas.handle(), across2, across1, m, n, k, ctypes.byref(number(1)))
    matrices, zero = math.prod(x1.shape[:-2]), ctypes.byref(number(0))
    if x1.ndim == 2:
        status = cublas.one[x1.dtype.char](*given, x2.data.ptr, apart2, x1.data.ptr, apart1, zero, out.data.ptr, m)
    else:
        factors = x2.data.ptr, apart2, k * m, x1.data.ptr, apart1, n * k
        status = cublas.stack[x1.dtype.char](*given, *factors, zero, out.data.ptr, m, n * m, matrices)
    _check(status, x1, x2)
    return out


def _check(status: int, *arrays: Any) -> None:
    if status:
        raise RuntimeError(f"cuBLAS refused a product of {' and '.join(str(x.shape) for x in arrays)}: status {status}")


def layout(x: Any) -> tuple[Any, int, int]:
    """Return matrices, whether they are stored column by column, and how many elements apart rows or columns are."""
    rows, columns = x.shape[-2:]
    size = x.itemsize
    if x.ndim == 2:
        down, along = x.strides
        if along == size and (rows == 1 or (down >= columns * size and down % size == 0)):
            return x, 0, columns if rows == 1 else down // size
        if down == size and (columns == 1 or (along >= rows * size and along % size == 0)):
            return x, 1, rows if columns == 1 else along // size
    elif x.swapaxes(-1, -2).flags.c_contiguous:
        return x, 1, rows
    import cupy

    return cupy.ascontiguousarray(x), 0, columns


class _Cublas:
    """The library that CuPy has loaded, and its handles."""

    def __init__(self) -> None:
        from cupy_backends.cuda.libs import cublas

        library = ctypes.CDLL(cublas.__file__)
        size: Any = ctypes.c_int
        pointer: Any = ctypes.c_void_p
        stride: Any = ctypes.c_longlong
        begin, matrix, end = [pointer, *[size] * 5, pointer], [pointer, size], [pointer, pointer, size]
        self.one = {"f": library.cublasSgemm_v2, "d": library.cublasDgemm_v2}
        self.stack = {"f": library.cublasSgemmStridedBatched, "d": library.cublasDgemmStridedBatched}
        self.vector = {"f": library.cublasSgemv_v2, "d": library.cublasDgemv_v2}
        for char in _NUMBERS:
            self.vector[char].argtypes = [pointer, size, size, size, pointer, *matrix, *matrix, *end]
            self.one[char].argtypes = [*begin, *matrix, *matrix, *end]
            self.stack[char].argtypes = [*begin, *matrix, stride, *matrix, stride, *end, stride, size]
        self._set_stream, self._set_mode = library.cublasSetStream_v2, library.cublasSetMathMode
        self._set_stream.argtypes, self._set_mode.argtypes = [pointer, pointer], [pointer, size]
        self._create = cublas.create
        self._handles: dict[tuple[int, int], int] = {}

    def handle(self) -> int:
        """Return the handle of the current stream: each has memory of its own, which no other stream writes to."""
        from cupy.cuda import get_current_stream
        from cupy.cuda.device import get_device_id

        stream = get_current_stream().ptr
        place = get_device_id(), stream
        if place not in self._handles:
            handle = self._handles[place] = self._create()
            self._set_stream(handle, stream)
            if os.environ.get("CUPY_TF32") == "1":
                self._set_mode(handle, _TF32)
        return self._handles[place]


@cache
def _cublas() -> _Cublas | None:
    try:
        return _Cublas()
    except (AttributeError, ImportError, OSError):
        # Another library, as on AMD's GPUs: CuPy knows it.
        return None
