"""A library of a third party, with the plug-in of examples/plugin and without one."""

import sys
from importlib import import_module, metadata

import numpy as np
import pytest
from helpers import assert_close, host
from programs import ROOT

import anynet
from anynet import array, layers, losses, optimizers, plugins, random
from anynet.backend import NamespaceAdapter, get_backend, kernels_for
from anynet.errors import BackendError

FOLDER = ROOT / "examples" / "plugin"
SOURCE = (FOLDER / "tinyarray.py").read_text(encoding="utf-8")
#: The same library with the parts that it lacks.
COMPLETE = SOURCE.replace('{"device", "copy", "stable"}', "set()") + "\nArray.device = 'cpu'\n"


def new_module(name, source, monkeypatch, tmp_path):
    (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module(name)


@pytest.fixture
def tinyarray(monkeypatch):
    """Return the library while its plug-in is registered."""
    names = ["tinyarray", "anynet_tinyarray"]
    entry = metadata.EntryPoint("tinyarray", "anynet_tinyarray:TinyarrayBackend", plugins.GROUP)
    registered = [*metadata.entry_points(group=plugins.GROUP), entry]
    monkeypatch.setattr(metadata, "entry_points", lambda group: registered)
    monkeypatch.syspath_prepend(FOLDER)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    plugins.entry_points.cache_clear()
    yield import_module("tinyarray")
    monkeypatch.undo()
    plugins.entry_points.cache_clear()
    plugins.plugin.cache_clear()
    for name in names:
        sys.modules.pop(name, None)


def train(backend):
    """Return the score of a small network after training, and the network and its data."""
    xp = backend.xp
    x = random.normal(random.key(0, backend), (60, 4), dtype=xp.float64)
    t = xp.astype(x[:, 0] > 0, xp.int32)
    net = layers.Sequential(layers.Linear(4, 8), layers.ReLU(), layers.Linear(8, 2))
    net.initialize(0, backend, dtype=xp.float64)
    optimizer = optimizers.Adam(0.05)
    history = anynet.fit(net, (x, t), (x, t), optimizer=optimizer, epochs=20, progress=False)
    return history.epochs[-1].train_score, net, x, t


def test_plugin_adapts_a_library_that_lacks_parts_of_the_standard(tinyarray):
    score, net, x, t = train(get_backend("tinyarray"))
    assert type(x) is tinyarray.Array
    assert score > 0.9
    assert anynet.check_gradients(lambda net: losses.cross_entropy(net(x), t), net)
    assert not hasattr(tinyarray.Array, "device")


def test_arrays_find_the_plugin_of_their_library(tinyarray):
    x = tinyarray.asarray([1.0, -2.0])
    assert array.device(x) == "cpu"
    value, gradient = anynet.value_and_grad(lambda x: anynet.functions.relu(x)[0] ** 2)(x)
    assert float(value) == 1
    assert_close(gradient, np.asarray([2.0, 0.0]))
    assert kernels_for(array.array_namespace(x))["relu"](x).shape == (2,)


def test_arrays_are_transferred_without_dlpack(tinyarray):
    backend = get_backend("tinyarray")
    data = np.arange(6, dtype=np.int32).reshape(2, 3)
    x = backend.asarray(get_backend("array_api_strict:device1").asarray(data))
    assert type(x) is tinyarray.Array
    assert host(x).dtype == np.int32
    assert_close(get_backend("array_api_strict").asarray(x), data)


def test_library_without_a_plugin_trains(monkeypatch, tmp_path):
    module = new_module("complete", COMPLETE, monkeypatch, tmp_path)
    monkeypatch.setenv("ANYNET_BACKEND", "complete:cpu")
    backend = get_backend()
    assert backend.name == "complete"
    assert backend.device_name == "cpu"
    assert backend.synchronize() is None
    score, net, x, t = train(backend)
    assert type(x) is module.Array
    assert score > 0.9
    assert anynet.check_gradients(lambda net: losses.cross_entropy(net(x), t), net)
    with pytest.raises(BackendError, match="complete has no device 'gpu'; it has cpu"):
        get_backend("complete:gpu")


def test_namespace_inside_a_package(monkeypatch, tmp_path):
    new_module("complete", COMPLETE, monkeypatch, tmp_path)
    new_module("package", "import complete as array_api", monkeypatch, tmp_path)
    assert get_backend("package").name == "complete"


def test_namespace_of_a_library_with_a_plugin_uses_the_plugin():
    assert type(get_backend("array_api_compat.numpy")) is type(get_backend("numpy"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", r"it lacks asarray\(\[1\.0\]\) \(AttributeError: .*'asarray'\)"),
        ("asarray = list", "it lacks __array_namespace__ of list"),
        (SOURCE, "it lacks device of Array"),
        (
            SOURCE + "\nArray.device = 'cpu'",
            r"it lacks asarray\(…, dtype=…, device=…\) \(TypeError",
        ),
        (COMPLETE.replace("set()", "{'copy'}"), r"it lacks asarray\(…, copy=True\) \(TypeError"),
        (
            COMPLETE.replace("set()", "{'stable'}"),
            r"it lacks argsort\(…, stable=True\) \(TypeError",
        ),
    ],
)
def test_module_that_does_not_follow_the_standard_raises(source, message, monkeypatch, tmp_path):
    new_module("partial", source, monkeypatch, tmp_path)
    with pytest.raises(BackendError, match=f"^partial does not follow .*: {message}") as caught:
        get_backend("partial")
    assert "docs/guides/backends.md" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", r"^failing cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("import no_such_package", r"^failing cannot be imported \(No module named 'no_such_p"),
    ],
)
def test_module_that_cannot_be_imported_raises(source, message, monkeypatch, tmp_path):
    (tmp_path / "failing.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match=message):
        get_backend("failing")


def test_adapter_raises_for_an_ignored_copy():
    xp = NamespaceAdapter(np, ignored=["copy", "device"])
    x = np.ones(3)
    assert xp.asarray(x, copy=False, device="gpu") is x
    with pytest.raises(BackendError, match="asarray was called with copy=True"):
        xp.asarray(x, copy=True)
    assert xp.linalg.norm(x, device="gpu") == np.sqrt(3)
    assert xp.float32 is np.float32


def test_guide_contains_the_plugin():
    guide = (ROOT / "docs" / "guides" / "backends.md").read_text(encoding="utf-8")
    plugin = (FOLDER / "anynet_tinyarray.py").read_text(encoding="utf-8")
    project = (FOLDER / "pyproject.toml").read_text(encoding="utf-8")
    assert f"```py\n{plugin}```" in guide
    assert '[project.entry-points."anynet.backends"]\ntinyarray = ' in guide
    assert guide[guide.index("[project.entry") :].partition("```")[0] in project + "\n"
    assert len(plugin.splitlines()) <= 40
