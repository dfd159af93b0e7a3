"""Logs of a run: CSV, lines of JSON, TensorBoard's files, histograms and plots."""

import csv
import json
import math

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import callbacks, layers, losses, optimizers
from anynet.autodiff import value_and_grad
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.training import History


def data(backend, n=50):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, 2)).astype("float32")
    return backend.asarray(x), backend.asarray((x[:, 0] > 0).astype("int64"))


def network(backend):
    return layers.Sequential(
        layers.Linear(2, 4),
        layers.BatchNorm(4),
        layers.Dropout(0.2),
        layers.Linear(4, 2),
        seed=0,
        backend=backend,
    )


def fit(net, backend, *given, **named):
    settings = {"batch_size": 20, "epochs": 2, "progress": False}
    return anynet.fit(net, data(backend), callbacks=given, **(settings | named))


def test_csv_has_the_epochs_of_the_history(tmp_path):
    backend = anynet.get_backend("numpy")
    path = tmp_path / "logs" / "log.csv"
    net = network(backend)
    history = fit(net, backend, callbacks.CSVLog(path))
    fit(net, backend, callbacks.CSVLog(path), epochs=3, history=history)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    for row, epoch in zip(rows, history.epochs, strict=True):
        assert float(row["loss"]) == epoch.loss
        assert float(row["train accuracy"]) == epoch.train_score
        assert float(row["seconds"]) == epoch.seconds


@pytest.mark.parametrize("compile", [False, True])
def test_lines_of_json_have_steps_and_epochs(backend, tmp_path, compile):
    path = tmp_path / "log.jsonl"
    history = fit(network(backend), backend, callbacks.JSONLinesLog(path, 2), compile=compile)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    steps = [line for line in lines if "step" in line]
    assert [(line["epoch"], line["step"], line["updates"]) for line in steps] == [
        (1, 2, 2),
        (2, 1, 4),
        (2, 3, 6),
    ]
    assert [line["loss"] for line in steps] == history.losses[1::2]
    epochs = [line for line in lines if "step" not in line]
    assert [(line["epoch"], line["updates"], line["loss"]) for line in epochs] == [
        (epoch.number, 3 * epoch.number, epoch.loss) for epoch in history.epochs
    ]
    assert lines.index(epochs[0]) == 1


def test_lines_of_a_run_that_goes_on_follow_its_history(tmp_path):
    """A line is left out that is incomplete, or of updates that are made again."""
    backend = anynet.get_backend("numpy")
    path = tmp_path / "log.jsonl"
    log = callbacks.JSONLinesLog(path, steps=1)
    net, optimizer = network(backend), optimizers.SGD(0.1)
    history = fit(net, backend, log, optimizer=optimizer)
    with path.open("a") as file:
        file.write('{"epoch": 3, "step": 1, "updates": 7, "loss": 0.5}\n{"epoch": 3, "st')
    fit(net, backend, log, optimizer=optimizer, epochs=3, history=history)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["updates"] for line in lines] == [1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9]
    assert [line["loss"] for line in lines if "step" in line] == history.losses
    # A new run replaces the file.
    fit(net, backend, log, epochs=1)
    assert len(path.read_text().splitlines()) == 4


def test_lines_that_wait_are_in_the_state(tmp_path):
    backend = anynet.get_backend("numpy")
    log, states = callbacks.JSONLinesLog(tmp_path / "log.jsonl", steps=1), []
    keep = callbacks.LambdaCallback(on_step_end=lambda run: states.append(log.state_dict()))
    fit(network(backend), backend, log, keep, epochs=1)
    assert [len(state["lines"]) for state in states] == [1, 2, 3]
    other = callbacks.JSONLinesLog(tmp_path / "log.jsonl", steps=1)
    other.load_state_dict(states[1])
    assert other.state_dict() == states[1]
    with pytest.raises(ArgumentError, match="the state of JSONLinesLog lacks 'lines'"):
        other.load_state_dict({})


def test_values_that_are_not_finite_are_null(tmp_path):
    backend = anynet.get_backend("numpy")
    path = tmp_path / "log.jsonl"

    def nothing(outputs, labels):
        return math.nan

    fit(network(backend), backend, callbacks.JSONLinesLog(path), metric=nothing, epochs=1)
    assert json.loads(path.read_text())["train nothing"] is None


def test_tensorboard_reads_scalars_and_histograms(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    backend = anynet.get_backend("numpy")
    net, optimizer = network(backend), optimizers.SGD(0.1)

    def board():
        histograms = callbacks.Histograms(bins=7)
        return callbacks.TensorBoard(tmp_path, steps=1, histograms=histograms)

    history = fit(net, backend, board(), optimizer=optimizer)
    fit(net, backend, board(), optimizer=optimizer, epochs=3, history=history)
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    steps = events.Scalars("step loss")
    assert [event.step for event in steps] == [*range(1, 10)]
    assert [event.value for event in steps] == pytest.approx(history.losses)
    scores = events.Scalars("train accuracy")
    assert [(event.step, event.value) for event in scores] == [
        (3 * epoch.number, pytest.approx(epoch.train_score)) for epoch in history.epochs
    ]
    weights = events.Histograms("weights/layers.0.weight")[-1].histogram_value
    assert sum(weights.bucket) == 8
    assert weights.max == pytest.approx(host(net["layers.0.weight"]).max())
    assert {"activations/layers.3", "gradients/layers.3.bias"} <= {*events.Tags()["histograms"]}


@pytest.mark.parametrize("compile", [False, True])
def test_histograms_count_all_values_and_disturb_nothing(backend, compile):
    """The run with histograms is the run without, bit by bit."""
    if backend.name == "jax":
        pytest.skip(reason="JAX compiles the uncompiled functions for too long")
    nets = network(backend), network(backend)
    histograms = callbacks.Histograms(bins=5)
    runs = [
        fit(net, backend, *given, compile=compile)
        for net, given in zip(nets, ([histograms], []), strict=True)
    ]
    assert runs[0].losses == runs[1].losses
    for name, x in (nets[0].parameters() | nets[0].buffers()).items():
        np.testing.assert_array_equal(host(x), host(nets[1][name]))
    measured = histograms.epochs[2]
    weight = host(nets[0]["layers.0.weight"])
    counts, edges = np.histogram(weight.astype("float64"), bins=5)
    assert measured["weights/layers.0.weight"] == (counts.tolist(), pytest.approx(edges.tolist()))
    x, t = data(backend)
    _, gradients = value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))(nets[1], x, t)
    # The same dropout mask, because the copy has the key of that moment.
    expected = np.histogram(host(gradients["layers.3.weight"]).astype("float64"), bins=5)
    assert measured["gradients/layers.3.weight"].counts == expected[0].tolist()
    assert sum(measured["activations/layers.0"].counts) == 50 * 4
    other = callbacks.Histograms()
    other.load_state_dict(json.loads(json.dumps(histograms.state_dict())))
    assert other.epochs == histograms.epochs


def test_histograms_of_given_data_and_of_batches():
    backend = anynet.get_backend("numpy")
    x, t = data(backend)
    histograms = callbacks.Histograms((x[:7], t[:7]))
    fit(network(backend), backend, histograms, epochs=1)
    assert sum(histograms.epochs[1]["activations/layers.0"].counts) == 28
    last = callbacks.Histograms()
    batches = [(x[:30], t[:30]), (x[30:], t[30:])]
    anynet.fit(network(backend), batches, epochs=1, callbacks=[last], progress=False)
    assert sum(last.epochs[1]["activations/layers.0"].counts) == 80
    with pytest.raises(ArgumentTypeError, match="histograms is True: wanted callbacks"):
        callbacks.TensorBoard("logs", histograms=True)


def test_live_plot_writes_a_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="draws")
    backend = anynet.get_backend("numpy")
    path = tmp_path / "run.png"
    sizes = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda run: sizes.append(path.stat().st_size))
    fit(network(backend), backend, callbacks.LivePlot(path), look)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert len(sizes) == 2
    history = History()
    with pytest.raises(ArgumentError, match="LivePlot has no path, and the program runs in no n"):
        fit(network(backend), backend, callbacks.LivePlot(), history=history)
    assert history.losses == []


def test_live_plot_replaces_its_output_in_a_notebook(monkeypatch):
    pytest.importorskip("matplotlib", reason="draws")
    shown = []

    class Handle:
        def update(self, content, raw):
            shown.append((content, raw))

    def display(content, *, raw, display_id):
        shown.append((content, raw))
        return Handle()

    monkeypatch.setattr("anynet.callbacks.live_plot.notebook_display", lambda: display)
    backend = anynet.get_backend("numpy")
    fit(network(backend), backend, callbacks.LivePlot())
    assert [content["text/plain"] for content, _ in shown] == [
        "losses and scores until epoch 1",
        "losses and scores until epoch 2",
    ]
    assert all(raw and content["image/png"] for content, raw in shown)
