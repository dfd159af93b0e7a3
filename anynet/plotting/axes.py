"""The axes that a plot is drawn on: new ones, or those that the caller passes.

pyplot is never imported, so no figure stays alive in it, and no setting of matplotlib changes.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from anynet.arguments import describe
from anynet.errors import ArgumentError, ArgumentTypeError, MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.text import Text

#: Axes to draw on, several of them, or None for a new figure.
OnAxes: TypeAlias = "Axes | Iterable[Axes] | None"

#: The most panels beside each other.
COLUMNS = 3
#: The most entries of a legend in letters of the usual size.
_LONG_LEGEND = 10


class Panels(tuple["Axes", ...]):
    """Axes of one figure, one for each panel. A notebook shows the figure.

    >>> history = anynet.History([anynet.training.Epoch(1, 0.5, {"accuracy": 0.8}, {}, 1.0)])
    >>> loss, accuracy = anynet.plotting.learning_curves(history)
    >>> loss.get_ylabel(), accuracy.get_ylabel()
    ('loss', 'train accuracy')

    """

    __slots__ = ()

    @property
    def figure(self) -> "Figure | SubFigure":
        """The figure of the panels."""
        return self[0].figure

    def _repr_png_(self) -> bytes:
        from anynet.plotting.figure import png_of

        return png_of(self.figure)


def one_axes(ax: "Axes | None", size: tuple[float, float]) -> "Axes":
    """Return the caller's axes, or those of a new figure.

    Args:
        ax: the caller's argument.
        size: of a new figure, width and height in inches.

    Raises:
        ArgumentTypeError: ax is something else.
        MissingPackageError: matplotlib is not installed.

    """
    check_matplotlib()
    if ax is None:
        return new_axes(size, 1, 1)[0]
    return _checked(ax)


def several_axes(
    ax: OnAxes,
    count: int,
    size: tuple[float, float],
) -> "tuple[Axes, ...]":
    """Return axes for each of the panels. One that the caller passed is used for all of them.

    Args:
        ax: the caller's argument.
        count: of the panels, 1 or more.
        size: of a panel of a new figure, width and height in inches.

    Raises:
        ArgumentTypeError: ax is something else.
        ArgumentError: several axes, but not as many as panels.
        MissingPackageError: matplotlib is not installed.

    """
    check_matplotlib()
    if ax is None:
        columns = min(count, COLUMNS)
        rows = math.ceil(count / columns)
        return new_axes((size[0] * columns, size[1] * rows), rows, columns)[:count]
    if not isinstance(ax, Iterable):
        return (_checked(ax),) * count
    # NumPy's array of axes may have two dimensions.
    several = tuple(_checked(axes) for axes in getattr(ax, "flat", ax))
    if len(several) != count:
        raise ArgumentError(
            f"ax has {len(several)} axes, and the plot has {count} panels: wanted as many, or one "
            "for everything"
        )
    return several


def result(ax: OnAxes, panels: "tuple[Axes, ...]") -> "Axes | Panels":
    """Return what a plot of these panels returns: the axes if they are one, and else all."""
    single = len(panels) == 1 if ax is None else not isinstance(ax, Iterable)
    return panels[0] if single else Panels(panels)


def new_axes(
    size: tuple[float, float],
    rows: int,
    columns: int,
) -> "tuple[Axes, ...]":
    """Return the axes of a new figure, row by row."""
    from anynet.plotting.figure import PlotAxes, PlotFigure

    figure = PlotFigure(figsize=size, layout="compressed")
    places = range(1, rows * columns + 1)
    return tuple(figure.add_subplot(rows, columns, i, axes_class=PlotAxes) for i in places)


def legend_label(text: str) -> str:
    """Return a label as the legend shows it, which leaves out those that begin with "_"."""
    return f" {text}" if text.startswith("_") else text


def add_legend(axes: "Axes", **settings: Any) -> None:
    """Add a legend whose texts are shown as they are, also with a dollar sign.

    A long legend has small letters. The layout ignores it, because it is inside of the axes.
    """
    labels = axes.get_legend_handles_labels()[1]
    if len(labels) > _LONG_LEGEND:
        settings |= {"fontsize": "x-small", "ncols": 2}
    legend = axes.legend(**settings)
    legend.set_in_layout(False)
    show_as_written(*legend.texts)


def show_as_written(*texts: "Text") -> None:
    """Show dollar signs in texts, which would otherwise begin a formula."""
    for text in texts:
        text.set_parse_math(False)


def check_matplotlib(name: str = "anynet.plotting") -> None:
    """Raise MissingPackageError unless matplotlib is installed."""
    try:
        import matplotlib.figure  # noqa: F401 - only to see whether it is there
    except ImportError as error:
        raise MissingPackageError(
            f"{name} needs matplotlib ({error}): pip install matplotlib"
        ) from error


def _checked(ax: Any) -> "Axes":
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise ArgumentTypeError(
            f"ax is {describe(ax)}: wanted matplotlib's Axes, as from figure.add_subplot(), or None"
        )
    return ax
