"""The drawing of a computation graph as SVG.

The image has its own light background, so that it can be read on a light and a dark page, also
where a page embeds it as an image. It has no ids, which another image on the page could have, too.
"""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple
from unicodedata import east_asian_width

from anynet.plotting.layout import Point, arrange
from anynet.plotting.recording import ARGUMENT, CONSTANT, OPERATION, Node
from anynet.tracing.standard import INDEXING, STANDARD

_FONT = 13
_LINE = 16.0
#: The mean width of a character, of the height of the font. Sans-serif letters are narrower.
_CHARACTER = 0.6
_PADDING = 9.0
_MARGIN = 12.0
#: Between neighbors and between layers.
_GAP, _LAYER_GAP = 22.0, 34.0
#: Graphs of more layers are drawn from top to bottom, others from left to right.
_MOST_ACROSS = 6
_ARROW = 7.0
#: The most characters of an operation with its settings.
_LONGEST = 26
#: How much an operation follows another one, and how much an argument.
_STRONG, _WEAK = 1.0, 0.01

#: Fill, line and corner of the boxes. Text on each has a contrast of 7 or more.
_STYLES = {
    ARGUMENT: ("#e8f0fe", "#1a56b0", 14.0),
    CONSTANT: ("#f1f1f1", "#5f6368", 14.0),
    OPERATION: ("#fff4e0", "#9a5b00", 4.0),
}
_TEXT, _QUIET, _EDGE, _BACKGROUND = "#1c1c1c", "#4a4a4a", "#5f6368", "#ffffff"


class _Box(NamedTuple):
    """A node's lines of text, and its size."""

    lines: list[tuple[str, bool]]
    width: float
    height: float


def draw(
    nodes: Sequence[Node],
    results: Sequence[int],
    description: str,
) -> str:
    """Return the SVG image of a graph.

    Args:
        nodes: each after its inputs.
        results: the indices of the nodes with thick borders.
        description: for screen readers.

    """
    boxes = [_box(node) for node in nodes]
    inputs = [node.inputs for node in nodes]
    across = _depth(inputs) <= _MOST_ACROSS
    widths, heights = [box.width for box in boxes], [box.height for box in boxes]
    weights = [_STRONG if node.kind == OPERATION else _WEAK for node in nodes]
    if across:
        layout = arrange(inputs, heights, widths, weights, _GAP * 0.7, _LAYER_GAP)
    else:
        layout = arrange(inputs, widths, heights, weights, _GAP, _LAYER_GAP)
    centers = [_placed(point, across) for point in layout.centers]
    edges = {
        edge: [_placed(point, across) for point in points] for edge, points in layout.edges.items()
    }
    bends = [point for points in edges.values() for point in points]
    left = min([x - box.width / 2 for (x, _), box in zip(centers, boxes, strict=True)])
    right = max([x + box.width / 2 for (x, _), box in zip(centers, boxes, strict=True)])
    top = min([y - box.height / 2 for (_, y), box in zip(centers, boxes, strict=True)])
    bottom = max([y + box.height / 2 for (_, y), box in zip(centers, boxes, strict=True)])
    left = min(left, *[x for x, _ in bends or centers]) - _MARGIN
    right = max(right, *[x for x, _ in bends or centers]) + _MARGIN
    top = min(top, *[y for _, y in bends or centers]) - _MARGIN
    bottom = max(bottom, *[y for _, y in bends or centers]) + _MARGIN
    parts = [_head(left, top, right - left, bottom - top, _describe(nodes, description))]
    for (source, target), points in edges.items():
        parts.append(_edge(points, boxes[source], boxes[target], across))
    for i, (node, box) in enumerate(zip(nodes, boxes, strict=True)):
        parts.append(_node(node, box, centers[i], i in results))
    return "\n".join([*parts, "</svg>"])


def _placed(point: Point, across: bool) -> Point:
    return (point[1], point[0]) if across else point


def _depth(inputs: Sequence[Sequence[int]]) -> int:
    """Return the number of layers."""
    depths: list[int] = []
    for sources in inputs:
        depths.append(1 + max([depths[i] for i in sources], default=0))
    return max(depths)


def _box(node: Node) -> _Box:
    name = _call(node)
    shape = ", ".join(map(_shape, node.shapes))
    lines = [(name, True), (node.value or shape, False)]
    if node.path:
        lines.append((node.path, False))
    longest = max([_columns(text) for text, _ in lines])
    width = longest * _FONT * _CHARACTER + 2 * _PADDING
    return _Box(lines, width, len(lines) * _LINE + 2 * _PADDING - 6)


def _columns(text: str) -> float:
    """Return the width of a text in letters. Chinese and Japanese characters are wide."""
    return sum(1.7 if east_asian_width(character) in "WF" else 1.0 for character in text)


def _call(node: Node) -> str:
    """Return the name of a node, with the settings of a function of the standard if they are
    short.
    """
    if node.kind == CONSTANT:
        return "constant"
    if not node.settings or (node.name not in STANDARD and node.name not in INDEXING):
        return node.name
    positional = len(node.inputs) + sum(map(str.isdecimal, node.settings))
    arguments = [node.settings.get(str(i), "·") for i in range(positional)]
    named = [f"{key}={text}" for key, text in node.settings.items() if not key.isdecimal()]
    call = f"{node.name}({', '.join([*arguments, *named])})"
    return call if len(call) <= _LONGEST else node.name


def _shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"({shape[0]},)"
    return f"({', '.join(map(str, shape))})"


def _describe(nodes: Sequence[Node], description: str) -> str:
    names = [f"{node.name} {_shape(node.shapes[0])}" for node in nodes if node.inputs]
    shown = ", ".join(names[:30])
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    return f"{description}. In order: {shown}{more}" if names else description


def _head(
    left: float,
    top: float,
    width: float,
    height: float,
    description: str,
) -> str:
    text = escape(description)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{text}" '
        f'width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}" '
        f'style="max-width: 100%; height: auto" font-family="system-ui, sans-serif" '
        f'font-size="{_FONT}">\n'
        f"<title>{text}</title>\n"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" '
        f'fill="{_BACKGROUND}"/>'
    )


def _node(
    node: Node,
    box: _Box,
    center: Point,
    is_result: bool,
) -> str:
    x, y = center
    fill, line, corner = _STYLES[node.kind]
    settings = [f"{name} = {text}" for name, text in node.settings.items()]
    about = [node.path, node.name or "constant", ", ".join(map(_shape, node.shapes)), node.dtype]
    title = escape("\n".join([" ".join(filter(None, about)), *settings]))
    parts = [
        f"<g><title>{title}</title>",
        f'<rect x="{x - box.width / 2:.1f}" y="{y - box.height / 2:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{corner}" fill="{fill}" stroke="{line}" '
        f'stroke-width="{2.5 if is_result else 1}"/>',
    ]
    first = y - (len(box.lines) - 1) * _LINE / 2 + _FONT * 0.35
    for i, (text, is_name) in enumerate(box.lines):
        style = f'fill="{_TEXT}" font-weight="600"' if is_name else f'fill="{_QUIET}"'
        parts.append(
            f'<text x="{x:.1f}" y="{first + i * _LINE:.1f}" text-anchor="middle" {style}>'
            f"{escape(text)}</text>"
        )
    return "".join([*parts, "</g>"])


def _edge(
    points: Sequence[Point],
    source: _Box,
    target: _Box,
    across: bool,
) -> str:
    """Draw a smooth line through the bends, and an arrow head."""
    first, last = points[0], points[-1]
    if across:
        first = (first[0] + source.width / 2, first[1])
        last = (last[0] - target.width / 2, last[1])
    else:
        first = (first[0], first[1] + source.height / 2)
        last = (last[0], last[1] - target.height / 2)
    tip = last
    last = (last[0] - _ARROW, last[1]) if across else (last[0], last[1] - _ARROW)
    path = [f"M{first[0]:.1f} {first[1]:.1f}"]
    every = [first, *points[1:-1], last]
    for (x1, y1), (x2, y2) in pairwise(every):
        middle = (x1 + x2) / 2 if across else (y1 + y2) / 2
        bend = (middle, y1, middle, y2) if across else (x1, middle, x2, middle)
        path.append("C" + " ".join(f"{value:.1f}" for value in (*bend, x2, y2)))
    side = _ARROW * 0.5
    if across:
        head = [tip, (last[0], last[1] - side), (last[0], last[1] + side)]
    else:
        head = [tip, (last[0] - side, last[1]), (last[0] + side, last[1])]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in head)
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="{_EDGE}"/>'
        f'<polygon points="{corners}" fill="{_EDGE}"/>'
    )
