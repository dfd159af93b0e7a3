"""The documents work as written: code blocks run, links and names resolve."""

import ast
import re
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers import host
from programs import ROOT

import anynet

#: Folders that the build of the site writes.
BUILT = ("docs/notebooks", "docs/project", "docs/_build")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "README.ja.md",
    ROOT / "CONTRIBUTING.md",
    *(
        path
        for path in sorted(ROOT.glob("docs/**/*.md"))
        if not path.relative_to(ROOT).as_posix().startswith(BUILT)
    ),
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
#: Dated entries keep the names of their time.
CURRENT = {name: text for name, text in TEXTS.items() if name != "docs/laboratory.md"}
#: Blocks of Python, and cells of pages that the build of the site executes, without their settings.
PYTHON = re.compile(r"```(?:python|\{code-cell\}[^\n]*)\n(.*?)```", re.DOTALL)
WITH_CODE = [name for name, text in TEXTS.items() if PYTHON.search(text)]


@pytest.fixture
def run_blocks(backend, monkeypatch, tmp_path):
    """Return a function that runs a document's blocks in order and returns their names.

    scikit-learn's digits replace MNIST, so nothing is downloaded. Files are written to a temporary
    folder."""

    def fit(*args: Any, fit: Any = anynet.fit, **settings: Any) -> Any:
        return fit(*args, **settings, progress=False)

    monkeypatch.setattr(anynet.data, "load_mnist", anynet.data.load_digits)
    monkeypatch.setattr(anynet, "get_backend", lambda: backend)
    monkeypatch.setattr(anynet, "fit", fit)
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        for block in PYTHON.findall(TEXTS[name]):
            exec(block, names)
        return names

    return run


@pytest.mark.parametrize("name", [name for name in WITH_CODE if name != "README.md"])
def test_blocks_run(name, run_blocks):
    if "export_onnx" in TEXTS[name]:
        pytest.importorskip(
            "ndonnx",
            reason="the page exports a network, which needs ndonnx",
        )
    run_blocks(name)


def test_readme_blocks_train_a_network(backend, run_blocks):
    names = run_blocks("README.md")
    assert names["history"].epochs[-1].test_score > 0.8
    assert host(names["loss"]).item() < 1
    swish = names["Swish"](backend.asarray(1.5))
    x = backend.asarray([-2.0, 0.5])
    expected = host(x) / (1 + np.exp(-1.5 * host(x)))
    assert host(swish(x)) == pytest.approx(expected)
    assert list(swish.parameters()) == ["beta"]


def test_japanese_readme_has_the_code_and_figures_of_the_english_one():
    """Comments are translated. A link to the other language, and links to the book, may differ."""
    english, japanese = TEXTS["README.md"], TEXTS["README.ja.md"]
    for text_of in (python_code, plain_blocks, table_figures):
        assert text_of(japanese) == text_of(english)
    assert {*links(english)} <= {*links(japanese)} | {"README.ja.md"}


def python_code(text: str) -> list[str]:
    return [ast.unparse(ast.parse(block)) for block in PYTHON.findall(text)]


def plain_blocks(text: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [block for language, block in blocks if not language]


def table_figures(text: str) -> list[str]:
    rows = "\n".join(re.findall(r"^\|.*", text, re.M))
    return re.findall(r"\d[\d.-]*|`[^`]+`", rows)


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)


@pytest.mark.parametrize("name", TEXTS)
def test_links_resolve(name):
    folder = (ROOT / name).parent
    for target in links(TEXTS[name]):
        if not target.startswith("http"):
            assert (folder / target).exists(), target


@pytest.mark.parametrize("name", CURRENT)
def test_paths_and_names_exist(name):
    text = CURRENT[name]
    for path in re.findall(
        r"(?:python |bash |`)((?:anynet|backends|ci|docs|examples|tests)/[\w./]*)",
        text,
    ):
        assert (ROOT / path.rstrip(".")).exists(), path
    for dotted in re.findall(r"`(anynet(?:\.\w+)+)", text):
        if dotted not in NOT_ATTRIBUTES:
            assert_resolves(dotted)


#: The entry-point group of plug-ins.
NOT_ATTRIBUTES = ("anynet.backends",)


def assert_resolves(dotted: str) -> None:
    """Check that a name such as anynet.data.Loader can be reached."""
    value: Any = anynet
    path = "anynet"
    for part in dotted.split(".")[1:]:
        path = f"{path}.{part}"
        if isinstance(value, ModuleType) and not hasattr(value, part):
            value = import_module(path)
        else:
            value = getattr(value, part)


@pytest.mark.parametrize("folder", ["anynet", "backends", "ci", "examples"])
def test_pages_named_in_the_code_exist(folder):
    for path in ROOT.glob(f"{folder}/**/*.py"):
        for page in re.findall(r"\bdocs/[\w./]+\.md\b", path.read_text(encoding="utf-8")):
            assert (ROOT / page).exists(), f"{path}: {page}"


def test_tree_of_contributing_exists():
    text = TEXTS["CONTRIBUTING.md"]
    tree = text[text.index("    anynet/\n") :].partition("\n\n")[0]
    for line in tree.split("\n"):
        names = line.strip().partition("   ")[0]
        for name in names.replace("_X", "_numpy").split():
            assert (ROOT / name).exists() or (ROOT / "anynet" / name).exists(), name


def test_contributing_lists_every_script():
    for path in (ROOT / "ci").glob("*.*"):
        is_script = path.suffix == ".sh" or f"python ci/{path.name}" in path.read_text("utf-8")
        assert not is_script or f"ci/{path.name}" in TEXTS["CONTRIBUTING.md"], path.name


def test_readme_and_contributing_are_short():
    assert len(TEXTS["README.md"].split()) <= 900
    assert len(TEXTS["CONTRIBUTING.md"].split()) <= 1800
