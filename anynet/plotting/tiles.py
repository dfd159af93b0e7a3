"""Small pictures in a grid on one pair of axes, which is quicker than a pair of axes for each."""

import math
from typing import TYPE_CHECKING, Any

from anynet.arguments import whole_number
from anynet.errors import ShapeError
from anynet.plotting.axes import one_axes
from anynet.plotting.values import host_namespace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: the width of a new figure, the most that it becomes for its tiles, the width of a tile at
#: least and at most, and the height of a title.
_FIGURE, _WIDEST, _SMALLEST, _LARGEST, _TITLE = 6.4, 14.0, 0.35, 2.5, 0.2
#: The width of a bar of colors, and the height that its values need.
BAR, _SHORTEST = 0.8, 1.4
#: Titles of wrong predictions differ from the others by their words, too.
_RIGHT, _WRONG = "black", "#b00020"


def draw_tiles(
    tiles: Any,
    ax: "Axes | None",
    columns: int,
    titles: list[str] | None = None,
    wrong: Any = None,
    *,
    bar: float = 0.0,
) -> "Axes":
    """Return axes with pictures in a grid, row by row, and a title over each.

    Args:
        tiles: (N, height, width, 4), red, green, blue and opacity from 0 to 1.
        ax: see `one_axes`.
        columns: of the grid.
        titles: of the tiles.
        wrong: whether each title is that of a wrong prediction.
        bar: inches beside the grid for a bar of colors.

    """
    count, height, width, _ = tiles.shape
    rows = math.ceil(count / columns)
    inches = min(max(_FIGURE / columns, _SMALLEST), _LARGEST, _WIDEST / columns)
    gap = max(1, round(width * 0.08))
    head = math.ceil(_TITLE / inches * (width + gap)) if titles else gap
    high = inches * rows * (height + head) / (width + gap)
    if bar:
        high = max(high, _SHORTEST)
    size = (inches * columns + bar + 0.1, high + 0.25)
    axes = one_axes(ax, size)
    host = host_namespace()
    canvas = host.zeros((rows * (height + head), columns * (width + gap), 4))
    for i in range(count):
        row, column = divmod(i, columns)
        top = row * (height + head) + head
        left = column * (width + gap)
        canvas[top : top + height, left : left + width] = tiles[i]
        if titles:
            axes.text(
                left + width / 2,
                top - head * 0.25,
                titles[i],
                ha="center",
                va="baseline",
                fontsize=8,
                color=_WRONG if wrong is not None and wrong[i] else _RIGHT,
                clip_on=False,
                parse_math=False,
            )
    extent = (0, canvas.shape[1], canvas.shape[0], 0)
    axes.imshow(canvas, interpolation="nearest", extent=extent)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def add_title(axes: "Axes", *parts: str) -> None:
    """Write the parts that are not empty as the title. Without one the axes keep theirs."""
    title = ", ".join(filter(None, parts))
    if title:
        axes.set_title(title, fontsize=10, parse_math=False)


def columns_of(count: int, columns: int | None) -> int:
    """Return the number of columns for this many tiles.

    Raises:
        ArgumentTypeError, ArgumentError: columns is no whole number of 1 or more.

    """
    if columns is not None:
        return min(whole_number("columns", columns, 1), count)
    return count if count <= 10 else min(10, math.ceil(math.sqrt(count)))


def check_sizes(name: str, shape: tuple[int, ...]) -> None:
    """Raise ShapeError where an axis has no elements, which leaves nothing to draw."""
    if 0 in shape:
        raise ShapeError(f"{name} has shape {shape}: wanted one or more along each axis")


def scaled(
    x: Any,
    low: float,
    high: float,
) -> Any:
    """Return values from low to high as values from 0 to 1, and 0.5 where all are equal."""
    host = host_namespace()
    if high <= low:
        return host.full_like(x, 0.5)
    # Halves, because the difference of the largest values would overflow.
    return (x / 2 - low / 2) / (high / 2 - low / 2)


def with_opacity(colors: Any) -> Any:
    """Return pictures (…, 3) as pictures (…, 4) that are opaque."""
    host = host_namespace()
    return host.concatenate([colors, host.ones((*colors.shape[:-1], 1))], axis=-1)


def in_colors(x: Any, colormap: str) -> Any:
    """Return values from 0 to 1 as colors (…, 4) of one of matplotlib's color maps."""
    from matplotlib import colormaps

    return colormaps[colormap](x)


def add_colorbar(
    axes: "Axes",
    low: float,
    high: float,
    colormap: str,
) -> None:
    """Add a bar with the values of the colors."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure = axes.get_figure()
    assert figure is not None
    mappable = ScalarMappable(Normalize(low, high), colormap)
    figure.colorbar(mappable, ax=axes, shrink=0.9)
