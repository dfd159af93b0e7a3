"""cupy.ElementwiseKernel for NumPy's arrays: the same source in a loop of plain C++, to try kernels
without a GPU."""

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


ATOMIC = "template <typename A> void atomicAdd(A* place, A value) { *place += value; }\n"


def parameters(declared):
    """Return (raw, type, name) for each."""
    parts = [part.split() for part in declared.split(", ")]
    return [(part[0] == "raw", part[-2], part[-1]) for part in parts]


def loop(source, scalar, function, before, index):
    """Return C++ code of the loop; before and index are what a CPU or a GPU says to count the
    elements."""
    inputs, outputs, operation = source
    given = parameters(f"{inputs}, {outputs}")
    arguments = ", ".join(f"{kind}* {name}{'' if raw else '_'}" for raw, kind, name in given)
    body = "".join(f"{kind}& {name} = {name}_[i]; " for raw, kind, name in given if not raw)
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
            # As CuPy's type does: float32 in between.
            wide = [
                x.astype("float32") if isinstance(x, np.ndarray | np.float16) else x for x in args
            ]
            out = self(*wide, size=size)
            return (
                tuple(x.astype(dtype) for x in out) if isinstance(out, tuple) else out.astype(dtype)
            )
        types = {
            "T": dtype,
            "int32": np.dtype("int32"),
            "L": np.dtype("int64"),
        }
        given = [
            np.asarray(x, types[kind]) for x, (_, kind, _) in zip(args, self.inputs, strict=False)
        ]
        made = list(args[len(given) :])
        plain = [x for x, (raw, _, _) in zip(given, self.inputs, strict=True) if not raw]
        plain += [x for x, (raw, _, _) in zip(made, self.outputs, strict=False) if not raw]
        shape = np.broadcast_shapes(*(x.shape for x in plain)) if size is None else (size,)
        made = made or [np.empty(shape, dtype) for _ in self.outputs]
        arrays = [
            np.ascontiguousarray(x if raw else np.broadcast_to(x, shape))
            for x, (raw, _, _) in zip(given, self.inputs, strict=True)
        ]
        assert all(x.flags.c_contiguous for x in made)
        for x, (raw, _, _) in zip(given, self.inputs, strict=True):
            assert x.flags.c_contiguous or not raw, (
                "a source that reads by number wants its array in order"
            )
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in (*arrays, *made)]
        compiled(self.source, self.name, SCALARS[dtype])(
            *pointers, ctypes.c_longlong(math.prod(shape))
        )
        return made[0] if len(made) == 1 else tuple(made)


@cache
def compiled(source, name, scalar):
    code = loop(source, scalar, name, "", "for (long long i = 0; i < elements; ++i)")
    folder = Path(tempfile.mkdtemp())
    # CUDA's compiler for sources has no such macros.
    (folder / "k.cpp").write_text(
        f"#include <cmath>\n#undef INFINITY\n#undef NAN\n{ATOMIC}{code}",
        encoding="utf-8",
    )
    subprocess.run(
        ["c++", "-O1", "-shared", "-fPIC", "-o", "k.so", "k.cpp"],
        cwd=folder,
        check=True,
    )
    return ctypes.CDLL(str(folder / "k.so"))[name]
