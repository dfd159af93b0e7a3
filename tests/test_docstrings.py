"""The examples in docstrings, run as they stand, with anynet and its modules imported."""

import doctest
import importlib
import pkgutil

import pytest

import anynet

MODULES = [name for _, name, _ in pkgutil.walk_packages(anynet.__path__, "anynet.") if name != "anynet.__main__"]

#: As after ``import anynet`` and ``from anynet import layers, metrics``.
NAMES = {"anynet": anynet, "layers": anynet.layers, "metrics": anynet.metrics}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    tests = doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=NAMES)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    report = []
    for test in tests:
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
