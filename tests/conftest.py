"""Fixtures and options of all tests.

A test with the fixture `backend` runs on every backend that works here, or on those of --backend.
"""

import contextlib
import os
import signal
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from anynet.backend import Backend, backend_names, get_backend
from anynet.errors import BackendError

# With it, SciPy's functions take arrays of any library. SciPy reads it when it is imported.
os.environ["SCIPY_ARRAY_API"] = "1"
# By default, JAX rounds the factors of a matrix product to ten bits on a GPU.
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
# Most tests compute in float64, which JAX turns off by default. With JAX_ENABLE_X64=0, the other
# tests run in JAX's default mode.
os.environ.setdefault("JAX_ENABLE_X64", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        metavar="NAME[:DEVICE]",
        help="run on this backend (may be repeated; default: all that work here)",
    )
    parser.addoption(
        "--emulate-graphs",
        action="store_true",
        help="emulate device graphs and the GPU kernels of PyTorch's backend on a CPU",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--emulate-graphs"):
        from emulated_graphs import emulate

        emulate()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--emulate-graphs"):
        from emulated_graphs import counts

        line = ", ".join(f"{count} {event}" for event, count in counts.items())
        terminalreporter.write_line(line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--backend") or _working()
        metafunc.parametrize("backend", chosen, indirect=True)


def _working() -> list[str]:
    names = []
    for name in backend_names():
        with contextlib.suppress(BackendError):
            # A lazy backend does not compute. tests/interop/test_onnx.py tests it.
            if not get_backend(name).lazy:
                names.append(name)
    names.sort()
    # A second device shows each call where `device=` is missing.
    if "array_api_strict" in names:
        names.append("array_api_strict:device1")
    return names


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    return get_backend(request.param)


@pytest.fixture
def xp(backend: Backend) -> Any:
    return backend.xp


@pytest.fixture
def pythons_handler() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt. A shell ignores it in commands in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def strictest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """array_api_strict on its second device, without masks, data-dependent shapes and conversions
    to Python scalars.

    Code that runs on it never waits for a device.
    """
    strict = pytest.importorskip("array_api_strict", reason="needs array_api_strict")
    backend = get_backend("array_api_strict:device1")

    def fail(self: Any) -> Any:
        raise AssertionError("an array became a Python scalar: on a GPU the host would wait")

    for name in ("__bool__", "__int__", "__float__", "__index__", "__complex__"):
        monkeypatch.setattr(strict._array_object.Array, name, fail)
    with (
        warnings.catch_warnings(),
        strict.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False),
    ):
        yield backend
