import math
import re
import signal
from functools import partial

import numpy as np
import pytest
from helpers import host
from html_pages import read_page
from report_runs import blobs, network, stateful_network

import anynet
from anynet import callbacks, layers, losses, metrics, optimizers
from anynet.data import Loader
from anynet.errors import ArgumentError, ArgumentTypeError, NonFiniteError

PARTS = [
    "Learning curves",
    "Predictions",
    "Network",
    "Gradient norms",
    "Time spent",
    "Configuration",
    "Environment",
]


def train(path, net, data, test=None, **settings):
    settings = {"epochs": 2, "progress": False, **settings}
    history = anynet.fit(net, data, test, report=path, **settings)
    return history, read_page(path)


def test_page_has_all_parts(backend, path):
    test = blobs(backend, 30, seed=1)
    net = network(backend)
    history, page = train(path, net, blobs(backend), test, batch_size=20, seed=7)
    ids = [x["id"] for x in page.all("h2")]
    assert ids == [part.lower().replace(" ", "-") for part in PARTS]
    assert {x["href"] for x in page.all("a")} == {"#content", *(f"#{name}" for name in ids)}
    last = history.epochs[-1]
    numbers = [f"{x:.4f}" for x in (last.loss, last.train_score, last.test_score)]
    assert [*numbers, f"{last.seconds:.2f}"] in page.values("2")
    assert page.values("train.seed") == [["7"]]
    assert page.values("train.batch_size") == [["20"]]
    assert page.values("epochs") == [["2"]]
    assert page.values("optimizer") == [["SGD(0.1, weight_decay=0.0)"]]
    assert page.values("backend") == [[backend.name]]
    assert page.values("dtypes of the network")[0][0].startswith("float32")
    assert page.values("layers.2")[0][0] == "Linear"
    assert {"training", "evaluation", "gradient norms", "report"} <= {row[0] for row in page.rows}
    assert "The run is complete: 2 of 2 epochs." in page.text


def test_confusion_matrix_and_samples_are_those_of_the_network(backend, path):
    net, (x, t) = network(backend), blobs(backend, 50, seed=1)
    _, page = train(path, net, blobs(backend), (x, t), epochs=1)
    outputs = host(net(x))
    answers, labels = outputs.argmax(axis=1), host(t)
    start = next(i for i, row in enumerate(page.rows) if row[0].startswith("label"))
    matrix = [[int(cell) for cell in row[1:4]] for row in page.rows[start + 1 : start + 4]]
    expected = host(metrics.confusion_matrix(backend.asarray(outputs), t))
    assert matrix == expected.tolist()
    wrong = np.flatnonzero(answers != labels)
    margins = outputs[wrong, answers[wrong]] - outputs[wrong, labels[wrong]]
    expected_rows = wrong[np.argsort(-margins, kind="stable")][:24].tolist()
    assert re.findall(r"row(\d+)label", page.text) == [str(row) for row in expected_rows]
    right = int((answers == labels).sum())
    assert f"{right} of 50 predictions are correct" in page.text


@pytest.mark.parametrize("compile", [False, True])
def test_training_is_the_same_bit_by_bit(backend, path, compile):
    def run(report):
        net = stateful_network(backend)
        history = anynet.fit(
            net,
            blobs(backend),
            blobs(backend, 20, seed=1),
            optimizer=optimizers.Adam(0.01),
            batch_size=16,
            epochs=2,
            compile=compile,
            progress=False,
            report=report,
        )
        arrays = [host(x).tobytes() for _, x in anynet.tree.leaves(net)]
        return history.losses, [epoch.scores for epoch in history.epochs], arrays

    # JAX computes the step that is recorded one function at a time, with other roundings.
    run(None)
    assert run(None) == run(path)


def test_norms_are_those_of_the_first_rows(backend, path):
    net = layers.Sequential(layers.Linear(2, 3), seed=0, backend=backend)
    x, t = blobs(backend, 130)
    _, page = train(path, net, (x, t), epochs=1)
    loss = lambda net: losses.cross_entropy(net(x[:100, ...]), t[:100])
    gradients = dict(anynet.tree.leaves(anynet.grad(loss)(net)))
    for name, gradient in gradients.items():
        expected = np.linalg.norm(host(gradient))
        assert float(page.values(name)[0][0]) == pytest.approx(expected, rel=1e-3)
    every = math.sqrt(sum(np.linalg.norm(host(g)) ** 2 for g in gradients.values()))
    assert float(page.values("all parameters")[0][0]) == pytest.approx(every, rel=1e-3)


def test_regression_shows_errors(backend, path):
    x = np.linspace(-1, 1, 40, dtype="float32").reshape(-1, 1)
    t = 3 * x
    net = layers.Sequential(layers.Linear(1, 1), seed=0, backend=backend)
    data = backend.asarray(x), backend.asarray(t)
    _, page = train(path, net, data, data, loss=losses.mean_squared_error)
    errors = np.abs(host(net(data[0])) - t)
    assert f"the mean absolute error is {errors.mean():.4g}"[:40] in page.text
    assert "Confusion matrix" not in page.text
    assert "r2_score after each epoch" in page.text
    row = int(errors.argmax())
    assert float(page.values(str(row))[-1][2]) == pytest.approx(errors.max(), rel=1e-3)


def test_binary_labels_have_two_classes(backend, path):
    x, t = blobs(backend, classes=2)
    net = network(backend, outputs=1)
    labels = backend.asarray(host(t).astype("float32").reshape(-1, 1))
    _, page = train(path, net, (x, labels), loss=losses.binary_cross_entropy_with_logits)
    answers = host(net(x))[:, 0] > 0
    assert f"On the training data, {int((answers == host(t)).sum())} of 60 predictions" in page.text


def test_many_classes_show_the_most_frequent_confusions(on_numpy, path):
    classes = 1000
    net = network(on_numpy, outputs=classes)
    _, page = train(path, net, blobs(on_numpy, 200, classes), epochs=1)
    assert "Most frequent confusions" in page.text
    assert len(page.source) < 300_000


def test_images_are_drawn(on_numpy, path):
    rng = np.random.default_rng(0)
    x = on_numpy.asarray(rng.random((20, 1, 8, 8), dtype="float32"))
    net = layers.Sequential(layers.Flatten(), network(on_numpy, inputs=64), backend=on_numpy)
    _, page = train(path, net, (x, on_numpy.asarray(rng.integers(0, 3, 20))), epochs=1)
    images = page.all("img")
    assert images
    assert all(x["src"].startswith("data:image/png;base64,") for x in images)
    assert all("8 × 8 pixels" in x["alt"] for x in images)


def test_words_are_shown_as_integers(backend, path):
    words = backend.asarray(np.random.default_rng(0).integers(0, 9, (30, 5)))
    labels = backend.asarray(np.random.default_rng(1).integers(0, 2, 30))
    net = layers.Sequential(
        layers.Embedding(9, 4),
        layers.Flatten(),
        layers.Linear(20, 2),
        seed=0,
        backend=backend,
    )
    _, page = train(path, net, (words, labels), epochs=1)
    assert page.all("img") == []
    assert re.search(r"row\d+label\d+prediction\d+", page.text)
    assert page.values("layers.0")[0][0] == "Embedding"


class Sum(layers.Module):
    def __init__(self):
        self.linear = layers.Linear(2, 3)

    def forward(self, left, right):
        return self.linear(left + right)


def test_dict_inputs(backend, path):
    x, t = blobs(backend)
    net = Sum().initialize(0, backend)
    _, page = train(path, net, ({"left": x, "right": x}, t), epochs=1)
    assert "left: " in page.text
    assert "predictions are correct" in page.text


def test_names_are_escaped(on_numpy, path):
    def alert(outputs, labels):
        return 0.5

    alert.__name__ = "<script>alert(1)</script>"
    loss = partial(losses.cross_entropy)
    _, page = train(path, network(on_numpy), blobs(on_numpy), metric=alert, loss=loss)
    assert page.all("script") == []
    assert alert.__name__ in page.text


def test_page_loads_nothing(on_numpy, path):
    _, page = train(path, network(on_numpy), blobs(on_numpy))
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert "url(" not in page.source
    assert "@import" not in page.source
    assert "default-src 'none'" in page.source


def test_ctrl_c_writes_the_page(on_numpy, path):
    class Impatient(optimizers.SGD):
        def update(self, net, grads):
            super().update(net, grads)
            if self.updates == 6:
                raise KeyboardInterrupt

    history, page = train(
        path, network(on_numpy), blobs(on_numpy), optimizer=Impatient(0.1), batch_size=15, epochs=3
    )
    assert history.interrupted
    assert "Ctrl-C ended the run in epoch 2, after step 1. 1 of 3 epochs" in page.text


def test_error_writes_the_page_and_is_raised(on_numpy, path):
    class Broken(callbacks.Callback):
        def on_epoch_end(self, run):
            raise LookupError("<no such value>")

    with pytest.raises(LookupError, match="no such value"):
        train(path, network(on_numpy), blobs(on_numpy), callbacks=[Broken()])
    page = read_page(path)
    assert "An error ended the run" in page.text
    assert "LookupError: <no such value>" in page.text


def test_nan_writes_the_page(on_numpy, path):
    net, (x, t) = network(on_numpy), blobs(on_numpy)
    loss = lambda outputs, labels: losses.cross_entropy(outputs, labels) * math.nan
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError):
        train(path, net, (x, t), loss=loss)
    page = read_page(path)
    assert "NonFiniteError: the loss became nan" in page.text
    assert "There are no finite values to draw." in page.text


def test_error_before_the_training_leaves_an_earlier_page(on_numpy, path):
    x, t = blobs(on_numpy)
    train(path, network(on_numpy), (x, t))
    before = path.read_bytes()
    with pytest.raises(anynet.errors.DataError):
        train(path, network(on_numpy, outputs=2), (x, t))
    assert path.read_bytes() == before


def test_early_stopping_names_the_callback(on_numpy, path):
    stopping = callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
    _, page = train(path, network(on_numpy), blobs(on_numpy), callbacks=[stopping], epochs=9)
    assert "A callback (EarlyStopping) ended the run after epoch 2 of 9." in page.text
    assert page.values("callback EarlyStopping")


def test_resumed_run_has_the_whole_record(backend, path, tmp_path):
    settings = {"checkpoint": tmp_path / "run.safetensors", "batch_size": 20}
    train(path, network(backend), blobs(backend), epochs=1, **settings)
    _, page = train(path, network(backend), blobs(backend), epochs=3, **settings)
    assert "The run is complete: 3 of 3 epochs." in page.text
    assert len(page.values("all parameters")[0]) == 3
    assert page.values("first epoch") == [["2"], ["1"]]
    assert page.values("checkpoint")[-1] == ["run.safetensors"]
    assert page.values("checkpoint")[0][0] != "0.000"


def test_report_changes_no_setting_of_a_checkpoint(on_numpy, path, tmp_path):
    settings = {"checkpoint": tmp_path / "run.safetensors", "progress": False}
    anynet.fit(network(on_numpy), blobs(on_numpy), epochs=1, **settings)
    _, page = train(path, network(on_numpy), blobs(on_numpy), epochs=2, **settings)
    assert len(page.values("all parameters")[0]) == 1
    history = anynet.fit(network(on_numpy), blobs(on_numpy), epochs=3, **settings)
    assert len(history.epochs) == 3


def test_generator_of_batches(backend, path):
    x, t = blobs(backend)

    def batches():
        for i in range(0, 60, 20):
            yield x[i : i + 20, ...], t[i : i + 20]

    _, page = train(path, network(backend), batches(), epochs=1)
    assert "The training data were not given, or are read only once." in page.text
    assert page.values("all parameters")
    _, page = train(path, network(backend), batches, batches)
    assert "On the test data" in page.text
    _, page = train(path, network(backend), (x, t), batches(), epochs=1)
    assert "The test data were not given, or are read only once." in page.text


def test_loss_of_a_network_that_is_no_classifier(on_numpy, path):
    x, _ = blobs(on_numpy)
    net = layers.Sequential(layers.Linear(2, 4), seed=0, backend=on_numpy)
    _, page = train(path, net, (x, x), loss=lambda net, x, t: (net(x) ** 2).mean())
    assert "The training data could not be evaluated" in page.text
    assert "No metric was measured." in page.text


def test_no_epochs(on_numpy, path):
    _, page = train(path, network(on_numpy), blobs(on_numpy), epochs=0)
    assert "No step was made." in page.text


def test_mixed_precision_and_averages(backend, path):
    policy = None
    if hasattr(backend.xp, "float16"):
        policy = anynet.MixedPrecision("float16", initial_scale=64.0)
    optimizer = optimizers.ExponentialAverage(optimizers.SGD(0.1), 0.9)
    _, page = train(path, network(backend), blobs(backend), precision=policy, optimizer=optimizer)
    assert page.values("all parameters")


def test_loader_with_weights(on_numpy, path):
    x, t = blobs(on_numpy)
    weights = on_numpy.asarray(np.ones(60, "float32"))
    _, page = train(path, network(on_numpy), Loader(x, t, 20, weights=weights))
    assert "predictions are correct" in page.text


def test_paths_that_cannot_be_written(on_numpy, tmp_path):
    data, net = blobs(on_numpy), network(on_numpy)
    before = [host(x).tobytes() for _, x in anynet.tree.leaves(net)]
    file = tmp_path / "net.safetensors"
    anynet.save(net, file)
    content = file.read_bytes()
    with pytest.raises(ArgumentError, match="no HTML page and would be lost"):
        train(file, net, data)
    with pytest.raises(ArgumentError, match="which is no file"):
        train(tmp_path, net, data)
    with pytest.raises(ArgumentError, match="cannot be written to"):
        train(file / "run.html", net, data)
    with pytest.raises(ArgumentError, match="are both"):
        train(tmp_path / "run", net, data, checkpoint=tmp_path / "run")
    with pytest.raises(ArgumentTypeError, match="report is True"):
        train(True, net, data)
    assert file.read_bytes() == content
    assert [host(x).tobytes() for _, x in anynet.tree.leaves(net)] == before
    assert [x.name for x in tmp_path.iterdir()] == ["net.safetensors"]


def test_folder_of_the_page_is_created(on_numpy, tmp_path):
    path = tmp_path / "runs" / "first" / "run.html"
    train(path, network(on_numpy), blobs(on_numpy))
    assert path.exists()


@pytest.mark.usefixtures("pythons_handler")
def test_ctrl_c_during_the_report_leaves_its_evaluation_out(on_numpy, path):
    class Slow(layers.Linear):
        calls = 0

        def forward(self, x):
            Slow.calls += 1
            # After those of a check, the step, the norms and the summary.
            if Slow.calls == 5:
                signal.raise_signal(signal.SIGINT)
            return super().forward(x)

    net = Slow(2, 3).initialize(0, on_numpy)
    history, page = train(path, net, blobs(on_numpy), epochs=1, metric=None, batch_size=60)
    assert Slow.calls == 5
    assert not history.interrupted
    assert "Ctrl-C ended the evaluation." in page.text


def test_page_that_cannot_be_written_after_an_error_is_a_note(on_numpy, path, monkeypatch):
    class Broken(callbacks.Callback):
        def on_epoch_end(self, run):
            path.mkdir()
            raise LookupError

    with pytest.raises(LookupError) as caught:
        train(path, network(on_numpy), blobs(on_numpy), callbacks=[Broken()])
    assert any("run.html was not written" in note for note in caught.value.__notes__)


def test_torch_loader(path):
    torch = pytest.importorskip("torch", reason="needs torch")
    backend = anynet.get_backend("torch")
    x, t = blobs(backend)
    pairs = torch.utils.data.TensorDataset(x, t)
    batches = torch.utils.data.DataLoader(pairs, batch_size=20, shuffle=True)
    test = torch.utils.data.DataLoader(pairs, batch_size=20)
    _, page = train(path, network(backend), batches, test)
    assert "On the test data" in page.text
    assert page.values("all parameters")


def test_norms_that_cannot_be_computed_are_said(on_numpy, path):
    batches = [blobs(on_numpy)] * 2
    later = iter([False, False, True])

    def failing(outputs, labels):
        if next(later):
            raise MemoryError("<no memory>")
        return losses.cross_entropy(outputs, labels)

    _, page = train(path, network(on_numpy), batches, loss=failing, epochs=1)
    assert "The norms of the last epoch are missing: MemoryError: <no memory>" in page.text


@pytest.mark.parametrize("epochs", [1, 2])
def test_generator_is_read_as_without_a_report(on_numpy, path, epochs):
    def read(report):
        count = 0

        def batches():
            nonlocal count
            while True:
                count += 1
                yield blobs(on_numpy, 20, seed=count)

        settings = {"epochs": epochs, "steps_per_epoch": 3, "progress": False}
        history = anynet.fit(network(on_numpy), batches(), report=report, **settings)
        return count, history.losses

    assert read(None) == read(path)
    page = read_page(path)
    assert page.values("the first batch of train.x") == [["float32 (20, 2)"]]
    assert page.values("steps_per_epoch") == [["3"]]


def test_settings_without_a_text_are_said(on_numpy, path):
    class Nameless(optimizers.SGD):
        def __repr__(self):
            raise LookupError("<none>")

    _, page = train(path, network(on_numpy), blobs(on_numpy), optimizer=Nameless(0.1))
    assert "It cannot be shown: LookupError('<none>')" in page.text
    assert "The run is complete" in page.text


def test_page_that_cannot_be_written_raises_after_the_run(on_numpy, path):
    class Broken(callbacks.Callback):
        def on_train_end(self, run):
            path.mkdir()

    history = anynet.History()
    with pytest.raises(OSError, match="directory") as caught:
        train(
            path,
            network(on_numpy),
            blobs(on_numpy),
            callbacks=[Broken()],
            history=history,
        )
    assert len(history.epochs) == 2
    assert "only its report was not written" in caught.value.__notes__[0]
