"""A replacement for cupy.ElementwiseKernel on a CPU: the same source in a C++ loop."""

import ctypes
import math
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

SCALARS = {
    np.dtype("float32"): "float",
    np.dtype("float64"): "double",
    np.dtype("int32"): "int",
}


ATOMIC = "template <typename A> void atomicAdd(A* address, A value) { *address += value; }\n"


def parameters(declarations):
    """Return (is it raw, type, name) for each declaration."""
    words = [declaration.split() for declaration in declarations.split(", ")]
    return [(word[0] == "raw", word[-2], word[-1]) for word in words]


def loop(source, scalar, function, before, index):
    """Return C++ code of the loop.

    `before` qualifies the function. `index` is the statement that counts the elements."""
    inputs, outputs, operation = source
    declared = parameters(f"{inputs}, {outputs}")
    arguments = ", ".join(f"{ctype}* {name}{'' if raw else '_'}" for raw, ctype, name in declared)
    body = "".join(f"{ctype}& {name} = {name}_[i]; " for raw, ctype, name in declared if not raw)
    return (
        f"typedef {scalar} T;\ntypedef int int32;\ntypedef long long L;\n"
        f'extern "C" {before} void {function}({arguments}, long long elements)\n'
        f"{{ {index} {{ {body}{operation}; }} }}\n"
    )


class ElementwiseKernel:
    def __init__(self, inputs, outputs, operation, name):
        self.source = inputs, outputs, operation
        self.name = name
        self.inputs, self.outputs = parameters(inputs), parameters(outputs)

    def __call__(self, *args, size=None):
        dtype = next(x.dtype for x in args if isinstance(x, np.ndarray))
        if dtype == np.float16:
            # CuPy's float16 computes in float32.
            out = self(*map(in_float32, args), size=size)
            if isinstance(out, tuple):
                return tuple(x.astype(dtype) for x in out)
            return out.astype(dtype)
        types = {"T": dtype, "int32": np.dtype("int32"), "L": np.dtype("int64")}
        inputs = [
            np.asarray(x, types[ctype]) for x, (_, ctype, _) in zip(args, self.inputs, strict=False)
        ]
        outputs = list(args[len(inputs) :])
        # The arrays that are not raw broadcast against each other.
        elements = [x for x, (raw, _, _) in zip(inputs, self.inputs, strict=True) if not raw]
        elements += [x for x, (raw, _, _) in zip(outputs, self.outputs, strict=False) if not raw]
        shape = np.broadcast_shapes(*(x.shape for x in elements)) if size is None else (size,)
        outputs = outputs or [np.empty(shape, dtype) for _ in self.outputs]
        assert all(x.flags.c_contiguous for x in outputs)
        arrays = []
        for x, (raw, _, _) in zip(inputs, self.inputs, strict=True):
            assert x.flags.c_contiguous or not raw, "a raw array must be contiguous"
            arrays.append(x if raw else np.ascontiguousarray(np.broadcast_to(x, shape)))
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in (*arrays, *outputs)]
        function = compiled(self.source, self.name, SCALARS[dtype])
        function(*pointers, ctypes.c_longlong(math.prod(shape)))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


def in_float32(x):
    return x.astype("float32") if isinstance(x, np.ndarray | np.float16) else x


@cache
def compiled(source, name, scalar):
    code = loop(source, scalar, name, "", "for (long long i = 0; i < elements; ++i)")
    folder = Path(tempfile.mkdtemp())
    # NVRTC has no such macros.
    head = f"#include <cmath>\n#undef INFINITY\n#undef NAN\n{ATOMIC}"
    (folder / "k.cpp").write_text(head + code, encoding="utf-8")
    command = ["c++", "-O1", "-shared", "-fPIC", "-o", "k.so", "k.cpp"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "k.so"))[name]
