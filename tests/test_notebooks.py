"""The notebooks match their sources, open in the cloud, and install what they need there."""

import ast
import json
import re
import subprocess

import colab
import notebooks
import pytest
from programs import ROOT

SOURCES = notebooks.sources()
NAMES = [source.stem for source in SOURCES]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A Python with entries for NumPy and CuPy that sees a GPU, and neither anynet nor pip."""
    folder = tmp_path_factory.mktemp("cloud")
    colab.pretend(folder, {"numpy": "2.1.3", "protobuf": "5.29.6", "cupy-cuda12x": "14.0.1"})
    return folder


def cells(name, kind):
    """Return the sources of the cells of a kind."""
    path = notebooks.FOLDER / f"{name}.ipynb"
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_notebook_matches_its_source(source):
    pytest.importorskip("jupytext", reason="jupytext reads the sources of notebooks")
    wanted = notebooks.text(source)
    assert source.with_suffix(".ipynb").read_text(encoding="utf-8") == wanted


def test_every_notebook_has_a_source():
    assert sorted(path.stem for path in notebooks.FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_contains_no_outputs(name):
    path = notebooks.FOLDER / f"{name}.ipynb"
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("name", NAMES)
def test_badges_open_the_notebook(name):
    first = cells(name, "markdown")[0]
    path = rf"/[\w.-]+/anynet/blob/main/examples/notebooks/{name}\.ipynb\)"
    assert re.search(rf"\(https://colab\.research\.google\.com/github{path}", first)
    assert re.search(
        rf"\(https://kaggle\.com/kernels/welcome\?src=https://github\.com{path}", first
    )


def test_first_cells_are_the_same():
    first = {notebooks.EXTRA_PACKAGES.sub("", cells(name, "code")[0]) for name in NAMES}
    assert len(first) == 1


@pytest.mark.parametrize("name", NAMES)
def test_readme_lists_the_notebook(name):
    readme = (notebooks.FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"({name}.ipynb)" in readme
    assert readme.count(f"examples/notebooks/{name}.ipynb") == 2


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_first_cell_installs_and_chooses_the_gpu(source, cloud):
    command, backend = colab.first_cell(source, cloud, ANYNET_SOURCE="git+file:///somewhere")
    code = cells(source.stem, "code")[0]
    extra = ast.literal_eval(notebooks.EXTRA_PACKAGES.search(code)[0].partition("=")[2].strip())
    assert command == [
        "install",
        "--quiet",
        "git+file:///somewhere",
        "matplotlib",
        "pooch",
        "scikit-learn",
        *extra,
        "numpy==2.1.3",
        "protobuf==5.29.6",
    ]
    assert backend == "cupy"


def test_first_cell_installs_from_the_repository_by_default():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    address = re.search(r'^Repository = "(.*)"$', text, re.M)[1]
    assert f'"git+{address}"' in cells(NAMES[0], "code")[0]


def test_first_cell_keeps_a_chosen_backend(cloud):
    _, backend = colab.first_cell(SOURCES[0], cloud, ANYNET_BACKEND="torch")
    assert backend == "torch"


def test_first_cell_without_numpy_and_a_gpu(tmp_path):
    colab.pretend(tmp_path, {}, gpu=False)
    command, backend = colab.first_cell(SOURCES[0], tmp_path)
    assert not any("==" in argument for argument in command[1:])
    assert "scikit-learn" in command
    assert backend == ""


def test_first_cell_does_nothing_where_anynet_imports(cloud, tmp_path):
    (tmp_path / "anynet.py").write_text("", encoding="utf-8")
    assert colab.first_cell(SOURCES[0], cloud, PYTHONPATH=str(tmp_path)) == ([], "")


def test_first_cell_chooses_the_gpu_again_after_a_restart(cloud, tmp_path):
    (tmp_path / "anynet.py").write_text("", encoding="utf-8")
    variables = {"PYTHONPATH": str(tmp_path), "COLAB_RELEASE_TAG": "release-colab"}
    assert colab.first_cell(SOURCES[0], cloud, **variables) == ([], "cupy")


def test_failed_installation_is_an_error(cloud):
    with pytest.raises(subprocess.CalledProcessError):
        colab.first_cell(SOURCES[0], cloud, RECORD="/no/such/folder/record.json")


def test_runner_names_the_cell_that_fails(tmp_path):
    for package in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(package, reason="notebooks run by nbclient")
    head = SOURCES[0].read_text(encoding="utf-8").split("\n# ")[0]
    source = tmp_path / "failing.md"
    cell = "```{code-cell} ipython3\n%s\n```\n\n"
    text = f"{head}\n# A title\n\n{cell % 'x = 1'}{cell % 'x.no_such_name'}{cell % 'x'}"
    source.write_text(text, encoding="utf-8")
    error = notebooks.run(source, "numpy", tmp_path / "out")
    assert error.startswith("cell 3:")
    assert "no_such_name" in error
    saved = json.loads((tmp_path / "out/failing.ipynb").read_text(encoding="utf-8"))
    assert [len(cell["outputs"]) for cell in saved["cells"][1:]] == [0, 1, 0]


def test_unknown_notebook_name():
    with pytest.raises(SystemExit, match=r"no notebook chapter99: wanted .*chapter2"):
        notebooks.sources(["chapter99"])


def test_outdated_notebook_is_detected(tmp_path, monkeypatch):
    pytest.importorskip("jupytext", reason="jupytext reads the sources of notebooks")
    for suffix in (".md", ".ipynb"):
        text = SOURCES[0].with_suffix(suffix).read_text(encoding="utf-8")
        (tmp_path / f"{NAMES[0]}{suffix}").write_text(text, encoding="utf-8")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    source = notebooks.sources()[0]
    assert notebooks.is_current(source)
    source.write_text(source.read_text(encoding="utf-8") + "\nMore.\n", encoding="utf-8")
    assert not notebooks.is_current(source)
    notebooks.write(source)
    assert notebooks.is_current(source)


def test_written_notebook_has_the_common_first_cell_and_its_own_packages():
    common = (notebooks.FOLDER / "chapter2.md").read_text(encoding="utf-8")
    own = '```{code-cell} ipython3\nEXTRA_PACKAGES = ["optuna"]\n```'
    other = f"{common.split('```')[0]}{own}\n\n```{{code-cell}} ipython3\n1\n```\n"
    written = notebooks.with_first_cell(other)
    expected = notebooks.first_cell(common).replace(
        "EXTRA_PACKAGES = []", 'EXTRA_PACKAGES = ["optuna"]'
    )
    assert notebooks.first_cell(written) == expected
    assert written.endswith("```\n\n```{code-cell} ipython3\n1\n```\n")
