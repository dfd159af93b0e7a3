"""``anynet check``, called as a function."""

import re
import sys

import pytest

from anynet import cli

SOURCE = """
from anynet import custom_vjp, functions, layers

def make(hidden=4):
    return layers.Sequential(
        layers.Linear(3, hidden),
        layers.BatchNorm(hidden),
        layers.Tanh(),
        layers.Dropout(0.5),
        layers.Linear(hidden, 2),
    )

class Sum(layers.Module):
    def forward(self, x, y):
        return x + y

class Both(layers.Module):
    def __init__(self):
        self.linear = layers.Linear(3, 2)

    def forward(self, x):
        return self.linear(x), {"double": 2 * x}

words = layers.Sequential(layers.Embedding(5, 2), layers.Flatten(), layers.Linear(6, 2))

def product(x, w):
    return x @ w

def all_of(*arrays):
    return arrays[0] * arrays[1]

ready = layers.Sequential(layers.Linear(3, 2), seed=0, backend="numpy")

wrong = custom_vjp(lambda x: x * x, lambda g, out, x: g * x)

class Wrong(layers.Module):
    def __init__(self):
        self.first, self.last = layers.Linear(3, 2), layers.Linear(2, 2)

    def forward(self, x):
        return self.last(wrong(self.first(x)))

def fails(x):
    return x + undefined

def counts(x):
    return 3

def by_name(x, *, scale):
    return x * scale

def nothing(x):
    return x[:0]

def complex_numbers(x):
    return x + 1j * x * x

number = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some_layers.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def check(*arguments):
    return cli.main(["check", *map(str, arguments)])


@pytest.mark.parametrize(
    ("name", "shapes", "arrays"),
    [
        ("make", ["3"], ["net.layers.0.weight", "net.layers.1.bias", "x"]),
        ("ready", ["3"], ["net.layers.0.weight", "x"]),
        ("Both", ["3"], ["net.linear.weight", "net.linear.bias", "x"]),
        ("Sum", ["2,2", "2,2"], ["x0", "x1"]),
        ("product", ["2,3", "3,2"], ["x", "w"]),
        ("complex_numbers", ["2"], ["x"]),
        ("all_of", ["", "2"], ["argument 0", "argument 1"]),
    ],
)
def test_correct_gradients(backend, file, capsys, name, shapes, arrays):
    options = [f"--input-shape={shape}" for shape in shapes]
    assert check(f"{file}:{name}", *options, "--backend", backend.name) == 0
    out = capsys.readouterr().out
    rows = {line.split("  ")[0]: line for line in out.splitlines()[2:-1]}
    assert set(arrays) <= set(rows)
    assert all(line.endswith("  ok") for line in rows.values())
    assert out.splitlines()[-1] == "all gradients agree within 1e-06"


def test_integers_and_another_module(file, capsys):
    assert check(f"{file}:words", "--input-shape", 3, "--integers", 5) == 0
    assert "net.layers.0.weight" in capsys.readouterr().out
    assert check("anynet.functions:gelu", "--input-shape", "2,2", "--dtype", "float32") == 0


@pytest.mark.parametrize("tolerance", ["0", "nan", "inf", "small"])
def test_wrong_tolerances(file, capsys, tolerance):
    with pytest.raises(SystemExit) as stopped:
        check(f"{file}:make", "--input-shape", 3, "--tolerance", tolerance)
    assert stopped.value.code == 2
    assert f"'{tolerance}' was given: wanted a finite number above 0" in capsys.readouterr().err


def test_wrong_gradients(file, capsys):
    """Those before the wrong function are wrong, those after it are not."""
    assert check(f"{file}:Wrong", "--input-shape", 3) == 1
    out = capsys.readouterr().out
    verdicts = dict(re.findall(r"^(\S+) .*  (ok|WRONG)$", out, re.M))
    assert verdicts == {
        "net.first.weight": "WRONG",
        "net.first.bias": "WRONG",
        "net.last.weight": "ok",
        "net.last.bias": "ok",
        "x": "WRONG",
    }
    assert re.search(r"net.first.bias, element \(\d\): analytic ([-\d.]+), numerical", out)
    assert out.splitlines()[-1] == "3 of 5 gradients are wrong"
    # A tolerance of 1 takes an error of one half.
    assert check(f"{file}:Wrong", "--input-shape", 3, "--tolerance", 1) == 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("make", [], "is a network, and the shape of its input is not known: give --input-shape"),
        ("product", [], "takes x, w, and 0 shapes were given: give --input-shape for each"),
        ("product", ["--input-shape=2,3"], "takes x, w, and 1 shapes were given"),
        ("make", ["--input-shape=wide"], "input-shape is 'wide': wanted numbers such as 784"),
        ("make", ["--input-shape=0"], "input-shape is '0': wanted numbers such as 784"),
        ("make", ["--input-shape=7"], r"input of shape \(3, 7\) does not fit"),
        ("number", [], "is 3: wanted a network, a function that returns one, or a function"),
        ("fails", ["--input-shape=2"], r"raised NameError: name 'undefined' .*line \d+\)"),
        ("counts", ["--input-shape=2"], "the result is 3: wanted a floating array that is not"),
        ("nothing", ["--input-shape=2"], r"the result is an array of shape \(0,\): wanted a float"),
        (
            "by_name",
            ["--input-shape=2"],
            "by_name needs scale by name: wanted a function of arrays",
        ),
        ("mak", [], "has no 'mak': did you mean make?"),
        ("zzz", [], "has no 'zzz': it defines make, Sum, Both, product"),
        ("a b", [], "names no object: wanted file.py:name or module:name"),
        ("make", ["--input-shape=3", "--seed=-1"], "seed is -1: wanted an integer from 0"),
    ],
)
def test_errors_are_one_line(file, capsys, name, options, message):
    assert check(f"{file}:{name}", *options) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(message, err)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = [", r"SyntaxError: .* \(.*, line 1\)"),
        (
            "raise SystemExit(3)",
            'ends the program .* put the main program under if __name__ == "__',
        ),
        ("1 / 0", r"ZeroDivisionError: division by zero \(.*a_file.py, line 1\)"),
    ],
)
def test_errors_of_a_file(tmp_path, capsys, content, message):
    path = tmp_path / "a_file.py"
    path.write_text(content, encoding="utf-8")
    assert check(f"{path}:make") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err)


def test_errors_of_names(tmp_path, capsys):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "notes.txt").touch()
    for name, message in (
        (f"{tmp_path}/none.py:make", "none.py does not exist: wanted file.py:name"),
        (f"{tmp_path}/folder.py:make", "folder.py is a folder"),
        (f"{tmp_path}/notes.txt:make", "notes.txt is not a Python file"),
        ("no_such_module:make", "there is no module 'no_such_module'"),
        ("model.py", "names no object: wanted file.py:name"),
    ):
        assert check(name) == 2
        assert message in capsys.readouterr().err


def test_file_with_the_name_of_a_library(tmp_path, monkeypatch):
    """It does not replace the library."""
    # The file's folder is in it.
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "random.py"
    path.write_text("def square(x):\n    return x * x\n", encoding="utf-8")
    assert check(f"{path}:square", "--input-shape", 2) == 0
    import random

    assert hasattr(random, "getstate")
