"""Plots of training."""

import os
from typing import Any

from anynet.arguments import describe
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    MissingPackageError,
)
from anynet.files import atomic_write
from anynet.training import History

__all__ = [
    "accuracy_curve",
]


def accuracy_curve(
    history: History,
    path: str | os.PathLike[str],
    title: str = "",
) -> None:
    """Plot the first metric on the training and the test data over the epochs, as a PNG file.

    Args:
        history: the result of `fit`.
        path: the file to write.
        title: the title of the plot.

    Raises:
        ArgumentTypeError: ``history`` is not a history.
        ArgumentError: the history has no scores.
        MissingPackageError: matplotlib is not installed.

    >>> from anynet.training import Epoch
    >>> history = anynet.History([Epoch(1, 0.5, {"accuracy": 0.8}, {"accuracy": 0.7}, 1.0)])
    >>> anynet.plotting.accuracy_curve(history, "curve.png")

    Source: Deep Learning from Scratch, figure 4-12.

    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise MissingPackageError(
            f"plotting needs matplotlib ({error}): pip install matplotlib"
        ) from error
    if not isinstance(history, History):
        raise ArgumentTypeError(f"history is {describe(history)}: wanted the result of fit")
    epochs = history.epochs
    names = [name for epoch in epochs for name in (*epoch.train_scores, *epoch.test_scores)]
    if not names:
        raise ArgumentError(
            "the history has no scores: wanted those of one epoch or more, as fit measures by a "
            "metric"
        )
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes: Any = figure.add_subplot()
    numbers = [epoch.number for epoch in epochs]
    curves = {
        "train": ("o-", [epoch.train_score for epoch in epochs]),
        "test": ("s--", [epoch.test_score for epoch in epochs]),
    }
    for label, (style, scores) in curves.items():
        if any(score is not None for score in scores):
            axes.plot(numbers, scores, style, label=label, markersize=4)
    axes.set(xlabel="epoch", ylabel=names[0], title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
