"""The display of `fit` in a terminal and in a notebook."""

import io
import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import anynet
from anynet import layers, losses, optimizers
from anynet.errors import NonFiniteError
from anynet.training import Epoch
from anynet.training import progress as display
from anynet.training.progress import (
    Display,
    NotebookDisplay,
    TerminalDisplay,
    display_of_run,
)


def data(n=60):
    generator = np.random.default_rng(0)
    t = generator.integers(0, 3, n)
    corners = np.asarray([[0, 2], [2, -1], [-2, -1]], dtype="float32")
    return corners[t] + generator.normal(size=(n, 2)).astype("float32") * 0.4, t


def network():
    return layers.Sequential(
        layers.Linear(2, 16),
        layers.ReLU(),
        layers.Linear(16, 3),
        seed=0,
        backend="numpy",
    )


class Outputs:
    """The outputs of a notebook: IPython's function `display`, its handle, and a shell that shows
    these types."""

    def __init__(self, *types):
        self.shell = SimpleNamespace(display_formatter=SimpleNamespace(active_types=types))
        self.texts = []
        self.kinds = []

    def display(self, data, *, raw, display_id):
        assert raw
        assert display_id is True
        self.kinds.append("new")
        self._write(data)
        return SimpleNamespace(update=self.update)

    def update(self, data, *, raw):
        assert raw
        self.kinds.append("update")
        self._write(data)

    def _write(self, data):
        (text,) = data.values()
        assert list(data) == ["text/plain"]
        self.texts.append(text)


@pytest.fixture
def host(monkeypatch):
    """Return a function that puts IPython in place, with a shell that shows these types of
    outputs."""

    def install(*types):
        outputs = Outputs(*types)
        ipython, module = (
            ModuleType("IPython"),
            ModuleType("IPython.display"),
        )
        ipython.get_ipython = lambda: outputs.shell
        module.display = outputs.display
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", module)
        return outputs

    return install


@pytest.fixture
def without_threads(monkeypatch):
    """As in Pyodide."""

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.fixture
def every_update(monkeypatch):
    monkeypatch.setattr(display, "UPDATE_INTERVAL", 0.0)
    monkeypatch.setattr("anynet.training.run.READ_INTERVAL", 0.0)


@pytest.mark.usefixtures("without_threads", "every_update")
@pytest.mark.parametrize("terminal", [False, True])
def test_terminal_starts_no_thread(monkeypatch, capsys, terminal):
    """A terminal has a bar. The lines are the same without one."""
    monkeypatch.setenv("TERM", "xterm")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    history = anynet.fit(network(), data(), data(), epochs=3, batch_size=20)
    out, err = capsys.readouterr()
    assert err == ""
    assert ("\x1b" in out) == ("━" in out) == ("epoch 2, loss " in out) == terminal
    (heading,) = (line for line in out.splitlines() if "train accuracy" in line)
    assert heading.endswith("epoch      loss  train accuracy  test accuracy   seconds")
    for epoch in history.epochs:
        scores = f"{epoch.train_score:>14.4f}  {epoch.test_score:>13.4f}"
        assert f"{epoch.number:>5}  {epoch.loss:>8.4f}  {scores}" in out


def test_closed_output_raises(monkeypatch):
    """The console of rich ends the program without an error."""

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError), display_of_run(1, []):
        pass


@pytest.mark.usefixtures("every_update")
def test_bar_moves_over_all_steps(monkeypatch):
    shown = TerminalDisplay(epochs=4, scores=[])
    with shown:
        (task,) = shown._bar.tasks
        assert task.percentage == 0
        shown.show(2, 4, 5, 0.25)
        assert task.percentage == pytest.approx(100 * 1.8 / 4)
        assert task.description == "epoch 2, loss 0.2500"
        shown.finish(Epoch(2, 0.5, {}, {}, 1.0))
        assert task.percentage == pytest.approx(50)
        # Steps that no one has counted, or that are more than was said.
        shown.show(3, 7, None, 0.25)
        assert task.percentage == pytest.approx(50)
        shown.show(3, 7, 5, 0.25)
        assert task.percentage == pytest.approx(75)


def test_other_progress_bars_stay(capsys):
    """Also those of the program that calls `fit`."""
    progress = pytest.importorskip("rich.progress", reason="needs rich")
    with progress.Progress() as outer:
        task = outer.add_task("runs", total=1)
        anynet.fit(network(), data(), epochs=1)
        outer.update(task, completed=1)
    assert "train accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("without_threads", "every_update")
def test_notebook_has_one_output(host, capsys):
    outputs = host("text/plain", "text/html")
    history = anynet.fit(network(), data(), data(), epochs=3, batch_size=20)
    assert outputs.kinds[0] == "new"
    assert set(outputs.kinds[1:]) == {"update"}
    assert outputs.texts[-1] == str(history)
    first = f"epoch 1 of 3, step 1 of 3, loss {history.losses[0]:.4f}"
    assert outputs.texts[1].splitlines() == [outputs.texts[0], first]
    last = f"epoch 3 of 3, step 2 of 3, loss {history.losses[7]:.4f}"
    lines = str(history).splitlines()
    assert any(
        [line.split() for line in text.splitlines()]
        == [*(row.split() for row in lines[:3]), last.split()]
        for text in outputs.texts
    )
    assert capsys.readouterr() == ("", "")


def test_updates_are_limited_in_time(host):
    """A thousand quick epochs are a few updates of a short text."""
    outputs = host("text/plain", "text/html")
    x, t = data(4)
    start = display.time.monotonic()
    history = anynet.fit(network(), (x, t), epochs=300)
    seconds = display.time.monotonic() - start
    assert len(outputs.texts) <= 3 + seconds / display.UPDATE_INTERVAL
    assert outputs.texts[-1] == str(history)
    assert max(map(len, outputs.texts)) < 1500


@pytest.mark.usefixtures("every_update")
def test_notebook_shows_the_epochs_before_an_error(host):
    """The output says where the run was."""
    outputs = host("text/plain", "text/html")
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError):
        anynet.fit(
            network(),
            data(),
            loss=lambda y, t: losses.cross_entropy(y, t) * np.nan,
            epochs=3,
            batch_size=20,
        )
    assert outputs.texts[-1].splitlines()[-1] == "epoch 1 of 3, step 1 of 3, loss nan"


class Impatient(optimizers.SGD):
    def update(self, net, grads):
        super().update(net, grads)
        if self.updates == 5:
            raise KeyboardInterrupt


def test_interrupted_run_says_so(host, capsys):
    anynet.fit(network(), data(), optimizer=Impatient(0.1), epochs=3, batch_size=20)
    assert capsys.readouterr().out.rstrip().splitlines()[-1] == "interrupted"
    outputs = host("text/plain", "text/html")
    history = anynet.fit(network(), data(), optimizer=Impatient(0.1), epochs=3, batch_size=20)
    assert outputs.texts[-1] == str(history)
    assert str(history).splitlines()[-1] == "interrupted"


def test_display_suits_notebook_and_terminal(host, monkeypatch):
    """A shell that shows text alone is a terminal, and so is a program that has loaded IPython and
    runs no shell."""
    assert type(display_of_run(1, [])) is TerminalDisplay
    host("text/plain", "text/html", "image/png")
    assert type(display_of_run(1, [])) is NotebookDisplay
    host("text/plain")
    assert type(display_of_run(1, [])) is TerminalDisplay
    outputs = host("text/plain", "text/html")
    outputs.shell = None
    assert type(display_of_run(1, [])) is TerminalDisplay


def test_progress_false_shows_nothing(host, capsys):
    outputs = host("text/plain", "text/html")
    anynet.fit(network(), data(), epochs=1, progress=False)
    assert outputs.texts == []
    with Display() as shown:
        shown.show(1, 1, 1, 0.5)
        shown.finish(Epoch(1, 0.5, {}, {}, 1.0))
    assert capsys.readouterr() == ("", "")
