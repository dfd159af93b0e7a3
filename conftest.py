"""The names that examples in docstrings use without an import, and the folder in which they run."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anynet

#: Examples read as if ``from anynet import …`` stood before them.
MODULES = [
    "data",
    "functions",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
]

#: Examples that need an optional package.
PACKAGES = {
    "anynet.interop.onnx.export_onnx": "ndonnx",
    "anynet.interop.torch.state_dict": "torch",
}


@pytest.fixture(scope="session", autouse=True)
def names_of_examples(doctest_namespace: dict[str, Any]) -> None:
    """Let examples use ``anynet``, its modules and ``np``."""
    modules = {name: import_module(f"anynet.{name}") for name in MODULES}
    doctest_namespace.update(modules, anynet=anynet, np=np)


@pytest.fixture(autouse=True)
def folder_of_examples(request: pytest.FixtureRequest) -> None:
    """Run every example in an empty folder, where it may write files."""
    if isinstance(request.node, pytest.DoctestItem):
        if package := PACKAGES.get(request.node.name):
            pytest.importorskip(package, reason=f"needs {package}")
        folder: Path = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").chdir(folder)
