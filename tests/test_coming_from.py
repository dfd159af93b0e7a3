"""The tables of names in docs/coming_from: every name of anynet, PyTorch and JAX in them exists."""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import array_api_compat.numpy as xp
import pytest
from programs import ROOT

import anynet
from anynet import layers, optimizers

PAGES = sorted((ROOT / "docs" / "coming_from").glob("*.md"))
#: The names that the tables use without a module, and their objects.
OBJECTS = {
    "anynet": anynet,
    "array": anynet.array,
    "backend": anynet.get_backend("numpy"),
    "net": layers.Linear(1, 1),
    "optimizer": optimizers.SGD(0.1),
    "xp": xp,
}
MODULES = (
    "autodiff callbacks compiler data functions initializers interop layers losses metrics "
    "numerical optimizers perceptron plotting random tree"
).split()
OBJECTS |= {name: getattr(anynet, name) for name in MODULES}
#: Functions of Python and arguments that need no module.
PLAIN = set("f float grads history i list np path seed t test train weights x".split())
#: Texts that are no expressions of anynet, each in a cell with a sentence.
TEXTS = {"--model cnn", "seed=", "weight_decay=", "validation_split"}


def tables(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the header and the cells of each row of each table."""
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        elif not re.fullmatch(r"[|:\- ]+", line):
            yield header, cells


def cells_of(page: str) -> Iterator[str]:
    """Yield the cells of the column with anynet's names."""
    text = (ROOT / "docs" / "coming_from" / page).read_text(encoding="utf-8")
    for header, cells in tables(text):
        column = [name in ("anynet", "in anynet") for name in header].index(True)
        assert len(cells) >= column, cells
        yield cells[column]


def code_of(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def resolve(node: ast.expr, objects: dict[str, Any]) -> Any:
    """Return the object of a dotted name."""
    if isinstance(node, ast.Name):
        return objects[node.id]
    assert isinstance(node, ast.Attribute)
    value = resolve(node.value, objects)
    if isinstance(value, ModuleType) and not hasattr(value, node.attr):
        return import_module(f"{value.__name__}.{node.attr}")
    return getattr(value, node.attr)


def check(code: str, objects: dict[str, Any]) -> None:
    """Check every dotted name and every keyword argument of an expression."""
    tree = ast.parse(code.replace("…", "..."))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            if isinstance(node.func, ast.Name) and node.func.id in PLAIN:
                continue
            parameters = inspect.signature(resolve(node.func, objects)).parameters
            for keyword in node.keywords:
                assert keyword.arg in parameters, f"{code}: {keyword.arg}"
        elif isinstance(node, ast.Attribute):
            resolve(node, objects)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            assert node.id in objects or node.id in PLAIN, f"{code}: {node.id}"


@pytest.mark.parametrize("page", [path.name for path in PAGES])
def test_names_of_anynet_exist(page):
    cells = [*cells_of(page)]
    assert cells
    for cell in cells:
        names = [code for code in code_of(cell) if code not in TEXTS]
        assert names or cell.startswith(("nothing", "a list or a dict", "the environment")), cell
        for code in names:
            if code.isidentifier() and code not in OBJECTS:
                # A word of the sentence, such as an attribute of the layer before it.
                assert any("." in other for other in names), cell
            else:
                check(code, OBJECTS)


@pytest.mark.parametrize("page", [path.name for path in PAGES])
def test_tables_have_a_column_of_anynet(page):
    text = (ROOT / "docs" / "coming_from" / page).read_text(encoding="utf-8")
    for header, cells in tables(text):
        assert len(header) == len(cells), cells
        assert {"anynet", "in anynet"} & {*header}, header


def test_table_of_the_book_has_every_chapter():
    text = (ROOT / "docs/coming_from/book.md").read_text(encoding="utf-8")
    _, *rows = text[text.index("| section |") :].partition("\n\n")[0].splitlines()
    sections = [row.split("|")[1].strip() for row in rows[1:]]
    assert {section[0] for section in sections} == set("2345678")
    for path in (ROOT / "examples/notebooks").glob("chapter*.ipynb"):
        assert any(f"notebooks/{path.name})" in row for row in rows), path.name


def test_missing_names_are_detected():
    for code in ("layers.Liner(784, 50)", "anynet.lossses.huber", "net.parameter()"):
        with pytest.raises((AttributeError, ModuleNotFoundError)):
            check(code, OBJECTS)
    with pytest.raises(AssertionError, match="alpha"):
        check("optimizers.SGD(0.1, alpha=0.9)", OBJECTS)


@pytest.mark.parametrize(
    ("page", "library", "shorts"),
    [
        ("pytorch.md", "torch", {"nn": "nn", "F": "nn.functional", "optim": "optim"}),
        ("jax.md", "jax", {}),
    ],
)
def test_names_of_the_other_library_exist(page, library, shorts):
    module = pytest.importorskip(library, reason=f"needs {library}")
    objects = {library: module}
    for short, path in shorts.items():
        objects[short] = resolve(ast.parse(f"{library}.{path}", mode="eval").body, objects)
    text = (ROOT / "docs" / "coming_from" / page).read_text(encoding="utf-8")
    checked = 0
    for _, cells in tables(text):
        for code in code_of(cells[0]):
            name = code.partition("(")[0]
            if "." in name and name.partition(".")[0] in objects:
                resolve(ast.parse(name, mode="eval").body, objects)
                checked += 1
    assert checked > 20
