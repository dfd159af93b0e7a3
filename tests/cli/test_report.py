"""``anynet report``, called as a function."""

import pytest
from html_pages import read_page
from report_runs import blobs, network

import anynet
from anynet import cli

SOURCE = """
import anynet
from report_runs import blobs, network

def make(backend):
    return network(backend)

def task(backend):
    return network(backend), blobs(backend), blobs(backend, 20, seed=1)
"""


@pytest.fixture
def run(tmp_path):
    """The checkpoint of a run."""
    path = tmp_path / "run.safetensors"
    backend = anynet.get_backend("numpy")
    settings = {"epochs": 2, "progress": False, "checkpoint": path}
    anynet.fit(network(backend), blobs(backend), blobs(backend, 20, seed=1), **settings)
    return path


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some_classifier.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def report(*arguments):
    return cli.main(["report", "--backend", "numpy", *map(str, arguments)])


def test_checkpoint_alone(run, capsys):
    assert report(run) == 0
    page = read_page(run.with_suffix(".html"))
    assert "run.safetensors" in page.text
    assert "The checkpoint has 2 epochs." in page.text
    assert "A checkpoint has no data." in page.text
    assert capsys.readouterr().out.startswith("report: ")


def test_network_without_data(run, file, tmp_path):
    output = tmp_path / "pages" / "run.html"
    assert report(run, "--net", f"{file}:make", "--output", output, "--title", "a < b") == 0
    page = read_page(output)
    assert "a < b" in page.text
    assert page.values("layers.0")[0][0] == "Linear"
    assert "The test data were not given" in page.text


def test_network_with_data(backend, run, file):
    arguments = ("--net", f"{file}:task", "--class-names", "ant, bee,<wasp>")
    assert cli.main(["report", str(run), "--backend", backend.name, *arguments]) == 0
    page = read_page(run.with_suffix(".html"))
    assert "of 20 predictions are correct" in page.text
    assert "<wasp>" in page.text


def test_run_of_the_command_train(tmp_path, capsys, monkeypatch):
    from anynet.cli import datasets

    def load(backend):
        pairs = [blobs(backend, 40, seed=seed) for seed in (0, 1)]
        return anynet.data.Dataset(*pairs)

    monkeypatch.setitem(datasets.DATASETS, "digits", load)
    run, page = tmp_path / "run.safetensors", tmp_path / "run.html"
    arguments = ["digits", "--backend", "numpy", "--epochs", "1", "--checkpoint", str(run)]
    assert cli.main(["train", *arguments, "--report", str(page)]) == 0
    first = read_page(page)
    assert report(run, "--data", "digits") == 0
    assert read_page(page).values("0") == first.values("0")


def test_folder(capsys):
    assert report(".") == 2
    assert "error: . is a folder: wanted a file, such as run.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "cnn"], "model is 'cnn': give it with --data alone"),
        (["--net", "nothing"], "net is 'nothing': wanted FILE:NAME"),
        (["--output", "."], "which is no file"),
        (["--data", "nothing"], "there is no data set 'nothing'"),
    ],
)
def test_wrong_options(run, capsys, arguments, message):
    assert report(run, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not run.with_suffix(".html").exists()


def test_files_that_are_no_runs(tmp_path, capsys):
    assert report(tmp_path / "none.safetensors") == 2
    assert "none.safetensors: No such file" in capsys.readouterr().err
    path = tmp_path / "net.safetensors"
    anynet.save(network("numpy"), path)
    assert report(path) == 2
    assert "is not the checkpoint of a run" in capsys.readouterr().err
