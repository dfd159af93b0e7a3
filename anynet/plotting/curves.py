"""Learning curves: losses and scores over the epochs of runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, overload

from anynet.arguments import describe, listed
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.plotting.axes import (
    OnAxes,
    Panels,
    add_legend,
    legend_label,
    result,
    several_axes,
    show_as_written,
)
from anynet.plotting.values import LARGEST, is_drawable
from anynet.spelling import did_you_mean
from anynet.training.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: One run, several, or several with their names.
Histories: TypeAlias = History | Sequence[History] | Mapping[str, History]

#: The mean loss of each epoch, and the loss of each step.
LOSS, STEP_LOSS = "loss", "step loss"

_SIZE = (4.4, 3.2)
#: The lines of the training and the test data differ without their colors, too.
_STYLES = {"train": "o-", "test": "s--"}


class Curve(NamedTuple):
    """The values of a curve, by the numbers of epochs or steps, and its heading."""

    heading: str
    numbers: list[int]
    values: list[float]

    @property
    def label(self) -> str:
        """The heading, and how many values no line can show."""
        missing = [value for value in self.values if not is_drawable(value)]
        if not missing:
            return self.heading
        is_large = any(map(math.isfinite, missing))
        reason = f"beyond {LARGEST:g}" if is_large else "not finite"
        return f"{self.heading} ({len(missing)} {reason})"

    @property
    def shown(self) -> list[float]:
        """The values, with NaN in place of those that no line can show."""
        return [value if is_drawable(value) else math.nan for value in self.values]


@overload
def learning_curves(
    history: Histories,
    metrics: str,
    ax: "Axes | None" = None,
) -> "Axes": ...


@overload
def learning_curves(
    history: Histories,
    metrics: str | Iterable[str] | None = None,
    ax: OnAxes = None,
) -> "Axes | Panels": ...


def learning_curves(
    history: Histories,
    metrics: str | Iterable[str] | None = None,
    ax: OnAxes = None,
) -> "Axes | Panels":
    """Return axes with the losses and scores of a run over its epochs, or of several runs.

    Each metric has a panel of its own. A point is missing where the metric was not computed after
    an epoch. Values that are not finite leave a gap in the line, and the legend counts them.

    Args:
        history: the result of `fit`, a list of several, or a dict of several by name.
        metrics: names of metrics such as "accuracy", "loss" for the mean loss of an epoch, "step
            loss" for the loss of each step, or headings of the history's table such as "test
            accuracy". The default is the loss and every metric.
        ax: matplotlib's Axes for everything, or one for each metric. The default is a new figure.

    Returns:
        The Axes, or a tuple with one for each metric. A notebook shows it as a picture.

    Raises:
        ArgumentTypeError: an argument has the wrong type.
        ArgumentError: a history has no epochs, or no history has the metric.
        MissingPackageError: matplotlib is not installed.

    >>> from anynet.training import Epoch
    >>> epochs = [Epoch(1, 0.5, {}, {"accuracy": 0.7}, 1.0), Epoch(2, 0.4, {}, {}, 1.0)]
    >>> ax = anynet.plotting.learning_curves(anynet.History(epochs), "loss")
    >>> ax.lines[0].get_ydata()
    array([0.5, 0.4])
    >>> ax.figure.savefig("curves.png")

    Source: Deep Learning from Scratch, figure 4-12.

    """
    runs = _runs(history)
    names = _names(runs, metrics)
    panels = several_axes(ax, len(names), _SIZE)
    shared = len(names) > 1 and len(set(panels)) == 1
    for name, axes in zip(names, panels, strict=True):
        _draw(axes, name, runs)
        if not shared:
            _finish(axes, [name])
    if shared:
        _finish(panels[0], names)
    return result(ax, panels)


def curves(history: History, name: str) -> list[Curve]:
    """Return the curves of a metric, or of a heading of the history's table."""
    if name == STEP_LOSS:
        steps = [*range(1, len(history.losses) + 1)]
        return [Curve(name, steps, history.losses)] if steps else []
    found = []
    if name == LOSS:
        numbers = [epoch.number for epoch in history.epochs]
        found.append(Curve(name, numbers, [epoch.loss for epoch in history.epochs]))
    for heading in (name, *(f"{part} {name}" for part in _STYLES)):
        epochs = [epoch for epoch in history.epochs if heading in epoch.scores]
        if epochs:
            numbers = [epoch.number for epoch in epochs]
            found.append(Curve(heading, numbers, [epoch.scores[heading] for epoch in epochs]))
    return found


def _runs(history: Any) -> dict[str, History]:
    """Return the histories by their names, which is "" for a single one."""
    if isinstance(history, History):
        runs = {"": history}
    elif isinstance(history, Mapping):
        runs = {str(name): run for name, run in history.items()}
    elif isinstance(history, list | tuple):
        runs = {f"run {i}": run for i, run in enumerate(history, 1)}
    else:
        raise ArgumentTypeError(f"history is {describe(history)}: wanted the result of fit")
    for name, run in runs.items():
        what = f"history, {name}," if name else "history"
        if not isinstance(run, History):
            raise ArgumentTypeError(f"{what} is {describe(run)}: wanted the result of fit")
        if not run.epochs and not run.losses:
            raise ArgumentError(f"{what} has no epochs: wanted one epoch or more")
    if not runs:
        raise ArgumentError("history has no runs: wanted the result of fit, or several")
    return runs


def _names(runs: dict[str, History], metrics: Any) -> list[str]:
    """Return the names of the panels."""
    epochs = [epoch for run in runs.values() for epoch in run.epochs]
    scores = dict.fromkeys(
        name for epoch in epochs for name in (*epoch.train_scores, *epoch.test_scores)
    )
    if metrics is None:
        # A run that Ctrl-C ended in its first epoch has the losses of steps only.
        return [*dict.fromkeys((LOSS, *scores))] if epochs else [STEP_LOSS]
    names = [metrics] if isinstance(metrics, str) else metrics
    if not isinstance(names, Iterable):
        raise ArgumentTypeError(f"metrics is {describe(metrics)}: wanted names, as 'accuracy'")
    names = [*names]
    headings = dict.fromkeys(heading for epoch in epochs for heading in epoch.scores)
    known = [*dict.fromkeys((LOSS, STEP_LOSS, *scores, *headings))]
    for name in names:
        if not isinstance(name, str):
            raise ArgumentTypeError(
                f"metrics has {describe(name)}: wanted the name of a metric, as 'accuracy'"
            )
        if not any(curves(run, name) for run in runs.values()):
            raise ArgumentError(
                f"the history has no {name!r}{did_you_mean(name, known)}: wanted one of "
                f"{listed(known)}"
            )
    if not names:
        raise ArgumentError(f"metrics is empty: wanted one or more of {listed(known)}")
    return names


def _draw(
    axes: "Axes",
    name: str,
    runs: dict[str, History],
) -> None:
    """Draw the curves of all runs. Those of one run have one color where there are several."""
    for i, (run, history) in enumerate(runs.items()):
        for curve in curves(history, name):
            style = _STYLES.get(curve.heading.partition(" ")[0], "-")
            label = f"{run}: {curve.label}" if run else curve.label
            is_long = len(curve.numbers) > 40
            (line,) = axes.plot(
                curve.numbers,
                curve.shown,
                style.strip("os") if is_long else style,
                label=legend_label(label),
                linewidth=0.8 if name == STEP_LOSS else 1.5,
                markersize=4,
            )
            if run:
                line.set_color(f"C{i}")


def _finish(axes: "Axes", names: list[str]) -> None:
    """Label the axes on which all curves of these names are."""
    from matplotlib.ticker import MaxNLocator

    labels = axes.get_legend_handles_labels()[1]
    counted = dict.fromkeys("step" if name == STEP_LOSS else "epoch" for name in names)
    axes.set_xlabel(" or ".join(counted))
    axes.set_ylabel(labels[0] if len(labels) == 1 else ", ".join(names))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    show_as_written(axes.yaxis.label)
    axes.grid(alpha=0.3)
    if len(labels) > 1:
        add_legend(axes)
