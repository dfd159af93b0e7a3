"""Learning curves show the values of histories, and say what they cannot show."""

import io
import math
import sys

import numpy as np
import pytest

import anynet
from anynet import callbacks, layers, metrics, plotting
from anynet.errors import ArgumentError, ArgumentTypeError, MissingPackageError
from anynet.training import Epoch, History

Figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib").Figure


def history(*losses, train=0.5, test=0.25):
    epochs = [
        Epoch(i, loss, {"accuracy": train + i / 10}, {"accuracy": test + i / 10}, 1.0)
        for i, loss in enumerate(losses, 1)
    ]
    return History(epochs, [*losses, *losses])


def curves(axes):
    return {line.get_label(): [*zip(*line.get_data(), strict=True)] for line in axes.lines}


def test_each_metric_has_a_panel_with_its_values():
    loss, accuracy = plotting.learning_curves(history(2.0, 1.0))
    assert curves(loss) == {"loss": [(1, 2.0), (2, 1.0)]}
    assert curves(accuracy) == {
        "train accuracy": [(1, 0.6), (2, 0.7)],
        "test accuracy": [(1, 0.35), (2, 0.45)],
    }
    assert loss.get_ylabel() == "loss"
    assert accuracy.get_xlabel() == "epoch"
    assert [text.get_text() for text in accuracy.get_legend().texts] == [
        "train accuracy",
        "test accuracy",
    ]


def test_history_of_a_run(backend):
    x = backend.asarray(np.eye(4, dtype="float32"))
    t = backend.asarray(np.asarray([0, 1, 0, 1]))
    net = layers.Sequential(layers.Linear(4, 2), seed=0, backend=backend)
    both = [metrics.accuracy, metrics.f1]
    run = anynet.fit(net, (x, t), epochs=2, batch_size=2, metric=both, progress=False)
    panels = plotting.learning_curves(run, ["step loss", "loss", "f1"])
    steps, loss, f1 = map(curves, panels)
    assert steps["step loss"] == [*enumerate(run.losses, 1)]
    assert loss["loss"] == [(epoch.number, epoch.loss) for epoch in run.epochs]
    assert f1["train f1"] == [(epoch.number, epoch.train_scores["f1"]) for epoch in run.epochs]


def test_heading_of_the_table_chooses_one_curve():
    axes = plotting.learning_curves(history(2.0, 1.0), "test accuracy")
    assert [*curves(axes)] == ["test accuracy"]


def test_runs_lie_over_each_other_in_their_colors():
    runs = {"SGD": history(2.0, 1.0), "Adam": history(1.0)}
    axes = plotting.learning_curves(runs, "accuracy")
    assert [*curves(axes)] == [
        "SGD: train accuracy",
        "SGD: test accuracy",
        "Adam: train accuracy",
        "Adam: test accuracy",
    ]
    first, second, third, _ = axes.lines
    assert first.get_color() == second.get_color() != third.get_color()
    assert first.get_linestyle() != second.get_linestyle()
    numbered = plotting.learning_curves([*runs.values()], "loss")
    assert [*curves(numbered)] == ["run 1: loss", "run 2: loss"]


def test_metric_that_is_missing_in_some_epochs_and_runs():
    epochs = [
        Epoch(1, 3.0, {}, {}, 1.0),
        Epoch(2, 2.0, {}, {"accuracy": 0.5}, 1.0),
        Epoch(3, 1.0, {}, {}, 1.0),
        Epoch(4, 1.0, {}, {"accuracy": 0.75}, 1.0),
    ]
    axes = plotting.learning_curves({"a": History(epochs), "b": History(epochs[:1])}, "accuracy")
    assert curves(axes) == {"a: test accuracy": [(2, 0.5), (4, 0.75)]}


def test_values_that_are_not_finite_are_counted():
    axes = plotting.learning_curves(history(1.0, math.nan, math.inf, 2.0), "loss")
    assert [*curves(axes)] == ["loss (2 not finite)"]
    assert axes.get_ylabel() == "loss (2 not finite)"
    axes.figure.savefig(io.BytesIO())
    low, high = axes.get_ylim()
    assert low < 1 < 2 < high < 3


@pytest.mark.parametrize("values", [[math.nan], [1e308, 1e300, 1.0], [1e-320, 0.0]])
def test_extreme_values_are_drawn(values):
    label = plotting.learning_curves(history(*values), "loss").lines[0].get_label()
    assert label == {math.nan: "loss (1 not finite)", 1e308: "loss (1 beyond 1e+300)"}.get(
        values[0], "loss"
    )
    plotting.learning_curves(history(*values))[0].figure.savefig(io.BytesIO())


def test_given_axes_are_used_and_returned():
    figure = Figure()
    axes = figure.add_subplot()
    assert plotting.learning_curves(history(1.0), ax=axes) is axes
    assert [*curves(axes)] == ["loss", "train accuracy", "test accuracy"]
    grid = Figure().subplots(1, 2)
    panels = plotting.learning_curves(history(1.0), ["loss", "accuracy"], ax=grid)
    assert [*panels] == [*grid]
    with pytest.raises(ArgumentError, match=r"^ax has 2 axes, and the plot has 1 panels: wanted"):
        plotting.learning_curves(history(1.0), "loss", ax=grid)
    with pytest.raises(ArgumentTypeError, match=r"^ax is 3: wanted matplotlib's Axes"):
        plotting.learning_curves(history(1.0), "loss", ax=3)


def test_run_that_ended_in_its_first_epoch_has_its_steps():
    axes = plotting.learning_curves(History([], [2.0, 1.0], interrupted=True))
    assert curves(axes) == {"step loss": [(1, 2.0), (2, 1.0)]}
    assert axes.get_xlabel() == "step"


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        (History(), None, "history has no epochs: wanted one epoch or more"),
        ({"a": History()}, None, "history, a, has no epochs"),
        ([], None, "history has no runs: wanted the result of fit, or several"),
        ([1], None, "history, run 1, is 1: wanted the result of fit"),
        ("run", None, "history is 'run': wanted the result of fit"),
        (history(1.0), "acuracy", r"the history has no 'acuracy' \(did you mean 'accuracy'\?\): "),
        (history(1.0), [metrics.f1], "metrics has .*: wanted the name of a metric, as 'accuracy'"),
        (history(1.0), [], "metrics is empty: wanted one or more of loss, step loss, accuracy, "),
        (history(1.0), 3, "metrics is 3: wanted names"),
    ],
)
def test_wrong_arguments_raise(given, names, message):
    with pytest.raises(ArgumentError, match=f"^{message}"):
        plotting.learning_curves(given, names)


def test_names_with_underscores_and_dollars_are_shown():
    runs = {"_a": history(1.0), "$b": history(1.0), "$\\frac": history(1.0)}
    axes = plotting.learning_curves(runs, "loss")
    axes.figure.savefig(io.BytesIO())
    shown = [text.get_text().strip() for text in axes.get_legend().texts]
    assert shown == ["_a: loss", "$b: loss", "$\\frac: loss"]
    many = plotting.learning_curves([history(1.0)] * 30, "loss")
    many.figure.savefig(io.BytesIO())
    assert len(many.get_legend().texts) == 30


def test_notebook_shows_axes_and_panels_as_pictures():
    axes = plotting.learning_curves(history(1.0), "loss")
    panels = plotting.learning_curves(history(1.0))
    for shown in (axes, axes.figure, panels, panels.figure):
        assert shown._repr_png_().startswith(b"\x89PNG")


def test_error_without_matplotlib_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for plot in (
        lambda: plotting.learning_curves(history(1.0)),
        lambda: plotting.images(np.zeros((1, 2, 2))),
        lambda: plotting.histograms(np.zeros(3)),
        lambda: callbacks.LivePlot("run.png"),
    ):
        with pytest.raises(MissingPackageError, match=r"needs matplotlib .*: pip install matplot"):
            plot()
