import ast
import copy
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import backend as backends
from anynet import plugins
from anynet.backend import (
    Backend,
    backend_names,
    get_backend,
    kernels_for,
    probe,
)
from anynet.errors import BackendError, DTypeError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def registered(monkeypatch):
    """Register entry points for a test. The cache of backends is empty before and after it."""

    def forget():
        for cached in (
            plugins.entry_points,
            plugins.plugin,
            backends._opened,
        ):
            cached.cache_clear()

    def register(**values):
        points = [
            importlib.metadata.EntryPoint(name, value, plugins.GROUP)
            for name, value in values.items()
        ]
        real = importlib.metadata.entry_points(group=plugins.GROUP)
        monkeypatch.setattr(
            importlib.metadata,
            "entry_points",
            lambda group: [*real, *points],
        )
        forget()

    yield register
    monkeypatch.undo()
    forget()


def test_backend_by_name_device_and_environment(monkeypatch):
    monkeypatch.delenv("ANYNET_BACKEND", raising=False)
    assert get_backend().name == "numpy"
    assert get_backend("numpy:cpu").device_name == "cpu"
    monkeypatch.setenv("ANYNET_BACKEND", "array_api_strict:device1")
    assert get_backend().name == "array_api_strict"
    assert get_backend().device_name == "device1"
    assert get_backend("numpy").name == "numpy"
    assert {"numpy", "cupy", "array_api_strict"} <= set(backend_names())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "numpie",
            r"unknown backend 'numpie'; there are array_api_strict, .*, torch \(set "
            "ANYNET_BACKEND or --backend",
        ),
        ("numpy:1", "numpy has no device '1'; it has 'cpu'"),
        (
            "array_api_strict:gpu",
            "array_api_strict has no device 'gpu'; it has CPU_DEVICE, device1 and device2",
        ),
    ],
)
def test_unknown_backend_names(name, message):
    with pytest.raises(BackendError, match=message) as caught:
        get_backend(name)
    assert "\n" not in str(caught.value)


def test_backend_of_an_array(backend):
    x = normal(backend, 2)
    assert get_backend(x).name == backend.name
    assert get_backend(x).device == backend.device
    assert get_backend(backend) is backend


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
def test_values_survive_a_transfer_to_the_device_and_back(backend, dtype):
    data = (np.arange(6).reshape(2, 3) % 3).astype(dtype)
    x = backend.asarray(data)
    assert get_backend(x).device == backend.device
    assert backend.supports(x.dtype)
    assert host(x).dtype == dtype
    assert_close(x, data)
    assert_close(backend.asarray(memoryview(data)), data)
    assert backend.asarray(x) is x
    backend.synchronize()


ODD = {
    "reversed": np.arange(6.0)[::-1],
    "reversed along both axes": np.arange(6.0).reshape(2, 3)[::-1, ::-1],
    "every third": np.arange(10.0)[::3],
    "column-major": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "repeated and read-only": np.broadcast_to(np.arange(3.0), (2, 3)),
    "big-endian": np.arange(3, dtype=">f4"),
    "big-endian integers": np.arange(3, dtype=">i8"),
    "of no axes": np.array(3.0),
    "scalar": np.float32(3),
    "empty": np.zeros((0, 3)),
    "not aligned": np.frombuffer(
        b"\0" + np.arange(3, dtype="float32").tobytes(),
        dtype="float32",
        offset=1,
    ),
    "a column of records": np.array([(1, 2.0), (3, 4.0)], [("a", "i1"), ("b", "f4")])["b"],
}


@pytest.mark.parametrize("name", ODD)
def test_asarray_takes_every_memory_layout(backend, name):
    data = ODD[name]
    x = backend.asarray(data)
    assert_close(x, data)
    assert host(x).dtype == data.dtype.newbyteorder("=")
    assert_close(backend.asarray(data, dtype=backend.xp.float32), data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            np.array([1, None], dtype=object),
            "an array of dtype object was given: wanted numbers",
        ),
        ([1, None], "an array of dtype object was given: wanted numbers"),
        (
            np.array(["a"]),
            "an array of dtype <U1 was given: wanted numbers",
        ),
        (
            np.array(["2026-01-01"], "datetime64[D]"),
            r"an array of dtype datetime64\[D\] was given: wanted numbers",
        ),
        (
            np.zeros(2, [("a", "f4")]),
            r"wanted numbers; take its columns one by one, x\[name\]",
        ),
        (np.zeros(2, "V4"), "wanted numbers"),
        (
            np.ma.array([1.0, 2.0], mask=[False, True]),
            r"a masked array was given: .* x.filled\(0\)",
        ),
    ],
)
def test_asarray_raises_for_non_numeric_arrays(backend, data, message):
    with pytest.raises(DTypeError, match=message):
        backend.asarray(data)


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="needs a long double")
def test_asarray_raises_for_long_doubles(backend):
    if backend.name != "numpy":
        with pytest.raises(DTypeError, match="wanted float64 or a shorter one"):
            backend.asarray(np.ones(2, "longdouble"))


def test_python_floats_become_float32_by_default(backend):
    assert backend.asarray([1.0, 2.0]).dtype == backend.xp.float32
    assert backend.asarray([1.0], dtype=backend.xp.float64).dtype == backend.xp.float64
    assert backend.xp.isdtype(backend.asarray([1, 2]).dtype, "integral")


@pytest.mark.parametrize("other", ["numpy", "array_api_strict", "array_api_strict:device1"])
def test_arrays_move_between_libraries_and_devices(backend, other):
    x = normal(get_backend(other), 2, 3)
    assert_close(backend.asarray(x), host(x), like=normal(backend, 1))


def test_probe_reports_whether_a_backend_works(backend):
    report = probe(backend.name)
    assert report.works
    assert report.version == backend.version
    assert probe("numpie").reason.startswith("unknown backend")


def test_configure_opens_a_backend_as_get_backend_does(backend, monkeypatch):
    name = f"{backend.name}:{backend.device_name}"
    assert anynet.configure(name).device == get_backend(name).device == backend.device
    monkeypatch.setenv("ANYNET_BACKEND", name)
    assert anynet.configure().name == backend.name
    with pytest.raises(BackendError, match="unknown backend 'numpie'"):
        anynet.configure("numpie")


def test_third_party_backend_by_entry_point(registered, tmp_path, monkeypatch):
    """The plug-in is a class in another package."""
    (tmp_path / "third_party.py").write_text(
        "import array_api_strict\n"
        "from anynet.backend import Backend\n"
        "class Quick(Backend):\n"
        "    kernels = {'relu': lambda x: x * 0}\n"
        "    def __init__(self, device=''):\n"
        "        super().__init__(array_api_strict, array_api_strict.Device(device or "
        "'CPU_DEVICE'))\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    registered(quick="third_party:Quick")
    assert "quick" in backend_names()
    assert get_backend("quick:device2").device_name.endswith("Device('device2')")
    assert isinstance(get_backend("quick"), Backend)


def test_error_names_a_broken_plug_in(registered):
    registered(broken="no_such_module:Backend", odd="math:no_such_thing")
    for name in ("broken", "odd"):
        with pytest.raises(
            BackendError,
            match=rf"the plug-in of backend '{name}' \(.*\) is broken: ",
        ):
            get_backend(name)
        assert not probe(name).works
    # The others are as they were.
    assert get_backend("numpy").name == "numpy"


def test_library_with_a_broken_plug_in_uses_the_references(registered, monkeypatch):
    import array_api_strict

    real = importlib.metadata.EntryPoint(
        "array_api_strict", "no_such_module:Backend", plugins.GROUP
    )
    registered()
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [real])
    plugins.entry_points.cache_clear()
    with pytest.warns(RuntimeWarning, match="the plug-in of backend 'array_api_strict'"):
        assert kernels_for(array_api_strict) == {}


def test_library_without_a_plug_in_works(registered, monkeypatch):
    import array_api_strict

    registered()
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    plugins.entry_points.cache_clear()
    x = array_api_strict.asarray([1.0, 2.0])
    assert get_backend(x).name == "array_api_strict"
    assert kernels_for(array_api_strict) == {}
    assert get_backend(x).asarray([3.0]).device == x.device


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("array_api_strict", "array-api-strict"),
        ("cupy", '"cupy-cuda13x[ctk]"'),
        ("dpnp", "dpnp"),
        ("jax", "jax"),
        ("ndonnx", "ndonnx"),
        ("torch", "torch"),
    ],
)
def test_error_names_the_package_of_a_missing_library(monkeypatch, name, package):
    """An extra of anynet would name another project of the package index."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match=rf"pip install {re.escape(package)}(,|$)") as caught:
        get_backend(name)
    assert "\n" not in str(caught.value)


def test_checkout_without_installation(registered, monkeypatch):
    registered()
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    plugins.entry_points.cache_clear()
    with pytest.raises(
        BackendError,
        match=r"not installed: run pip install -e \. in its checkout",
    ):
        get_backend("numpy")


def test_no_message_installs_anynet_by_its_import_name():
    for folder in ("anynet", "backends"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(
                r"anynet\[|pip install anynet",
                path.read_text(encoding="utf-8"),
            ), path


def test_duplicate_entry_points(registered):
    registered(numpy="somewhere:Else")
    assert backend_names().count("numpy") == 1
    assert get_backend("numpy").name == "numpy"


PURITY = """
import sys
import anynet, anynet.perceptron, anynet.data.pickled, anynet.plotting, anynet.cli
libraries = "numpy cupy torch jax array_api_strict scipy sklearn matplotlib".split()
found = [name for name in libraries if name in sys.modules]
sys.exit(f"loaded {found}" if found else 0)
"""


def test_importing_anynet_loads_no_array_library():
    done = subprocess.run(
        [sys.executable, "-c", PURITY],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_file_of_the_core_names_an_array_library():
    """A comment could disable the linter's rule inside a function."""
    libraries = {
        "numpy",
        "cupy",
        "cupyx",
        "torch",
        "jax",
        "scipy",
        "array_api_strict",
        "ndonnx",
        "dpnp",
    }
    for path in Path(anynet.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not libraries & {name.partition(".")[0] for name in names}, path
            if any(name.startswith("array_api_compat") for name in names):
                assert path.name == "array.py"


def test_deep_copy_is_the_backend_itself(backend):
    assert copy.deepcopy({"backend": backend})["backend"] is backend
