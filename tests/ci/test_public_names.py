"""The public names of a small package, and of anynet."""

import sys

import pytest
from public_names import PAGE, has_example, page, public_modules, public_names

import anynet

PACKAGE = """
import math
from small import inner, other
__all__ = ["alias", "inner", "math", "other"]
alias = inner.f
"""
INNER = """
from math import sin
__all__ = ["LIMIT", "f", "g"]
LIMIT = 3
def f():
    ">>> f()"
def g():
    "No example."
def h():
    "Private."
"""
OTHER = """
from small.inner import f
__all__ = ["C"]
class C: ...
def hidden(): ...
"""
FILES = {"__init__.py": PACKAGE, "inner.py": INNER, "other.py": OTHER}


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    for name, text in FILES.items():
        (tmp_path / "small" / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "small"
    for name in [name for name in sys.modules if name.partition(".")[0] == "small"]:
        del sys.modules[name]


def test_public_names_of_a_package(package):
    names = public_names(package)
    examples = {name: has_example(value) for name, value in names.items()}
    assert examples == {
        "small.alias": True,
        "small.inner.g": False,
        "small.other.C": False,
    }


def test_public_names_of_anynet():
    names = public_names()
    assert names["anynet.layers.Linear"] is anynet.layers.Linear
    assert names["anynet.fit"] is anynet.fit
    assert "anynet.training.fit.fit" not in names
    assert names["anynet.checkpoint.read"] is anynet.checkpoint.read


@pytest.mark.parametrize("name", public_modules())
def test_public_module_states_its_names(name):
    module = public_modules()[name]
    for name in module.__all__:
        assert not name.startswith("_")
        assert getattr(module, name).__doc__
    assert len(module.__all__) == len(set(module.__all__))


def test_reference_lists_the_public_names():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python ci/public_names.py --write"
