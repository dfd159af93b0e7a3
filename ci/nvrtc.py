"""Compile each CUDA loop for each dtype that it declares, with NVIDIA's runtime compiler. It needs
no GPU.

    pip install cupy-cuda12x nvidia-cuda-nvrtc-cu12 nvidia-cuda-runtime-cu12
    python ci/nvrtc.py

CuPy generates the source of a kernel from a loop, and compiles it with its own headers and options.
PyTorch instantiates a template. The instance here only resembles PyTorch's. Warnings of the
compiler are errors.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "backends")]

import cupy  # noqa: E402 - after the path is set
import numpy as np  # noqa: E402 - after the path is set
from anynet_cuda.sources import SOURCES, TORCH_SOURCES, WINDOW, template  # noqa: E402 - after the path is set
from cupy._core import _carray, _kernel, _scalar, core  # noqa: E402 - after the path is set
from cupy.cuda import compiler  # noqa: E402 - after the path is set

#: Compute capabilities of the P100 (the oldest GPU that CUDA 12 compiles for), Colab's T4 and the
#: H100.
ARCHITECTURES = ("60", "75", "90")

#: A warning about the code, and not about the architecture.
_WARNING = re.compile(r"\): warning #")

_C_TYPES = {"f": "float", "d": "double", "i": "int"}

# CuPy's codes for the kinds of arguments.
_ARRAY, _INDEXER, _SCALAR = 1, 2, 3


def cupy_code(name: str, dtypes: dict[str, Any], *, strided: bool) -> str:
    """Return the source of the kernel that CuPy makes.

    The arrays are contiguous, or strided with four axes. With strided arrays the scalars are arrays
    too, as in a device graph.
    """
    inputs, outputs, operation, _ = SOURCES[name]
    constants = "".join(
        f"const int {constant} = 2; " for constant in WINDOW if constant in operation
    )
    kernel = cupy.ElementwiseKernel(inputs, outputs, constants + operation, f"anynet_{name}")
    axes = 4 if strided else 1

    def argument(parameter: Any, is_array: bool) -> Any:
        dtype = dtypes[parameter.ctype] if parameter.dtype is None else np.dtype(parameter.dtype)
        if not is_array:
            return _kernel._ArgInfo(_SCALAR, _scalar.CScalar, dtype, 0, True, True)
        if parameter.raw:
            return _kernel._ArgInfo(_ARRAY, cupy.ndarray, dtype, 1, True, True)
        return _kernel._ArgInfo(_ARRAY, cupy.ndarray, dtype, axes, not strided, not strided)

    # The first array that is not raw gives the loop its shape. Scalars come after all arrays.
    arrays = 0
    arguments = []
    for parameter in kernel.in_params:
        is_array = parameter.raw or (parameter.dtype is None and (strided or not arrays))
        arrays += is_array
        arguments.append(argument(parameter, is_array))
    arguments += [argument(parameter, True) for parameter in kernel.out_params]
    arguments.append(_kernel._ArgInfo(_INDEXER, _carray.Indexer, None, axes, True, True))
    types = _kernel._TypeMap(
        tuple(sorted((letter, dtype.type) for letter, dtype in dtypes.items()))
    )
    code = _kernel._get_elementwise_kernel_code(
        tuple(arguments),
        types,
        kernel.params,
        kernel.operation,
        kernel.name,
        kernel.preamble,
    )
    return "".join(f"#include <{header}>\n" for header in core._cupy_header_list) + str(code)


def torch_code(name: str, dtypes: dict[str, Any]) -> str:
    """Return the template that PyTorch compiles, and a kernel that calls its instance for a
    dtype.
    """
    source = TORCH_SOURCES[name]
    count = len(f"{source.inputs}, {source.outputs}".split(", "))
    kind = _C_TYPES[dtypes["T"].char]
    values = ", ".join(f"values[{i}]" for i in range(count))
    body = f"anynet_{name}<{kind}>({values});"
    return f'{template(name)}\nextern "C" __global__ void kernel({kind}* values) {{ {body} }}\n'


def sources() -> Iterator[tuple[str, str]]:
    """Yield a name and the code for each loop, dtype and library."""
    for library, table in (("cupy", SOURCES), ("torch", TORCH_SOURCES)):
        for name, source in table.items():
            for letters in product(*source.dtypes.values()):
                dtypes = {
                    letter: np.dtype(char)
                    for letter, char in zip(source.dtypes, letters, strict=True)
                }
                title = f"{library} {name} {' '.join(dtype.name for dtype in dtypes.values())}"
                if library == "torch":
                    yield title, torch_code(name, dtypes)
                else:
                    yield title, cupy_code(name, dtypes, strided=False)
                    yield (
                        f"{title} strided",
                        cupy_code(name, dtypes, strided=True),
                    )


def errors(code: str, architecture: str) -> str:
    """Return the compiler's errors and warnings, with the options that CuPy passes."""
    options = (
        *core.assemble_cupy_compiler_options(()),
        "-ftz=true",
        f"-arch=sm_{architecture}",
    )
    program = compiler._NVRTCProgram(
        code, "anynet.cu", (), (), name_expressions=None, method="cubin"
    )
    log = _Log()
    try:
        program.compile((*options, "--device-as-default-execution-space"), log)
    except compiler.CompileException as error:
        return str(error)
    return "\n".join(line for line in log.text.splitlines() if _WARNING.search(line))


class _Log:
    """A file-like object that CuPy writes the compiler's log to."""

    text = ""

    def write(self, text: str) -> None:
        self.text += text


def main() -> int:
    """Compile everything, print the failures, and return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--arch",
        action="append",
        help=f"compute capability (default: {' '.join(ARCHITECTURES)})",
    )
    architectures = parser.parse_args().arch or ARCHITECTURES
    compiled = failed = 0
    for title, code in sources():
        for architecture in architectures:
            found = errors(code, architecture)
            compiled += 1
            if found:
                failed += 1
                print(f"sm_{architecture} {title}\n{found}\n", file=sys.stderr)
    print(f"CuPy {cupy.__version__}: {compiled} kernels compiled, {failed} of them with errors")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
