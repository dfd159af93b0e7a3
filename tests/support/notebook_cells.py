"""The functions, classes and constants that a notebook defines."""

import ast
import re
from typing import Any

import pytest
from programs import ROOT

CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.M | re.S)


def definitions(name: str) -> dict[str, Any]:
    """Return what the imports, functions, classes and constants of a notebook define, by name.

    Nothing else in the notebook runs. A constant has a name in capital letters.
    """
    pytest.importorskip("matplotlib", reason="notebooks import matplotlib")
    text = (ROOT / "examples/notebooks" / f"{name}.md").read_text(encoding="utf-8")
    # The first cell installs packages.
    cells = CELL.findall(text)[1:]
    body = [node for cell in cells for node in ast.parse(cell).body if _defines(node)]
    defined: dict[str, Any] = {}
    exec(compile(ast.Module(body, []), f"{name}.md", "exec"), defined)
    return defined


def _defines(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return all(isinstance(x, ast.Name) and x.id.isupper() for x in node.targets)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
