"""Products and sums of matrices by cuBLAS, called directly.

CuPy's own calls take longer, and raise while a graph is captured: CuPy sets the stream of its
cuBLAS handle before every call, and forbids that during a capture. Here each stream has its own
handle. The library is the one that CuPy has loaded.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cupy import ndarray

#: The letter of cuBLAS's functions by the letter of a dtype. The functions for float16 have other
#: names, and sum in float32.
_LETTERS = {"f": "S", "d": "D", "F": "C", "D": "Z"}
HALF = "e"
#: The dtypes in which a sum is a product with ones.
_SUMMED = "fd"
COUNTED = 1 << 31

# As cuBLAS numbers them.
_TF32, _FLOAT16, _COMPUTE_FLOAT32, _DEFAULT_ALGORITHM = 3, 2, 68, -1


def _scalar(char: str, value: float) -> Any:
    """Return a scalar for cuBLAS, which has two parts if it is complex."""
    kind = ctypes.c_double if char in "dD" else ctypes.c_float
    return (kind * 2)(value, 0) if char in "FD" else kind(value)


ONE, _ZERO = ({char: _scalar(char, value) for char in (*_LETTERS, HALF)} for value in (1.0, 0.0))


def is_multiplied(x1: ndarray, x2: ndarray) -> bool:
    """Return whether cuBLAS has the dtype of a product, and both arrays have axes and elements."""
    import cupy

    dtype = x1.dtype if x1.dtype == x2.dtype else cupy.promote_types(x1.dtype, x2.dtype)
    if dtype.char not in ONE or not x1.ndim * x2.ndim * x1.size * x2.size:
        return False
    return _cublas() is not None


def sums(
    x: ndarray,
    axis: int,
    share: float = 1.0,
) -> Any:
    """Return the sums of a matrix over an axis, times a share.

    A product with ones is faster than a reduction.
    """
    import cupy

    rows, columns = x.shape
    cublas: Any = _cublas() if x.dtype.char in _SUMMED and 0 < x.size < COUNTED else None
    if cublas is None:
        return cupy.sum(x, axis=axis) * x.dtype.type(share)
    from cupy.cuda.device import get_device_id

    x, across, apart = layout(x)
    size = (rows, columns) if across else (columns, rows)
    char = x.dtype.char
    out = cupy.empty(x.shape[1 - axis], x.dtype)
    ones = _ones(x.shape[axis], char, get_device_id())
    transposed = int((axis == 0) == bool(across))
    matrix = _address(x), apart
    scale, zero = _at(_scalar(char, share)), _at(_ZERO[char])
    call = cublas.vector[char]
    status = call(
        cublas.handle(),
        transposed,
        *size,
        scale,
        *matrix,
        _address(ones),
        1,
        zero,
        _address(out),
        1,
    )
    _check(status, x)
    return out


@cache
def _ones(
    count: int,
    char: str,
    device: int,
) -> Any:
    import cupy

    return cupy.ones(count, char)


_at = ctypes.byref


def _address(x: ndarray) -> int:
    return x.data.ptr  # type: ignore[no-any-return]


def multiply(x1: ndarray, x2: ndarray) -> Any:
    """Multiply two matrices, a stack by a stack, or a stack by one matrix."""
    import cupy

    (x1, across1, apart1), (x2, across2, apart2) = layout(x1), layout(x2)
    (n, k), m = x1.shape[-2:], x2.shape[-1]
    batch = x1.shape[:-2] or x2.shape[:-2]
    out = cupy.empty((*batch, n, m), x1.dtype)
    cublas: Any = _cublas()
    char = x1.dtype.char
    # cuBLAS stores matrices by column. It gets all three transposed, so the factors are exchanged.
    begin = cublas.handle(), across2, across1, m, n, k, _at(ONE[char])
    zero = _at(_ZERO[char])
    first, second = (_address(x1), apart1), (_address(x2), apart2)
    if batch:
        step1, step2 = (math.prod(x.shape[-2:]) if x.ndim > 2 else 0 for x in (x1, x2))
        factors = (*second, step2, *first, step1)
        end = _address(out), m, n * m, math.prod(batch)
        status = cublas.stack[char](*begin, *factors, zero, *end)
    else:
        status = cublas.one[char](
            *begin,
            *second,
            *first,
            zero,
            _address(out),
            m,
        )
    _check(status, x1, x2)
    return out


def _check(status: int, *arrays: ndarray) -> None:
    if status:
        raise RuntimeError(
            f"cuBLAS failed with status {status} for shapes "
            f"{' and '.join(str(x.shape) for x in arrays)}"
        )


def layout(x: ndarray) -> tuple[Any, int, int]:
    """Return matrices, whether they are stored by column, and the distance of rows or columns.

    The distance is a number of elements.
    """
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
    """The library that CuPy has loaded, and its handles, one for each stream."""

    def __init__(self) -> None:
        from cupy_backends.cuda.libs import cublas

        library = ctypes.CDLL(cublas.__file__)
        size: Any = ctypes.c_int
        pointer: Any = ctypes.c_void_p
        stride: Any = ctypes.c_longlong
        begin = [pointer, *[size] * 5, pointer]
        matrix = [pointer, size]
        end = [pointer, pointer, size]
        self.one: dict[str, Callable[..., int]] = {}
        self.stack: dict[str, Callable[..., int]] = {}
        self.vector: dict[str, Callable[..., int]] = {}
        for char, letter in _LETTERS.items():
            one = self.one[char] = getattr(library, f"cublas{letter}gemm_v2")
            one.argtypes = [*begin, *matrix, *matrix, *end]
            stack = self.stack[char] = getattr(library, f"cublas{letter}gemmStridedBatched")
            stack.argtypes = [*begin, *matrix, stride, *matrix, stride, *end, stride, size]
        for char in _SUMMED:
            vector = self.vector[char] = getattr(library, f"cublas{_LETTERS[char]}gemv_v2")
            vector.argtypes = [pointer, size, size, size, pointer, *matrix, *matrix, *end]
        one = library.cublasGemmEx
        stack = library.cublasGemmStridedBatchedEx
        typed, last = [pointer, size, size], [size, size]
        strided = [*typed, stride]
        one.argtypes = [*begin, *typed, *typed, pointer, *typed, *last]
        stack.argtypes = [*begin, *strided, *strided, pointer, *strided, size, *last]
        self.one[HALF], self.stack[HALF] = _half(one), _half(stack)
        self._set_stream = library.cublasSetStream_v2
        self._set_stream.argtypes = [pointer, pointer]
        self._set_mode = library.cublasSetMathMode
        self._set_mode.argtypes = [pointer, size]
        self._create = cublas.create
        self._handles: dict[tuple[int, int], int] = {}

    def handle(self) -> int:
        """Return the handle of the current stream, whose memory no other stream writes to."""
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


def _half(function: Any) -> Callable[..., int]:
    """Return cuBLAS's function for matrices of any dtype as a function for float16.

    Scalars and sums are float32.
    """

    def call(*args: Any) -> int:
        begin, rest = args[:7], list(args[7:])
        # One product has the arguments x2, apart, x1, apart, zero, out, apart. A stack has a step
        # after each "apart", and the number of matrices at the end.
        n = 2 if len(rest) == 7 else 3
        zero, *out = rest[2 * n :]
        # The dtype comes after the address of each matrix.
        x2, x1, out = (
            [matrix[0], _FLOAT16, *matrix[1:]] for matrix in (rest[:n], rest[n : 2 * n], out)
        )
        last = _COMPUTE_FLOAT32, _DEFAULT_ALGORITHM
        return int(function(*begin, *x2, *x1, zero, *out, *last))

    return call


@cache
def _cublas() -> _Cublas | None:
    try:
        return _Cublas()
    except (AttributeError, ImportError, OSError):
        # AMD's GPUs have another library, which CuPy calls.
        return None
