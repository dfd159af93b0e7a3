"""The objects that a function reaches from outside its arguments."""

import argparse
import functools
import sys
import threading
import types
import weakref
from dataclasses import dataclass, field

import numpy as np
import pytest

import anynet
from anynet import layers, losses, reach
from anynet.reach import Reach

NET = layers.Linear(2, 2)
CONFIG = types.ModuleType("config_of_a_user")
CONFIG.net = NET
sys.modules[CONFIG.__name__] = CONFIG
CONFIG.other = layers.Linear(3, 3)


def objects_of(function):
    """Return each object that a function reaches."""
    return Reach(function).objects


def uses_global():
    return NET


def uses_module():
    return CONFIG.net


def has_default(net=NET):
    return net


def has_keyword_default(*, net=NET):
    return net


def calls_another():
    return uses_global()


def nested():
    return [lambda: NET]


class Table:
    net = NET

    def __init__(self):
        self.net = None


class Trainer:
    def __init__(self, net):
        self.net = net
        self.seen = [layers.Linear(4, 4)]

    def step(self):
        return self.helper()

    def helper(self):
        return self.net

    def by_name(self, name):
        return getattr(self, name)

    def __call__(self):
        return self.net


class Slotted:
    __slots__ = ("net",)

    def __init__(self, net):
        self.net = net

    def step(self):
        return self.net


class Scaled(layers.Module):
    """A layer that uses a network from outside."""

    def forward(self, x):
        return NET(x)


@dataclass
class Settings:
    nets: list = field(default_factory=lambda: [NET])


def over(value):
    """Return a function with the value in its closure."""
    return lambda: value


@functools.wraps(uses_global)
def decorated():
    return None


def uses_import():
    import config_of_a_user

    return config_of_a_user.net


def uses_name_of_import():
    from config_of_a_user import net

    return net


def uses_any_global():
    return globals()["NET"]


def has_attribute():
    return has_attribute.net


has_attribute.net = NET


class WithPartial:
    by = functools.partialmethod(lambda self, net: net, NET)


def thread_local():
    kept = threading.local()
    kept.net = NET
    return kept


@pytest.mark.parametrize(
    "function",
    [
        over(NET),
        over({"nets": [NET]}),
        over((1, (NET,))),
        over({1: {NET}}),
        over(argparse.Namespace(net=NET)),
        over(types.SimpleNamespace(net=NET)),
        over(Settings()),
        over(layers.Sequential(layers.ReLU(), NET)),
        over(over(NET)),
        uses_global,
        uses_module,
        calls_another,
        nested,
        lambda: Table.net,
        has_default,
        has_keyword_default,
        decorated,
        functools.partial(uses_global),
        functools.partial(print, NET),
        functools.partial(print, end=NET),
        functools.lru_cache(over(NET)),
        Trainer(NET).step,
        Trainer(NET).by_name,
        Trainer(NET),
        Slotted(NET).step,
        over(Scaled()),
        over(weakref.ref(NET)),
        over(thread_local()),
        uses_import,
        uses_name_of_import,
        uses_any_global,
        has_attribute,
        WithPartial().by,
        anynet.grad(over(NET)),
        anynet.compile(anynet.grad(over([NET]))),
        anynet.training.training_step(lambda y, t: NET(y)),
    ],
)
def test_every_way_reaches_the_object_once(function):
    assert len([value for value in objects_of(function) if value is NET]) == 1


def test_arrays_of_a_reached_network_are_reached():
    net = layers.Sequential(layers.Linear(2, 2), seed=0)
    assert any(value is net["layers.0.weight"] for value in objects_of(over(net)))


def test_attributes_that_no_code_names_are_not_reached():
    other = Trainer(NET).seen
    for function in (
        Trainer(NET).step,
        uses_module,
        losses.cross_entropy,
        over(3),
        print,
        np.exp,
    ):
        values = objects_of(function)
        assert not any(
            value is CONFIG.other or value in other
            for value in values
            if isinstance(value, layers.Module)
        )
        assert not any(value is anynet for value in values) or function is not uses_module


def test_cycles_end_and_large_containers_are_incomplete(monkeypatch):
    circle = []
    circle += [circle, NET]
    assert [value for value in objects_of(over(circle)) if value is NET]
    assert reach.Reach(over(list(range(1000)))).complete
    monkeypatch.setattr(reach, "LIMIT", 100)
    assert not reach.Reach(over(list(range(1000)))).complete


def test_empty_cell_is_not_reached():
    def f():
        return later

    assert all(value is not None for value in objects_of(f))
    later = NET
    assert [value for value in objects_of(f) if value is later]


@pytest.mark.parametrize(
    "code",
    [
        "from .config import net\n  return net",
        "from . import config\n  return config.net",
        "from ..inner.config import net\n  return net",
        "from package_of_a_user.inner import config\n  return config.net",
        "import package_of_a_user.inner.config as config\n  return config.net",
    ],
)
def test_imports_inside_a_function_of_a_package(monkeypatch, code):
    names = (
        "package_of_a_user",
        "package_of_a_user.inner",
        "package_of_a_user.inner.config",
    )
    outer, inner, config = (types.ModuleType(name) for name in names)
    outer.inner, inner.config, config.net = inner, config, NET
    outer.__path__ = inner.__path__ = []
    for name, module in zip(names, (outer, inner, config), strict=True):
        monkeypatch.setitem(sys.modules, name, module)
    known = {
        "__package__": "package_of_a_user.inner",
        "__name__": "package_of_a_user.inner.code",
    }
    exec(f"def f():\n  {code}", known)
    assert known["f"]() is NET
    assert [value for value in objects_of(known["f"]) if value is NET]


def test_packages_of_another_environment_are_libraries(monkeypatch, tmp_path):
    folder = tmp_path / "site-packages" / "a_big_library"
    folder.mkdir(parents=True)
    code = "table = [[i] for i in range(200_000)]\n\ndef double(x):\n    table\n    return 2 * x\n"
    (folder / "__init__.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    import a_big_library

    step = anynet.compile(lambda x: a_big_library.double(x))
    for value in (1.0, 2.0):
        np.testing.assert_array_equal(step(np.asarray([value])), [2 * value])
    assert len(step.programs) == 1
