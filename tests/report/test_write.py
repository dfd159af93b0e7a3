import signal

import numpy as np
import pytest
from helpers import host
from html_pages import read_page
from report_runs import blobs, network

import anynet
from anynet import layers, report
from anynet.data import Loader
from anynet.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from anynet.training import Epoch, History


@pytest.fixture
def saved(on_numpy, tmp_path):
    """The file of a run of two epochs, and its network."""
    file, net = tmp_path / "run.safetensors", network(on_numpy)
    anynet.fit(net, blobs(on_numpy), epochs=2, checkpoint=file, progress=False)
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
    right = (
        host(net(blobs(anynet.get_backend("numpy"), 20, seed=1)[0])).argmax(axis=1) == host(test[1])
    ).sum()
    assert f"On the test data, {right} of 20 predictions are correct" in read_page(path).text
    np.testing.assert_array_equal(host(other["layers.0.weight"]), before)


def test_checkpoint_of_a_run_with_a_report_has_its_record(on_numpy, tmp_path, path):
    file = tmp_path / "run.safetensors"
    settings = {"epochs": 2, "progress": False}
    anynet.fit(network(on_numpy), blobs(on_numpy), checkpoint=file, report=path, **settings)
    first = read_page(path)
    report.write(path, file)
    page = read_page(path)
    assert page.values("all parameters") == first.values("all parameters")
    assert page.values("platform") == first.values("platform")
    seconds, expected = page.values("training")[0][0], first.values("training")[0][0]
    assert float(seconds) == pytest.approx(float(expected), abs=0.002)


@pytest.mark.usefixtures("pythons_handler")
def test_checkpoint_in_the_middle_of_an_epoch(on_numpy, tmp_path, path):
    file = tmp_path / "run.safetensors"

    class Stop(anynet.callbacks.Callback):
        def on_step_end(self, run):
            if run.updates == 5:
                signal.raise_signal(signal.SIGINT)

    settings = {"batch_size": 20, "epochs": 3, "progress": False, "callbacks": [Stop()]}
    anynet.fit(network(on_numpy), blobs(on_numpy), checkpoint=file, **settings)
    report.write(path, file)
    assert "The checkpoint has 1 epoch and 2 steps of epoch 2." in read_page(path).text


def test_arguments_of_other_kinds_raise(on_numpy, saved, path, tmp_path):
    file, net = saved
    with pytest.raises(ArgumentTypeError, match="run is 3"):
        report.write(path, 3)
    history = History()
    with pytest.raises(ArgumentTypeError, match="net is 3"):
        report.write(path, history, net=3)
    with pytest.raises(ArgumentTypeError, match="title is 3"):
        report.write(path, history, title=3)
    with pytest.raises(ArgumentTypeError, match="class_names is 'abc'"):
        report.write(path, history, class_names="abc")
    with pytest.raises(ArgumentTypeError, match="loss is 'cross_entropy'"):
        report.write(path, history, net=net, test=blobs(on_numpy), loss="cross_entropy")
    with pytest.raises(ArgumentError, match="test was given without net"):
        report.write(path, history, test=blobs(on_numpy))
    with pytest.raises(ArgumentError, match="has 2 names and the network 3 classes"):
        report.write(path, history, net=net, test=blobs(on_numpy), class_names=["a", "b"])
    with pytest.raises(ArgumentError, match="neither a choice of classes nor a regression"):
        report.write(path, history, net=net, test=(blobs(on_numpy)[0],) * 2)
    with pytest.raises(FileNotFoundError):
        report.write(path, tmp_path / "none.safetensors")
    with pytest.raises(ShapeError):
        report.write(path, file, net=layers.Sequential(layers.Linear(2, 2), seed=0))
    weights = tmp_path / "net.safetensors"
    anynet.save(net, weights)
    with pytest.raises(DataError, match="is not the checkpoint of a run"):
        report.write(path, weights)
    assert not path.exists()


def test_loader_is_read_in_order(on_numpy, path):
    net, (x, t) = network(on_numpy), blobs(on_numpy)
    report.write(path, History(), net=net, test=Loader(x, t, 7, seed=3))
    shuffled = read_page(path)
    report.write(path, History(), net=net, test=(x, t))
    assert read_page(path).rows == shuffled.rows
    assert read_page(path).all("dd") == shuffled.all("dd")


def test_damaged_record_raises(saved, path, monkeypatch):
    import anynet.training.resume as resume

    saved_run = resume.read_run(saved[0])
    state = {"sessions": [], "norms": [], "seconds": {}}
    wrong = [
        {**state, "sessions": [{"begun": 3}]},
        {**state, "norms": [[1, ["a"], []]]},
        {**state, "norms": 3},
        {**state, "seconds": {"training": -1.0}},
        {**state, "seconds": {"training": float("nan")}},
        {"sessions": []},
        3,
    ]
    for record in wrong:
        saved_run.states["record"] = record
        monkeypatch.setattr(report.saved, "read_run", lambda path: saved_run)
        with pytest.raises(DataError, match="does not fit the run"):
            report.write(path, saved[0])


def test_samples_of_many_batches_are_the_largest_of_all(on_numpy, path):
    net, (x, t) = network(on_numpy), blobs(on_numpy, 300)
    report.write(path, History(), net=net, test=(x, t))
    whole = read_page(path)
    batches = [(x[i : i + 30, ...], t[i : i + 30]) for i in range(0, 300, 30)]
    report.write(path, History(), net=net, test=batches)
    assert read_page(path).text.partition("Network")[0] == whole.text.partition("Network")[0]
    assert "The 24 of " in whole.text


@pytest.mark.filterwarnings("error")
def test_errors_of_values_that_are_not_finite(path):
    backend = anynet.get_backend("numpy")
    x = np.asarray([[1e300], [2.0], [1.0]])
    t = np.asarray([[-1e300], [1.0], [1.0]])
    batches = [(x[1:], t[1:]), (x[:1], t[:1])]
    report.write(path, History(), net=Scale().initialize(0, backend), test=batches)
    page = read_page(path)
    assert "the mean absolute error is 6.667e+299" in page.text
    assert "root of the mean squared error is inf" in page.text
    assert [row for row in page.rows if len(row) == 5][1][0] == "2"


class Scale(layers.Module):
    def __init__(self):
        self.factor = layers.parameter((1,), anynet.initializers.ones)

    def forward(self, x):
        return x * 1.0
