"""Pictures of training."""

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


def accuracy_curve(history: History, path: str | os.PathLike[str], title: str = "") -> None:
    """Draw the first metric on the training and the test data over the epochs and write the picture
    as a PNG.

    Source: Deep Learning from Scratch, figure 4-12.

    Raises:
        ArgumentTypeError: no history.
        ArgumentError: a history without scores.
        MissingPackageError: matplotlib is not installed.

    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise MissingPackageError(
            f"plotting needs matplotlib ({error}): pip install matplotlib"
        ) from error
    if not isinstance(history, History):
        raise ArgumentTypeError(f"history is {describe(history)}: wanted what fit returns")
    if not any(epoch.train_scores or epoch.test_scores for epoch in history.epochs):
        raise ArgumentError(
            "the history has no scores: wanted those of one epoch or more, as fit measures by a "
            "metric"
        )

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes: Any = figure.add_subplot()
    numbers = [epoch.number for epoch in history.epochs]
    for label, style, scores in (
        ("train", "o-", [epoch.train_score for epoch in history.epochs]),
        ("test", "s--", [epoch.test_score for epoch in history.epochs]),
    ):
        if any(score is not None for score in scores):
            axes.plot(numbers, scores, style, label=label, markersize=4)
    name = next(
        (name for epoch in history.epochs for name in (*epoch.train_scores, *epoch.test_scores)),
        "score",
    )
    axes.set(xlabel="epoch", ylabel=name, title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
