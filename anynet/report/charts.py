"""Charts of a page as SVG inside it, which follow the colors of light and dark pages.

A chart is an image with a name for screen readers. The page has its values in a table as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from anynet.report.html import Html, element, join

#: The size of the drawing, in units that are about a pixel each.
WIDTH, HEIGHT = 420, 260
_RIGHT, _TOP, _BOTTOM = 12, 12, 44
#: The space for the heading of the vertical axis, and for a digit of its labels.
_HEADING, _DIGIT = 28, 7

#: Characters of the heading of the vertical axis. The title of a chart is whole.
_LONGEST_LABEL = 20

#: Points of a curve. A longer one is drawn by the means of its parts.
MOST_POINTS = 400

#: An axis of positive values is logarithmic from this ratio of the largest to the smallest.
LOGARITHMIC = 100.0

#: Values beyond it are not drawn, because differences of them are infinite.
LARGEST = 1e300

#: The classes of the styles of curves, which differ in color and dashes.
STYLES = 6


@dataclass(frozen=True)
class Curve:
    """Points of a chart, joined by lines. Values that are NaN or infinite leave gaps.

    >>> from anynet.report.charts import Curve
    >>> Curve("loss", [1.0, 2.0, 3.0], [0.5, float("nan"), 0.25]).finite
    [0.5, 0.25]

    """

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @property
    def finite(self) -> list[float]:
        """The finite values."""
        return [*filter(is_drawable, self.y)]

    def thinned(self) -> "Curve":
        """Return a curve of at most `MOST_POINTS`, each the mean of the same number of points."""
        size = -(-len(self.y) // MOST_POINTS)
        if size <= 1:
            return self
        starts = range(0, len(self.y), size)
        return Curve(
            self.name,
            [_mean(self.x[i : i + size]) for i in starts],
            [_mean(self.y[i : i + size]) for i in starts],
        )


class Axis:
    """The scale of one axis: where values are, and which have a label.

    >>> from anynet.report.charts import Axis
    >>> Axis([0.0, 10.0], 0.0, 100.0).position(5.0)
    50.0

    """

    def __init__(
        self,
        values: Sequence[float],
        start: float,
        end: float,
        *,
        whole: bool = False,
    ) -> None:
        low, high = min(values), max(values)
        self.is_logarithmic = not whole and low > 0 and high / low >= LOGARITHMIC
        if low == high:
            margin = abs(low) / 2 or 0.5
            low, high = low - margin, high + margin
        self.low, self.high = self._scaled(low), self._scaled(high)
        self.start, self.end = start, end
        self.ticks = self._powers() if self.is_logarithmic else _round_values(low, high, whole)

    def position(self, value: float) -> float:
        """Return where a value is drawn."""
        share = (self._scaled(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.is_logarithmic else value

    def _powers(self) -> list[float]:
        """Return the powers of ten on the axis, at most about six of them."""
        first, last = math.ceil(self.low), math.floor(self.high)
        step = max(1, -(-(last - first) // 5))
        return [10.0**power for power in range(first, last + 1, step)]


def line_chart(
    label: str,
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    points: bool = False,
) -> Html:
    """Return a chart of curves over one axis, a paragraph if no value is finite.

    Args:
        label: says in a sentence what the chart shows, for screen readers.
        curves: one or more.
        x_label: the heading of the horizontal axis, whose values are whole numbers.
        y_label: the heading of the vertical axis.
        points: mark each point.

    """
    curves = [curve.thinned() for curve in curves]
    values = [value for curve in curves for value in curve.finite]
    if not values:
        return element("p", "There are no finite values to draw.")
    places = [x for curve in curves for x in curve.x]
    y = Axis(values, HEIGHT - _BOTTOM, _TOP)
    x = Axis(places, _left_of(y), WIDTH - _RIGHT, whole=True)
    drawn = [_curve(i, curve, x, y, points) for i, curve in enumerate(curves)]
    if len(y_label) > _LONGEST_LABEL:
        y_label = f"{y_label[:_LONGEST_LABEL]}…"
    suffix = ", logarithmic" if y.is_logarithmic else ""
    axes = _axes(x, y, x_label, y_label + suffix)
    legend = _legend(curves) if len(curves) > 1 else None
    return join(_drawing(label, axes, *drawn), legend)


def scatter_chart(
    label: str,
    x_values: Sequence[float],
    y_values: Sequence[float],
    x_label: str,
    y_label: str,
) -> Html:
    """Return a chart of points on two axes of one scale, with the line of equal values."""
    pairs = zip(x_values, y_values, strict=True)
    points = [pair for pair in pairs if all(map(is_drawable, pair))]
    if not points:
        return element("p", "There are no finite values to draw.")
    both = [value for pair in points for value in pair]
    y = Axis(both, HEIGHT - _BOTTOM, _TOP)
    x = Axis(both, _left_of(y), WIDTH - _RIGHT)
    low, high = min(both), max(both)
    ends = [(x.position(value), y.position(value)) for value in (low, high)]
    diagonal = element("path", d=_path(ends), class_="diagonal")
    dots = [
        element("circle", cx=x.position(a), cy=y.position(b), r=2.0, class_="dot")
        for a, b in points
    ]
    return _drawing(label, _axes(x, y, x_label, y_label), diagonal, *dots)


def bars(
    label: str,
    shares: dict[str, float],
) -> Html:
    """Return a drawing of one bar in parts, whose widths are shares of 1."""
    parts, start = [], 0.0
    for i, share in enumerate(shares.values()):
        width = share * WIDTH
        parts.append(element("rect", x=start, y=0, width=width, height=24, class_=_style(i)))
        start += width
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} 24",
        role="img",
        aria_label=label,
        class_="bar",
        preserveAspectRatio="none",
    )


def _drawing(label: str, *parts: Html) -> Html:
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=label,
        class_="chart",
    )


def _curve(
    index: int,
    curve: Curve,
    x: Axis,
    y: Axis,
    points: bool,
) -> Html:
    style = _style(index)
    lines = [[(x.position(a), y.position(b)) for a, b in part] for part in _parts(curve)]
    path = element("path", d=" ".join(_path(line) for line in lines), class_=f"line {style}")
    # A point without neighbors has no line.
    marked = [point for line in lines for point in line if points or len(line) == 1]
    circles = [element("circle", cx=a, cy=b, r=2.5, class_=f"mark {style}") for a, b in marked]
    return join(path, *circles)


def _parts(curve: Curve) -> list[list[tuple[float, float]]]:
    """Return the runs of points without a gap."""
    parts: list[list[tuple[float, float]]] = [[]]
    for point in zip(curve.x, curve.y, strict=True):
        if is_drawable(point[1]):
            parts[-1].append(point)
        else:
            parts.append([])
    return [part for part in parts if part]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in points)


def _axes(
    x: Axis,
    y: Axis,
    x_label: str,
    y_label: str,
) -> Html:
    left, right, bottom = x.start, x.end, HEIGHT - _BOTTOM
    parts = []
    for value in y.ticks:
        place = y.position(value)
        parts += [
            element("path", d=_path([(left, place), (right, place)]), class_="grid"),
            _text(show(value), left - 6, place + 4, "end"),
        ]
    for value in x.ticks:
        place = x.position(value)
        parts += [
            element("path", d=_path([(place, bottom), (place, bottom + 4)]), class_="axis"),
            _text(show(value), place, bottom + 17, "middle"),
        ]
    frame = _path([(left, _TOP), (left, bottom), (right, bottom)])
    middle = (_TOP + bottom) / 2
    return join(
        *parts,
        element("path", d=frame, class_="axis"),
        _text(x_label, (left + right) / 2, HEIGHT - 6, "middle"),
        element(
            "text",
            y_label,
            text_anchor="middle",
            transform=f"translate(11 {middle:.1f}) rotate(-90)",
        ),
    )


def _left_of(y: Axis) -> float:
    """Return the left end of the horizontal axis, beside the labels of the vertical one."""
    longest = max((len(show(value)) for value in y.ticks), default=0)
    return _HEADING + _DIGIT * longest


def _text(
    text: str,
    x: float,
    y: float,
    anchor: str,
) -> Html:
    return element("text", text, x=x, y=y, text_anchor=anchor)


def _legend(curves: Sequence[Curve]) -> Html:
    items = [element("li", key_of(i), curve.name) for i, curve in enumerate(curves)]
    return element("ul", *items, class_="legend")


def key_of(index: int) -> Html:
    """Return a piece of a curve, or of a bar, for a legend."""
    line = element("path", d="M0,6L24,6", class_=f"line {_style(index)}")
    return element("svg", line, viewBox="0 0 24 12", class_="key", aria_hidden="true")


def _style(index: int) -> str:
    return f"style-{index % STYLES}"


def _round_values(low: float, high: float, whole: bool) -> list[float]:
    """Return about five round values between two, which differ by 1, 2 or 5 times a power of 10."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * 0.7)
    if whole:
        step = max(1.0, step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the finite values, NaN if there are none."""
    finite = [*filter(is_drawable, values)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def is_drawable(value: float) -> bool:
    """Return whether a value is finite and has a place in a chart.

    >>> from anynet.report.charts import is_drawable
    >>> is_drawable(1.0), is_drawable(float("inf"))
    (True, False)

    """
    return math.isfinite(value) and abs(value) <= LARGEST


def aligned(value: float) -> str:
    """Return a number with four decimals, or in four digits if it is very small or large.

    >>> from anynet.report.charts import aligned
    >>> aligned(0.5), aligned(1e-9)
    ('0.5000', '1e-09')

    """
    has_decimals = value == 0 or 1e-3 <= abs(value) < 1e5
    return f"{value:.4f}" if has_decimals else show(value)


def show(value: float) -> str:
    """Return a number in a few digits.

    >>> from anynet.report.charts import show
    >>> show(1234567.0), show(0.30000000000000004), show(float("nan"))
    ('1.235e+06', '0.3', 'NaN')

    """
    if math.isnan(value):
        return "NaN"
    if math.isfinite(value) and value == round(value) and abs(value) < 1e6:
        return f"{round(value):,}"
    return f"{value:.4g}"
