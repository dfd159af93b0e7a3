import importlib
import sys

import pytest
from programs import run

import anynet
from anynet import cli
from anynet.backend import backend_names
from anynet.errors import DataError


def test_backends_are_listed():
    code, out, err = run("-m", "anynet", "backends")
    assert code == 0, err
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert set(backend_names()) <= set(lines)
    version = anynet.get_backend("numpy").version
    assert lines["numpy"].split() == ["numpy", version, "cpu", "yes"]


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"anynet {anynet.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (
            ["--backend", "numpie"],
            {},
            "unknown backend 'numpie'; there are array_api_strict, cupy",
        ),
        ([], {"ANYNET_BACKEND": "numpie"}, "unknown backend 'numpie'"),
        (["--backend", "numpy:7"], {}, "numpy has no device '7'"),
    ],
)
@pytest.mark.parametrize("example", ["mnist.py", "gradient_check.py", "mnist_inference.py"])
def test_error_of_a_missing_backend_is_one_line(example, arguments, environment, message):
    code, out, err = run(f"examples/{example}", *arguments, **environment)
    assert code == 2
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-size", "0"], "batch_size is 0: wanted 1 or more"),
        (
            ["--learning-rate", "-1"],
            "learning_rate is -1.0: wanted a finite number above 0, such as 0.1",
        ),
        (
            ["--activation", "rely"],
            "unknown activation 'rely'; there are elu, gelu, hard_sigmoid, identity",
        ),
        (["--epochs", "-1"], "epochs is -1: wanted 0 or more"),
        (
            ["--limit", "0"],
            "x has 0 rows and t has 0: wanted the same number, and at least one",
        ),
        (
            ["--seed", "-4"],
            "seed is -4: wanted an integer from 0 to 2**64 - 1",
        ),
        (
            ["--learning-rate", "1e30", "--epochs", "1"],
            "the loss became nan in epoch 1, step 2: lower the learning rate",
        ),
    ],
)
def test_error_of_an_invalid_setting_is_one_line(tmp_path, arguments, message):
    """No file is written."""
    picture = tmp_path / "curve.png"
    code, _, err = run(
        "-W", "ignore", "examples/mnist.py", *arguments, "--plot", str(picture),
        ANYNET_OFFLINE="1", ANYNET_DATA_DIR="", XDG_CACHE_HOME=str(tmp_path),
    )  # fmt: skip
    assert code == 2
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert not picture.exists()


def test_argument_takes_precedence_over_the_variable():
    code, out, err = run(
        "examples/gradient_check.py",
        "--backend",
        "numpy",
        ANYNET_BACKEND="numpie",
    )
    assert code == 0, err
    assert out.startswith("numpy ")


def test_run_exits_with_the_code_of_the_program(capsys):
    def fails():
        raise DataError("no data")

    def is_interrupted():
        raise KeyboardInterrupt

    for program, code in (
        (fails, 2),
        (lambda: 1, 1),
        (lambda: None, 0),
        (is_interrupted, 130),
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.run(program)
        assert stopped.value.code == code
    assert capsys.readouterr().err == "error: no data\ninterrupted\n"


LOADING = """
import signal, sys
sys.path.insert(0, "examples")
import mnist
from anynet import cli, data

# A shell lets its background jobs ignore the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)

def load(backend):
    signal.raise_signal(signal.SIGINT)

data.load_mnist = load
sys.argv = ["mnist.py"]
cli.run(mnist.main)
"""


def test_ctrl_c_while_an_example_loads_its_data():
    code, _, err = run("-c", LOADING)
    assert code == 130
    assert err == "interrupted\n"


def test_importing_the_program_does_not_run_it(monkeypatch):
    monkeypatch.setattr("sys.argv", ["another", "--program"])
    monkeypatch.delitem(sys.modules, "anynet.__main__", raising=False)
    assert importlib.import_module("anynet.__main__").__name__ == "anynet.__main__"
