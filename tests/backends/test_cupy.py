"""What can be tested of the CuPy backend without a GPU: what it says when something is missing, and its kernels.

On a machine with a GPU all other tests run on CuPy as on every backend that works.
"""

import math
import re
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from anynet_cupy import kernels

from anynet.backend import get_backend, probe
from anynet.errors import BackendError


class CUDARuntimeError(RuntimeError):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def pretend(monkeypatch, **runtime):
    """Put a module in cupy's place."""
    module = types.ModuleType("cupy")
    module.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(CUDARuntimeError=CUDARuntimeError, **runtime),
        Device=lambda number: types.SimpleNamespace(id=number, use=lambda: None),
    )
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def raises(error):
    def function(*args, **settings):
        raise error

    return function


def refused():
    with pytest.raises(BackendError) as caught:
        get_backend("cupy")
    message = str(caught.value)
    assert "\n" not in message
    assert 'pip install "anynet[cuda13]"' in message
    return message


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert refused().startswith("cupy is not installed: pip install")


def test_an_import_that_fails_for_a_library_of_cuda(monkeypatch):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise ImportError("libcublas.so.13: cannot open shared object file: No such file or directory")

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    message = refused()
    assert "libcublas.so.13" in message
    assert "CUDA's libraries are missing" in message


@pytest.mark.parametrize(
    ("status", "text", "advice"),
    [
        (
            35,
            "cudaErrorInsufficientDriver: CUDA driver version is insufficient",
            "the NVIDIA driver is missing or older",
        ),
        (100, "cudaErrorNoDevice: no CUDA-capable device is detected", "CUDA finds no GPU"),
        (999, "cudaErrorUnknown: unknown error\nmore lines", "cudaErrorUnknown: unknown error"),
    ],
)
def test_no_driver_or_no_gpu(monkeypatch, status, text, advice):
    pretend(monkeypatch, getDeviceCount=raises(CUDARuntimeError(status, text)))
    message = refused()
    assert message.startswith(f"cupy cannot use a GPU ({text.splitlines()[0]}): ")
    assert advice in message
    report = probe("cupy")
    assert not report.works
    assert report.reason == message


def test_libraries_that_are_missing_at_the_first_product(monkeypatch):
    module = pretend(monkeypatch, getDeviceCount=lambda: 1)
    module.ones = raises(ImportError("libcublas.so.12: cannot open shared object file\n\nhint"))
    message = refused()
    assert message.startswith("cupy does not work (ImportError: libcublas.so.12: cannot open shared object file): ")


@pytest.mark.parametrize("name", ["cupy:2", "cupy:-1", "cupy:gpu"])
def test_a_device_that_is_not_there(monkeypatch, name):
    pretend(monkeypatch, getDeviceCount=lambda: 2)
    with pytest.raises(BackendError, match=r"cupy has no device '.*'; it has 0, 1$"):
        get_backend(name)


def cuda_source(name, scalar):
    """Write out the loop that cupy.ElementwiseKernel makes of a source."""
    inputs, outputs, operation = kernels.SOURCES[name]
    parts = [part.split() for part in (inputs + ", " + outputs).split(", ")]
    parameters = ", ".join(f"{kind}* {parameter}_" for kind, parameter in parts)
    body = "".join(f"T& {parameter} = {parameter}_[i]; " for _, parameter in parts)
    return (
        f"typedef {scalar} T;\n"
        f'extern "C" __global__ void anynet_{name}({parameters}, int n) {{\n'
        f"  int i = blockIdx.x * blockDim.x + threadIdx.x;\n  if (i < n) {{ {body}{operation}; }}\n}}\n"
    )


@pytest.mark.parametrize("name", kernels.SOURCES)
@pytest.mark.parametrize("scalar", ["float", "double"])
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs CUDA's compiler, nvcc")
def test_sources_compile_for_a_gpu(tmp_path, name, scalar):
    source = tmp_path / "kernel.cu"
    source.write_text(cuda_source(name, scalar))
    done = subprocess.run(["nvcc", "-ptx", source.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f".entry anynet_{name}(" in (tmp_path / "kernel.ptx").read_text()


def expected_adam(parameter, gradient, mean, square, rate, beta1, beta2, correction, epsilon, decay):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient * gradient
    return decay * parameter - rate * (mean / (np.sqrt(square) * correction + epsilon)), mean, square


def expected_momentum(parameter, gradient, velocity, learning_rate, momentum, nesterov):
    velocity = momentum * velocity + gradient
    return parameter - learning_rate * (gradient + momentum * velocity if nesterov > 0 else velocity), velocity


EXPECTED = {
    "adam_update": expected_adam,
    "momentum_update": expected_momentum,
    "erf": math.erf,
    "relu": lambda x: max(x, 0.0) if x == x else x,
    "relu_gradient": lambda g, y: g if y > 0 else 0.0,
    "sgd_update": lambda parameter, gradient, learning_rate: parameter - learning_rate * gradient,
}


@pytest.mark.parametrize("name", kernels.SOURCES)
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_sources_compute_what_the_references_do(tmp_path, name):
    """The operations are plain C++: compile them for the CPU and try them on a few numbers."""
    inputs, outputs, operation = kernels.SOURCES[name]
    results = [part.split()[1] for part in outputs.split(", ")]
    names = [part.split()[1] for part in inputs.split(", ")]
    values = [-2.0, -0.0, 0.0, 0.5, 3.0, float("nan")]
    cases = [[values[(i + 2 * k) % len(values)] for k in range(len(names))] for i in range(len(values))]
    arguments = ", ".join(f"T {name}" for name in names)
    numbers = ["NAN" if v != v else repr(v) for case in cases for v in case]
    width = len(names)
    calls = "".join(f"f({', '.join(numbers[i * width : (i + 1) * width])});\n" for i in range(len(cases)))
    shown = "".join(f'printf("%.17g\\n", {result}); ' for result in results)
    (tmp_path / "k.cpp").write_text(
        f"#include <cmath>\n#include <cstdio>\ntypedef double T;\n"
        f"void f({arguments}) {{ T {', '.join(results)}; {operation}; {shown}}}\nint main() {{\n{calls}}}\n"
    )
    subprocess.run(["c++", "-o", "k", "k.cpp"], cwd=tmp_path, check=True)
    out = subprocess.run(["./k"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    with np.errstate(all="ignore"):
        expected = [np.ravel(EXPECTED[name](*map(np.float64, case))) for case in cases]
    for found, wanted in zip(map(float, out.split()), np.concatenate(expected), strict=True):
        assert found == pytest.approx(float(wanted), nan_ok=True)


def test_every_source_has_its_kernel():
    assert set(kernels.SOURCES) == set(kernels.KERNELS) == set(EXPECTED)
    assert all(re.search(r"\bout = ", operation) for _, _, operation in kernels.SOURCES.values())
