"""The command that times a network on every backend, and the comparison of two commits."""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from anynet import bench, cli, layers
from anynet.errors import ArgumentError

SOURCE = """
from anynet import layers

def small():
    return layers.Sequential(layers.Linear(3, 4), layers.ReLU(), layers.Linear(4, 2))

def made(backend, seed):
    return layers.Sequential(layers.Linear(3, 2), seed=seed, backend=backend)

letters = layers.Sequential(layers.Embedding(5, 2), layers.Flatten(), layers.Linear(6, 1))
number = 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a_network.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path / "a_network.py"


def test_networks_by_name(file):
    assert len(bench.load(f"{file}:small").layers) == 3
    assert bench.load(f"{file}:made").layers[0].weight.shape == (3, 2)
    assert type(bench.load("anynet.layers:ReLU")) is layers.ReLU


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "{}:nothing",
            "a_network.py has no 'nothing': it defines small",
        ),
        ("{}x.py:small", "the file .*x.py does not exist"),
        (
            "no_such_module:small",
            "there is no module 'no_such_module'",
        ),
        ("{}", "wanted file.py:name or module:name"),
        ("{}:number", "which gives 3: wanted a layer or network"),
    ],
)
def test_wrong_names_of_networks_raise(file, name, message):
    with pytest.raises(ArgumentError, match=message):
        bench.load(name.format(file))


def test_every_candidate_is_measured(file):
    seconds, failed = bench.measure(
        bench.Work(f"{file}:small", (3,), batch=4),
        ["numpy", "numpie"],
        rounds=2,
    )
    assert set(seconds) == {"numpy", "numpy, compiled"}
    assert all(0 < value < 1 for value in seconds.values())
    assert set(failed) == {"numpie", "numpie, compiled"}
    assert failed["numpie"].startswith("unknown backend 'numpie'")


def test_command_prints_a_table(file, capsys):
    arguments = [
        f"{file}:letters",
        "--input-shape",
        "3",
        "--integers",
        "5",
        "--optimizer",
        "adam",
        "--batch",
        "4",
    ]
    assert cli.main(["bench", *arguments, "--backend", "numpy", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "backend",
        "ms",
        "a",
        "step",
        "×",
        "the",
        "quickest",
    ]
    assert {line.rpartition("  ")[0].split("  ")[0] for line in lines[1:]} == {
        "numpy",
        "numpy, compiled",
    }
    assert (
        cli.main(
            [
                "bench",
                f"{file}:small",
                "--input-shape",
                "7",
                "--backend",
                "numpy",
                "--rounds",
                "1",
            ]
        )
        == 2
    )
    assert "layers.0: input of shape (100, 7) does not fit" in capsys.readouterr().err
    assert cli.main(["bench", f"{file}:small", "--input-shape", "wide"]) == 2
    assert (
        capsys.readouterr().err
        == "error: input-shape is 'wide': wanted numbers such as 784 or 1,28,28\n"
    )


ROOT = Path(__file__).resolve().parents[1]


def has_history():
    return (
        subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True).returncode
        == 0
    )


@pytest.mark.skipif(not has_history(), reason="needs a checkout with its history")
def test_comparison_with_a_commit(tmp_path):
    options = "--backend numpy --only chain --rounds 2 --pairs 1 --threshold 1000".split()
    command = [
        sys.executable,
        ROOT / "ci/bench",
        "--against",
        "HEAD",
        *options,
        "--json",
        tmp_path / "found.json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["slower"] == found["unclear"] == []
    (title, row), *rest = found["rows"].items()
    assert (title, rest) == ("gradient of a chain of multiplications", [])
    assert row["rounds"] == 2
    assert 0.2 < row["now"] / row["before"] < 5
    assert 0.2 < row["interval"][0] <= row["ratio"] <= row["interval"][1] < 5


def test_comparison_with_an_unknown_commit_fails():
    command = [
        sys.executable,
        ROOT / "ci/bench",
        "--against",
        "nothing",
        "--backend",
        "numpy",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: against is 'nothing': wanted a commit" in done.stderr


@pytest.fixture
def against(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "ci/bench")
    module = importlib.import_module("against")
    yield module
    del sys.modules["against"]


@pytest.mark.parametrize(
    ("ratios", "again", "verdict", "code"),
    [
        ([[1.0, 1.01, 1.02]], [], "", 0),
        ([[1.06, 1.05, 1.07]], [[1.04, 1.05, 1.06]] * 4, " slower", 1),
        # A pair of which one process is slow.
        ([[1.06, 1.05, 1.07]], [[0.99, 1.0, 1.01]] * 4, "", 0),
        (
            [[0.7, 1.05, 1.5]],
            [[0.6, 1.04, 1.6], [0.9, 0.9, 0.9], [1.2, 1.2, 1.2]],
            " unclear",
            0,
        ),
    ],
)
def test_row_above_the_threshold_is_measured_again(
    monkeypatch, tmp_path, against, ratios, again, verdict, code
):
    measured = []

    def compare(found, work, before, rounds, pairs, clock, generator):
        measured.append((rounds, pairs))
        given = again if found.pairs else ratios
        found.pairs += [[(0.002, 0.002 * ratio) for ratio in pair] for pair in given]

    monkeypatch.setattr(against, "compare", compare)
    monkeypatch.setattr(
        against,
        "checkout",
        lambda revision: contextlib.nullcontext(tmp_path),
    )
    out = io.StringIO()
    settings = {
        "compiled": False,
        "rounds": 6,
        "pairs": 2,
        "threshold": 1.03,
        "clock": "wall",
        "about": {},
    }
    found = against.main(
        "main",
        ["numpy"],
        only=["import"],
        path=tmp_path / "found.json",
        out=out,
        **settings,
    )
    assert found == code
    assert measured == (
        [(3, 2)] if not again else [(3, 2), (6, 4)] if not verdict else [(3, 2), (6, 4), (6, 4)]
    )
    assert (f"{verdict.strip()}, above 1.03 × main: import anynet" in out.getvalue()) == bool(
        verdict
    )
    row = next(line for line in out.getvalue().splitlines() if line.startswith("| import anynet"))
    assert row.split("|")[4].endswith(f"{verdict} ")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [name for name in ("slower", "unclear") if found[name]] == verdict.split()


@pytest.mark.parametrize(("side", "code"), [("before", 0), ("now", 1)])
def test_comparison_if_one_commit_fails(monkeypatch, tmp_path, against, side, code):
    def compare(*args):
        raise against.Failure(f"{side}: ImportError: no such thing")

    monkeypatch.setattr(against, "compare", compare)
    monkeypatch.setattr(
        against,
        "checkout",
        lambda revision: contextlib.nullcontext(tmp_path),
    )
    out = io.StringIO()
    settings = {
        "compiled": False,
        "rounds": 6,
        "pairs": 2,
        "threshold": 1.03,
        "clock": "wall",
        "about": {},
    }
    assert (
        against.main(
            "main",
            ["numpy"],
            only=["import"],
            path=None,
            out=out,
            **settings,
        )
        == code
    )
    assert f"left out: import anynet, {side}: ImportError: no such thing" in out.getvalue()


def reservation():
    return os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE")


class Reserving:
    """A candidate that needs a process which reserves no GPU memory."""

    def __call__(self):
        if reservation() != "false":
            raise ArgumentError(f"XLA_PYTHON_CLIENT_PREALLOCATE is {reservation()}")
        return lambda calls: None


def test_candidates_share_a_gpu(
    monkeypatch,
):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    assert set(bench.interleaved({"a": Reserving()}, rounds=1, calls=1)) == {"a"}
    reports = bench.probe_all(["numpy", "numpie"])
    assert [(report.name, report.works) for report in reports] == [
        ("numpy", True),
        ("numpie", False),
    ]
    assert reservation() is None
    # What the user has set stays.
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    with pytest.raises(RuntimeError, match="XLA_PYTHON_CLIENT_PREALLOCATE is true"):
        bench.interleaved({"a": Reserving()}, rounds=1, calls=1)


@pytest.fixture
def charts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "ci/bench")
    module = importlib.import_module("charts")
    yield module
    del sys.modules["charts"]


def test_charts_of_the_measurements_are_current(charts, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["charts.py", "--check"])
    assert charts.main() == 0
    monkeypatch.setattr(charts, "ROOT", tmp_path)
    monkeypatch.setattr(charts, "IMAGES", tmp_path / "images")
    assert charts.main() == 1
    assert "images/bench-cpu.svg is outdated" in capsys.readouterr().err


def test_chart_shows_every_time(charts):
    rows = {
        "a & b": {"PyTorch eager": 2.0, "anynet on numpy": 1.0, "slow": 500.0, "one product": 0.1},
        "peak memory in bytes": {"PyTorch eager": 1.0},
        "without the unit": {"anynet": 1.0},
    }
    picture = ElementTree.fromstring(charts.chart(charts.times(rows)))
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    names = ["anynet on numpy", "0.50", "PyTorch eager", "1.00", "slow", "250.00"]
    assert [text for text in texts if not text.endswith("×")] == ["a & b", *names]
    dots = [float(dot.get("cx")) for dot in picture.iter("{http://www.w3.org/2000/svg}circle")]
    assert dots == sorted(dots)
    assert all(charts.LEFT <= x <= charts.RIGHT for x in dots)


#: The names of the columns of docs/measurements.md in the files of results. "compiled" follows the
#: column before it.
COLUMNS = {
    "anynet on NumPy": "anynet on numpy",
    "anynet on PyTorch": "anynet on torch",
    "anynet on JAX, compiled": "anynet on jax, compiled",
    "matrix products only": "products",
}
ON_A_GPU = {
    "anynet on CuPy, compiled": "anynet on cupy, compiled",
    "anynet on PyTorch, compiled": "anynet on torch:cuda, compiled",
    "anynet on JAX, compiled": "anynet on jax:gpu, compiled",
}


@pytest.mark.parametrize(
    ("section", "file", "columns", "count"),
    [
        ("## A step on a CPU", "bench-cpu.json", COLUMNS, 68),
        ("## A step on a GPU", "bench-gpu.json", ON_A_GPU, 15),
    ],
)
def test_page_of_measurements_has_the_ratios_of_the_results(section, file, columns, count):
    medians = json.loads((ROOT / "ci/results" / file).read_text(encoding="utf-8"))["medians"]
    page = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    text = page[page.index(section) :].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    (_, *names), _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    for i, name in enumerate(names):
        names[i] = f"{names[i - 1]}, compiled" if name == "compiled" else columns.get(name, name)
    checked = 0
    for title, *cells in rows:
        values = medians.get(title, {})
        for name, cell in zip(names, cells, strict=True):
            if values and cell:
                assert cell == f"{values[name] / values['PyTorch eager']:.2f}", (title, name)
                checked += 1
    assert checked == count
