"""The folders of anynet import in one direction, also inside functions."""

import ast
from pathlib import Path

import anynet

#: A folder imports from itself and from those before it.
ROOMS = """
    tracing data primitives distributed autodiff compiler layers optimizers training plotting
    callbacks interop report cli
""".split()

#: `fit` writes a report, which is about the parts of a run.
UP = {"training/fit.py": ["anynet.report.reporter.Reporter"]}


def imported_modules(tree):
    """Yield the modules that a file imports, except those for a type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        yield from imported_modules(node)


def imports_up(path, room):
    """Return the modules of later folders that a file in a folder imports."""
    later = {f"anynet.{name}" for name in ROOMS[ROOMS.index(room) + 1 :]}
    modules = imported_modules(ast.parse(path.read_text(encoding="utf-8")))
    return [name for name in modules if ".".join(name.split(".")[:2]) in later]


def test_no_import_goes_up():
    root = Path(anynet.__file__).parent
    up = {
        f"{room}/{path.name}": modules
        for room in ROOMS
        for path in (root / room).rglob("*.py")
        if (modules := imports_up(path, room))
    }
    assert up == UP


def test_import_inside_a_function_counts(tmp_path):
    file = tmp_path / "trace.py"
    file.write_text("def f():\n    from anynet.layers import Linear\n", encoding="utf-8")
    assert imports_up(file, "tracing") == ["anynet.layers.Linear"]
    assert imports_up(file, "training") == []
