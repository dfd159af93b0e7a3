"""A replacement for cuBLAS on a CPU: products of column-major matrices at given addresses."""

import ctypes

import numpy as np

FLOAT16, COMPUTE_FLOAT32, DEFAULT_ALGORITHM = 2, 68, -1
TYPES = {
    "e": "float32",
    "f": "float32",
    "d": "float64",
    "F": "complex64",
    "D": "complex128",
}


def matrix_at(address, rows, columns, stride, dtype, *, write=False):
    """Return the matrix at an address, whose columns are `stride` elements apart."""
    assert stride >= max(1, rows)
    size = np.dtype(dtype).itemsize
    count = stride * (columns - 1) + rows
    memory = (ctypes.c_char * (count * size)).from_address(address)
    flat = np.frombuffer(memory, dtype)
    strides = (size, stride * size)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), strides, writeable=write)


def scalar(reference, char):
    dtype = np.dtype(TYPES[char])
    memory = ctypes.string_at(ctypes.addressof(reference._obj), dtype.itemsize)
    return np.frombuffer(memory, dtype)[0]


class Cublas:
    def __init__(self):
        self.one = {char: lambda *args, char=char: self.multiply(char, *args) for char in "fdFD"}
        self.stack = {
            char: lambda *args, char=char: self.multiply_stack(char, *args) for char in "fdFD"
        }
        self.vector = {
            char: lambda *args, char=char: self.multiply_vector(char, *args) for char in "fd"
        }
        self.calls = []

    def handle(self):
        return 1

    def multiply(
        self,
        char,
        handle,
        transpose1,
        transpose2,
        m,
        n,
        k,
        alpha,
        a,
        lda,
        b,
        ldb,
        beta,
        c,
        ldc,
    ):
        self.calls.append((m, n, k))
        assert (handle, scalar(beta, char)) == (1, 0)
        first = matrix_at(a, k, m, lda, char).T if transpose1 else matrix_at(a, m, k, lda, char)
        second = matrix_at(b, n, k, ldb, char).T if transpose2 else matrix_at(b, k, n, ldb, char)
        dtype = TYPES[char]
        product = first.astype(dtype) @ second.astype(dtype)
        matrix_at(c, m, n, ldc, char, write=True)[...] = scalar(alpha, char) * product
        return 0

    def multiply_stack(self, char, *args):
        *begin, a, lda, step1, b, ldb, step2, beta, c, ldc, step, count = args
        size = np.dtype(char).itemsize
        for i in range(count):
            a_i = a + i * step1 * size
            b_i = b + i * step2 * size
            c_i = c + i * step * size
            self.multiply(char, *begin, a_i, lda, b_i, ldb, beta, c_i, ldc)
        return 0

    def multiply_vector(
        self,
        char,
        handle,
        transpose,
        m,
        n,
        alpha,
        a,
        lda,
        x,
        step,
        beta,
        y,
        step_y,
    ):
        assert (handle, step, step_y, scalar(beta, char)) == (1, 1, 1, 0)
        matrix = matrix_at(a, m, n, lda, char)
        if transpose:
            matrix = matrix.T
        rows, columns = matrix.shape
        vector = matrix_at(x, columns, 1, columns, char)
        out = matrix_at(y, rows, 1, rows, char, write=True)
        out[...] = scalar(alpha, char) * (matrix @ vector)
        return 0

    def multiply_typed(self, *args):
        """Multiply as cublasGemmEx."""
        (
            *begin,
            a,
            type1,
            lda,
            b,
            type2,
            ldb,
            beta,
            c,
            type3,
            ldc,
            compute,
            algorithm,
        ) = args
        self.check_types((type1, type2, type3), compute, algorithm)
        return self.multiply("e", *begin, a, lda, b, ldb, beta, c, ldc)

    def multiply_stack_typed(self, *args):
        """Multiply as cublasGemmStridedBatchedEx."""
        (
            *begin,
            a,
            type1,
            lda,
            step1,
            b,
            type2,
            ldb,
            step2,
            beta,
            c,
            type3,
            ldc,
            step,
            count,
            compute,
            algorithm,
        ) = args
        self.check_types((type1, type2, type3), compute, algorithm)
        return self.multiply_stack(
            "e",
            *begin,
            a,
            lda,
            step1,
            b,
            ldb,
            step2,
            beta,
            c,
            ldc,
            step,
            count,
        )

    def check_types(self, types, compute, algorithm):
        assert (*types, compute, algorithm) == (
            *[FLOAT16] * 3,
            COMPUTE_FLOAT32,
            DEFAULT_ALGORITHM,
        )
