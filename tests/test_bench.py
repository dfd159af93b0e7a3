"""The command that times a network on every backend."""

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
