"""Fixtures: every test that asks for a backend runs on each one that works here, or on those named
by --backend."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from anynet.backend import Backend, backend_names, get_backend
from anynet.errors import BackendError

# SciPy reads this once, when it is imported: its functions then take arrays of any library.
os.environ["SCIPY_ARRAY_API"] = "1"
# On a GPU it would round the factors of a product to ten bits.
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
# Most tests compute in float64, which JAX has only when it is told to. JAX_ENABLE_X64=0 runs the
# others without.
os.environ.setdefault("JAX_ENABLE_X64", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        metavar="NAME[:DEVICE]",
        help="run on this backend; may be repeated (default: every one that works)",
    )
    parser.addoption(
        "--emulate-graphs",
        action="store_true",
        help="let PyTorch's CPU backend run compiled steps as graphs, and the kernels of a GPU",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--emulate-graphs"):
        from emulated_graphs import emulate

        emulate()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--emulate-graphs"):
        from emulated_graphs import counts

        terminalreporter.write_line(", ".join(f"{count} {what}" for what, count in counts.items()))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--backend") or _working()
        metafunc.parametrize("backend", chosen, indirect=True)


def _working() -> list[str]:
    names = []
    for name in backend_names():
        with contextlib.suppress(BackendError):
            # One that is lazy computes nothing; the tests of the export are for it.
            names += [] if get_backend(name).lazy else [name]
    names.sort()
    # A device that is not the default one shows every forgotten `device=`.
    return [
        *names,
        *(["array_api_strict:device1"] if "array_api_strict" in names else []),
    ]


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    return get_backend(request.param)


@pytest.fixture
def xp(backend: Backend) -> Any:
    return backend.xp


@pytest.fixture
def strictest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """array_api_strict on its second device, without masks and data-dependent shapes, its numbers
    not to be read.

    What runs here never waits for a device."""
    strict = pytest.importorskip("array_api_strict", reason="needs array_api_strict")
    backend = get_backend("array_api_strict:device1")

    def refuse(self: Any) -> Any:
        raise AssertionError("the number of an array was read: on a GPU the host would wait")

    for name in (
        "__bool__",
        "__int__",
        "__float__",
        "__index__",
        "__complex__",
    ):
        monkeypatch.setattr(strict._array_object.Array, name, refuse)
    with (
        warnings.catch_warnings(),
        strict.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False),
    ):
        yield backend
