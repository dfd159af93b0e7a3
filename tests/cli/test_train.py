"""``anynet train``, called as a function."""

import re

import pytest

import anynet
from anynet import cli, layers

SOURCE = """
import sys
import anynet
from anynet import layers, losses, optimizers, random

def make():
    return layers.Sequential(layers.Linear(64, 8), layers.ReLU(), layers.Linear(8, 2))

net = make()

def task(backend, seed):
    key = random.key(seed, backend)
    x = random.normal(key, (40, 3))
    t = backend.xp.astype(x[:, 0] > 0, backend.xp.int32)
    net = layers.Sequential(layers.Linear(3, 2), seed=seed, backend=backend)
    return net, (x, t), (x, t)

def regression():
    x = random.normal(random.key(0, "numpy"), (40, 3))
    return {
        "net": layers.Linear(3, 1),
        "train": (x, x[:, :1]),
        "loss": losses.mean_squared_error,
        "optimizer": optimizers.SGD(0.2),
        "metric": None,
        "epochs": 3,
    }

def broken():
    raise KeyError("no")

def needs(width):
    return width

def misspelt():
    return {"net": net, "train": None, "opimizer": 1}

def stops():
    raise SystemExit(3)

class Two(layers.Module):
    def __init__(self):
        self.layer = layers.Linear(64, 2)

    def forward(self, x, y):
        return self.layer(x) * self.layer(y)

number = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some_network.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def train(*arguments):
    return cli.main(["train", *map(str, arguments)])


@pytest.fixture
def small_digits(monkeypatch):
    """Make the digits images of 8 by 8 pixels with two classes."""
    from anynet import data, random
    from anynet.cli import datasets

    def load(backend):
        x = random.uniform(random.key(0, backend), (60, 1, 8, 8))
        t = random.integers(random.key(1, backend), (60,), 0, 2)
        return data.Dataset((x[:40, ...], t[:40]), (x[40:, ...], t[40:]))

    monkeypatch.setitem(datasets.DATASETS, "digits", load)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_data_set_by_name(backend, small_digits, capsys, tmp_path, model):
    path = tmp_path / "net.safetensors"
    arguments = ["--backend", backend.name, "--model", model, "--epochs", 1, "--batch-size", 8]
    assert train("digits", *arguments, "--limit", 16, "--save", path, "--seed", 3) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{backend.name} {backend.version} on ")
    assert re.search(r"epoch 1: loss \d\.\d+, train accuracy \d\.\d+, test accuracy \d\.\d+", out)
    assert f"network: {path}" in out
    assert len(anynet.checkpoint.read(path, backend)) >= 6


@pytest.mark.parametrize("name", ["make", "net"])
def test_network_of_a_file_takes_rows_of_pixels(file, small_digits, capsys, name):
    assert train(f"{file}:{name}", "--data", "digits", "--epochs", 2, "--no-progress") == 0
    assert "epoch 2: loss" in capsys.readouterr().out


def test_data_of_a_file(backend, file, capsys):
    arguments = ["--optimizer", "sgd", "--learning-rate", 2.0, "--epochs", 8, "--batch-size", 4]
    assert train(f"{file}:task", *arguments, "--backend", backend.name) == 0
    assert float(re.search(r"test accuracy ([\d.]+)", capsys.readouterr().out)[1]) > 0.9


def test_arguments_of_fit_in_a_file(file, capsys):
    assert train(f"{file}:regression") == 0
    loss = re.search(r"epoch 3: loss ([\d.]+), after", capsys.readouterr().out)
    assert float(loss[1]) < 1.0
    # An option takes precedence.
    assert train(f"{file}:regression", "--epochs", 1) == 0
    assert "epoch 1: loss" in capsys.readouterr().out


def test_result_is_that_of_fit(small_digits, tmp_path, capsys):
    """With the same seed, optimizer and number of epochs."""
    from anynet.cli import datasets

    arguments = ["--epochs", 2, "--seed", 5, "--optimizer", "momentum", "--learning-rate", 0.05]
    path = tmp_path / "net.safetensors"
    assert train("digits", *arguments, "--batch-size", 8, "--save", path) == 0
    (x, t), _ = datasets.DATASETS["digits"](anynet.get_backend("numpy"))
    net = layers.Sequential(
        layers.Flatten(),
        layers.Linear(64, 50),
        layers.ReLU(),
        layers.Linear(50, 100),
        layers.ReLU(),
        layers.Linear(100, 2),
        seed=5,
        backend="numpy",
    )
    optimizer = anynet.optimizers.Momentum(0.05)
    anynet.fit(net, (x, t), optimizer=optimizer, epochs=2, batch_size=8, seed=5, progress=False)
    saved = anynet.checkpoint.read(path, "numpy")
    assert saved.keys() == net.parameters().keys()
    assert all((saved[name] == x).all() for name, x in net.parameters().items())


def test_checkpoint_goes_on(small_digits, tmp_path, capsys):
    arguments = ["digits", "--checkpoint", tmp_path / "run.safetensors", "--no-progress"]
    assert train(*arguments, "--epochs", 1) == 0
    assert train(*arguments, "--epochs", 3) == 0
    assert "epoch 3: loss" in capsys.readouterr().out


def test_ctrl_c_saves_the_network(small_digits, tmp_path, capsys, monkeypatch):
    def fit(*args, **settings):
        return anynet.History(interrupted=True)

    monkeypatch.setattr(anynet, "fit", fit)
    path = tmp_path / "net.safetensors"
    assert train("digits", "--save", path) == 130
    assert path.exists()
    assert "interrupted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["mnits"],
            "there is no data set 'mnits' .did you mean 'mnist'.*: wanted one of mnist, digits",
        ),
        (["digits", "--data", "digits"], "give --data with a network in a file"),
        (["FILE:make"], "is a network without data: give --data"),
        (
            ["FILE:make", "--data", "mnits"],
            "data is 'mnits' .did you mean 'mnist'.*: wanted one of mnist",
        ),
        (["FILE:task", "--data", "digits"], "has its own: leave --data out"),
        (["FILE:task", "--model", "mlp"], "model is 'mlp' besides"),
        (["FILE:Two", "--data", "digits"], "Two raised TypeError: .* missing 1 required .* 'y'"),
        (["FILE:number"], "gives 3: wanted a network, a tuple"),
        (["FILE:needs"], "needs width: wanted a function without required arguments but seed"),
        (["FILE:broken"], r"broken raised KeyError: 'no' \(.*some_network.py, line \d+\)"),
        (["FILE:regression", "--learning-rate", "1"], "has its own optimizer: give --optimizer"),
        (
            ["FILE:misspelt"],
            "the dict has 'opimizer' .did you mean 'optimizer'.*: wanted arguments",
        ),
        (["FILE:stops"], r"stops raised SystemExit: 3 \(.*some_network.py, line"),
        (["FILE:task", "--limit", "3"], "limit is 3, and .* has its own data: leave --limit out"),
        (["digits", "--epochs", "-1"], "epochs is -1: wanted 0 or more"),
        (["digits", "--learning-rate", "0"], "learning_rate is 0"),
        (["digits", "--save", "a.st", "--checkpoint", "./a.st"], "save and checkpoint are both"),
        (["digits", "--save", "a.st", "--report", "a.st"], "save and report are both .*a.st"),
        (["digits", "--save", "FOLDER"], "is a folder: wanted a file"),
        (["digits", "--save", "FILE/net.safetensors"], "cannot be written, because"),
        (["digits", "--backend", "numpie"], "unknown backend 'numpie'"),
    ],
)
def test_errors_are_one_line(file, small_digits, capsys, arguments, message):
    names = {"FILE": str(file), "FOLDER": str(file.parent)}
    given = [re.sub("FILE|FOLDER", lambda match: names[match[0]], text) for text in arguments]
    assert train(*given) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(message, err)
