"""cuBLAS for NumPy's arrays: products of matrices that are read column by column, at addresses, as
it is told."""

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


def at(address, rows, columns, apart, dtype, *, write=False):
    """Return the matrix at an address whose columns are so many elements apart."""
    assert apart >= max(1, rows)
    size = np.dtype(dtype).itemsize
    memory = (ctypes.c_char * ((apart * (columns - 1) + rows) * size)).from_address(address)
    flat = np.frombuffer(memory, dtype)
    return np.lib.stride_tricks.as_strided(
        flat, (rows, columns), (size, apart * size), writeable=write
    )


def scalar(reference, char):
    kind = np.dtype(TYPES[char])
    return np.frombuffer(
        ctypes.string_at(ctypes.addressof(reference._obj), kind.itemsize),
        kind,
    )[0]


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
        turned1,
        turned2,
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
        first = at(a, k, m, lda, char).T if turned1 else at(a, m, k, lda, char)
        second = at(b, n, k, ldb, char).T if turned2 else at(b, k, n, ldb, char)
        wide = TYPES[char]
        found = scalar(alpha, char) * (first.astype(wide) @ second.astype(wide))
        at(c, m, n, ldc, char, write=True)[...] = found
        return 0

    def multiply_stack(self, char, *args):
        *begin, a, lda, step1, b, ldb, step2, beta, c, ldc, step, count = args
        size = np.dtype(char).itemsize
        for i in range(count):
            places = [
                address + i * apart * size for address, apart in ((a, step1), (b, step2), (c, step))
            ]
            self.multiply(
                char,
                *begin,
                places[0],
                lda,
                places[1],
                ldb,
                beta,
                places[2],
                ldc,
            )
        return 0

    def multiply_vector(
        self,
        char,
        handle,
        turned,
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
        matrix = at(a, m, n, lda, char)
        matrix = matrix.T if turned else matrix
        vector = at(x, matrix.shape[1], 1, matrix.shape[1], char)
        at(y, matrix.shape[0], 1, matrix.shape[0], char, write=True)[...] = scalar(alpha, char) * (
            matrix @ vector
        )
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
