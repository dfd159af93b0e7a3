import signal

import numpy as np
import pytest
from helpers import host
from html_pages import read_page
from report_runs import blobs, network

import anynet
from anynet import layers, report
from anynet.errors import ArgumentTypeError, DataError, ShapeError
from anynet.training import Epoch, History


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.html"


@pytest.fixture
def saved(backend, tmp_path):
    """The file of a run of two epochs, and its network."""
    file, net = tmp_path / "run.safetensors", network(backend)
    anynet.fit(net, blobs(backend), epochs=2, checkpoint=file, progress=False)
    return file, net


def test_history_alone(path):
    epochs = [Epoch(i, 1 / i, {"accuracy": i / 10}, {}, 0.5) for i in (1, 2, 3)]
    report.write(path, History(epochs, [1.0, 0.5, 0.25]))
    page = read_page(path)
    assert ["3", "0.3333", "0.3000", "0.50"] in page.rows
    assert "The history has 3 epochs." in page.text
    assert page.text.count("A history does not have it.") == 4
    assert "No network was given." in page.text


def test_history_with_network_and_test_data(backend, path):
    net = network(backend)
    history = anynet.fit(net, blobs(backend), epochs=1, progress=False)
    test = blobs(backend, 20, seed=1)
    names = ["<b>cat</b>", "dog & co", "ねこ"]
    report.write(path, history, net=net, test=test, class_names=names, title="a < b")
    page = read_page(path)
    assert page.all("b") == []
    assert all(name in page.text for name in (*names, "a < b"))
    right = int((host(net(test[0])).argmax(axis=1) == host(test[1])).sum())
    assert f"On the test data, {right} of 20 predictions are correct" in page.text


def test_checkpoint_alone(saved, path):
    report.write(path, saved[0])
    page = read_page(path)
    assert "The checkpoint has 2 epochs." in page.text
    assert page.values("optimizer") == [["SGD(0.1, weight_decay=0.0)"]]
    assert "Linear" in page.values("layers.0")[0][0]
    assert "A checkpoint has no data. Give the network and the test data as well." in page.text
    assert page.text.count("The checkpoint does not have it.") == 3


def test_checkpoint_with_network_and_test_data(backend, saved, path):
    file, net = saved
    test = blobs(backend, 20, seed=1)
    other = network(backend)
    before = host(other["layers.0.weight"]).copy()
    report.write(path, file, net=other, test=test)
    right = int((host(net(test[0])).argmax(axis=1) == host(test[1])).sum())
    assert f"On the test data, {right} of 20 predictions are correct" in read_page(path).text
    np.testing.assert_array_equal(host(other["layers.0.weight"]), before)


def test_checkpoint_of_a_run_with_a_report_has_its_record(backend, tmp_path, path):
    file = tmp_path / "run.safetensors"
    settings = {"epochs": 2, "progress": False}
    anynet.fit(network(backend), blobs(backend), checkpoint=file, report=path, **settings)
    first = read_page(path)
    report.write(path, file)
    page = read_page(path)
    assert page.values("all parameters") == first.values("all parameters")
    assert page.values("platform") == first.values("platform")
    seconds, expected = page.values("training")[0][0], first.values("training")[0][0]
    assert float(seconds) == pytest.approx(float(expected), abs=0.002)


def test_checkpoint_in_the_middle_of_an_epoch(backend, tmp_path, path):
    file = tmp_path / "run.safetensors"

    class Stop(anynet.callbacks.Callback):
        def on_step_end(self, run):
            if run.updates == 5:
                signal.raise_signal(signal.SIGINT)

    settings = {"batch_size": 20, "epochs": 3, "progress": False, "callbacks": [Stop()]}
    anynet.fit(network(backend), blobs(backend), checkpoint=file, **settings)
    report.write(path, file)
    assert "The checkpoint has 1 epoch and 2 steps of epoch 2." in read_page(path).text


def test_arguments_of_other_kinds_raise(backend, saved, path, tmp_path):
    file, net = saved
    with pytest.raises(ArgumentTypeError, match="run is 3"):
        report.write(path, 3)
    with pytest.raises(FileNotFoundError):
        report.write(path, tmp_path / "none.safetensors")
    with pytest.raises(ShapeError):
        report.write(path, file, net=layers.Sequential(layers.Linear(2, 2), seed=0))
    weights = tmp_path / "net.safetensors"
    anynet.save(net, weights)
    with pytest.raises(DataError, match="is not the checkpoint of a run"):
        report.write(path, weights)
    assert not path.exists()
