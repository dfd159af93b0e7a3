"""The functions and classes that a notebook defines."""

import ast
import re
from typing import Any

import pytest
from programs import ROOT

CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.M | re.S)


def definitions(name: str) -> dict[str, Any]:
    """Return what the imports, functions and classes of a notebook define, by name.

    Nothing else in the notebook runs.
    """
    pytest.importorskip("matplotlib", reason="notebooks import matplotlib")
    text = (ROOT / "examples/notebooks" / f"{name}.md").read_text(encoding="utf-8")
    # The first cell installs packages.
    cells = CELL.findall(text)[1:]
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    body = [node for cell in cells for node in ast.parse(cell).body if isinstance(node, kinds)]
    defined: dict[str, Any] = {}
    exec(compile(ast.Module(body, []), f"{name}.md", "exec"), defined)
    return defined
