"""The command that times a network on every backend, and the comparison of two commits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from anynet import bench, cli, layers
from anynet.errors import ArgumentError

SOURCE = """
from anynet import layers

def small():
    return layers.Sequential(layers.Linear(3, 4), layers.ReLU(), layers.Linear(4, 2))

letters = layers.Sequential(layers.Embedding(5, 2), layers.Flatten(), layers.Linear(6, 1))
number = 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a_network.py").write_text(SOURCE)
    return tmp_path / "a_network.py"


def test_networks_by_name(file):
    assert len(bench.load(f"{file}:small").layers) == 3
    assert type(bench.load("anynet.layers:ReLU")) is layers.ReLU


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{}:nothing", "which is not there: module 'a_network' has no attribute 'nothing'"),
        ("{}x.py:small", "which is not there: no file .*x.py"),
        ("no_such_module:small", "which is not there: No module named 'no_such_module'"),
        ("{}", "wanted file.py:name or module:name"),
        ("{}:number", "which gives a int: wanted a layer or network"),
    ],
)
def test_names_of_nothing(file, name, message):
    with pytest.raises(ArgumentError, match=message):
        bench.load(name.format(file))


def test_every_candidate_takes_its_turns(file):
    seconds, failed = bench.measure(bench.Work(f"{file}:small", (3,), batch=4), ["numpy", "numpie"], rounds=2)
    assert set(seconds) == {"numpy", "numpy, compiled"}
    assert all(0 < value < 1 for value in seconds.values())
    assert set(failed) == {"numpie", "numpie, compiled"}
    assert failed["numpie"].startswith("unknown backend 'numpie'")


def test_the_command(file, capsys):
    arguments = [f"{file}:letters", "--input-shape", "3", "--integers", "5", "--optimizer", "adam", "--batch", "4"]
    assert cli.main(["bench", *arguments, "--backend", "numpy", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["backend", "ms", "a", "step", "×", "the", "quickest"]
    assert {line.rpartition("  ")[0].split("  ")[0] for line in lines[1:]} == {"numpy", "numpy, compiled"}
    assert cli.main(["bench", f"{file}:small", "--input-shape", "7", "--backend", "numpy", "--rounds", "1"]) == 2
    assert "layers.0: input of shape (100, 7) does not fit" in capsys.readouterr().err
    assert cli.main(["bench", f"{file}:small", "--input-shape", "wide"]) == 2
    assert capsys.readouterr().err == "error: input-shape is 'wide': wanted numbers such as 784 or 1,28,28\n"


ROOT = Path(__file__).resolve().parents[1]


def has_history():
    return subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_history(), reason="needs a checkout with its history")
@pytest.mark.parametrize(("threshold", "code"), [("1000", 0), ("0.001", 1)])
def test_comparison_with_a_commit(tmp_path, threshold, code):
    options = "--backend numpy --only chain --rounds 2 --pairs 1".split()
    command = [sys.executable, ROOT / "ci/bench", "--against", "HEAD", *options, "--threshold", threshold]
    done = subprocess.run([*command, "--json", tmp_path / "found.json"], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    title = "gradient of a chain of multiplications"
    assert list(found["rows"]) == [title]
    assert found["slower"] == [title][:code]
    assert (f"slower than {threshold} × HEAD: {title}" in done.stdout) == bool(code)
    row = found["rows"][title]
    # Two rounds, and twice four more in pairs of their own where a row is above the threshold.
    assert row["rounds"] == (10 if code else 2)
    assert len(row["by pair"]) == (3 if code else 1)
    assert 0.2 < row["now"] / row["before"] < 5


def test_comparison_with_no_commit():
    command = [sys.executable, ROOT / "ci/bench", "--against", "nothing", "--backend", "numpy"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: against is 'nothing': wanted a commit" in done.stderr
