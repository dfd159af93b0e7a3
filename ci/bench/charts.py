"""Charts of measurements, as SVG.

    python ci/bench/charts.py            write docs/images/bench-*.svg from ci/results/bench-*.json
    python ci/bench/charts.py --check    fail where a chart differs from its measurements

A chart has a panel for each network and a line for each framework, with a dot at its time as a
multiple of PyTorch eager's time. The scale is logarithmic and the same in all panels. The
background is part of the picture, so that it can be read on a light and on a dark page.
"""

import argparse
import json
import math
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "ci" / "results"
IMAGES = ROOT / "docs" / "images"
UNIT = "PyTorch eager"

Rows = dict[str, dict[str, float]]

WIDTH = 720
#: Where the dots of the smallest and of the largest value on the scale are.
LEFT, RIGHT = 262, 664
LINE = 18
TITLE = 30
GAP = 14
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
STYLE = (
    "text { font: 12px system-ui, sans-serif; fill: #1f2328 } "
    ".title { font-weight: 600 } "
    ".scale { fill: #57606a } "
    ".value { font-size: 11px; paint-order: stroke; stroke: #ffffff; stroke-width: 4px } "
    "line { stroke: #d0d7de } "
    ".unit { stroke: #57606a; stroke-dasharray: 3 3 } "
    "circle { fill: #6e7781 } "
    ".ours { fill: #0969da } "
    "text.ours { fill: #0550ae; font-weight: 600 }"
)


def main() -> int:
    """Write the charts, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    outdated = []
    for path in sorted(RESULTS.glob("bench-*.json")):
        rows = times(json.loads(path.read_text(encoding="utf-8"))["medians"])
        picture = IMAGES / f"{path.stem}.svg"
        text = chart(rows)
        if not options.check:
            picture.parent.mkdir(exist_ok=True)
            picture.write_text(text, encoding="utf-8")
        elif not picture.exists() or picture.read_text(encoding="utf-8") != text:
            outdated.append(picture.relative_to(ROOT).as_posix())
    for name in outdated:
        print(f"{name} is outdated: run python ci/bench/charts.py", file=sys.stderr)
    return len(outdated) > 0


def times(medians: Rows) -> Rows:
    """Return the times of the same work beside the unit. Other rows are bytes, or have no unit."""
    return {
        title: {name: value for name, value in values.items() if not name.startswith("one ")}
        for title, values in medians.items()
        if UNIT in values and "bytes" not in title
    }


def chart(rows: Rows) -> str:
    """Return the SVG of rows, each with the time of every framework by its name."""
    ratios = {
        title: {name: value / values[UNIT] for name, value in values.items()}
        for title, values in rows.items()
    }
    every = [ratio for values in ratios.values() for ratio in values.values()]
    low = max((tick for tick in TICKS if tick <= min(every)), default=TICKS[0])
    high = min((tick for tick in TICKS if tick >= max(every)), default=TICKS[-1])
    parts: list[str] = []
    y = GAP
    for title, values in ratios.items():
        parts += panel(title, values, y, (low, high))
        y += TITLE + LINE * (len(values) + 1) + GAP
    description = (
        f"Time of each framework as a multiple of {UNIT}'s, in {len(rows)} panels, fastest first. "
        "Each dot has its value."
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
            f'width="{WIDTH}" height="{y}">',
            f"<title>{escape(description)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{y}" rx="8" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def panel(
    title: str,
    ratios: dict[str, float],
    top: float,
    limits: tuple[float, float],
) -> list[str]:
    """Return the elements of one panel, fastest first."""
    bottom = top + TITLE + LINE * len(ratios)
    parts = [f'<text class="title" x="16" y="{top + 14}">{escape(title)}</text>']
    for tick in TICKS:
        if limits[0] <= tick <= limits[1]:
            x = place(tick, limits)
            kind = ' class="unit"' if tick == 1 else ""
            parts += [
                f'<line{kind} x1="{x}" x2="{x}" y1="{top + TITLE - 6}" y2="{bottom}"/>',
                f'<text class="scale" text-anchor="middle" x="{x}" y="{bottom + 13}">'
                f"{tick:g}×</text>",
            ]
    y = top + TITLE + LINE / 2
    for name, ratio in sorted(ratios.items(), key=lambda item: item[1]):
        x = place(ratio, limits)
        kind = ' class="ours"' if "anynet" in name else ""
        parts += [
            f'<text{kind} text-anchor="end" x="{LEFT - 16}" y="{y + 4:g}">{escape(name)}</text>',
            f'<circle{kind} cx="{x}" cy="{y:g}" r="4.5"/>',
            f'<text class="value" x="{x + 9:.1f}" y="{y + 4:g}">{ratio:.2f}</text>',
        ]
        y += LINE
    return parts


def place(ratio: float, limits: tuple[float, float]) -> float:
    """Return the horizontal position of a ratio. One outside of the scale is at its end."""
    low, high = map(math.log, limits)
    share = (math.log(min(max(ratio, limits[0]), limits[1])) - low) / (high - low)
    return round(LEFT + share * (RIGHT - LEFT), 1)


if __name__ == "__main__":
    sys.exit(main())
