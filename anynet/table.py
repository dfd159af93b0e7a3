"""Tables: aligned text in a terminal, HTML in a notebook."""

import html
from collections.abc import Collection, Sequence

Cells = Sequence[str]


class Table:
    """Rows of cells under headings, as text or HTML.

    Args:
        headings: one for each column.
        rows: a cell for each column.
        numeric: the headings of columns that are aligned on the right.
        most: the most rows to show, the first and the last ones. A row with "..." replaces the
            others.

    >>> from anynet.table import Table
    >>> print(Table(["layer", "size"], [["a", "7"], ["b", "150"]], numeric=["size"]))
    layer  size
    a         7
    b       150

    """

    def __init__(
        self,
        headings: Cells,
        rows: Sequence[Cells],
        numeric: Collection[str] = (),
        most: int | None = None,
    ) -> None:
        self.headings = headings
        self.right = [heading in numeric for heading in headings]
        if most is not None and len(rows) > most:
            first, last = rows[: most // 2], rows[most // 2 - most :]
            rows = [*first, ["...", *[""] * (len(headings) - 1)], *last]
        self.rows = rows

    def __str__(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(self._line(line, widths) for line in lines)

    def _line(self, line: Cells, widths: Sequence[int]) -> str:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, self.right, strict=True)
        ]
        return "  ".join(cells)

    def _repr_html_(self) -> str:
        styles = [f' style="text-align: {"right" if right else "left"}"' for right in self.right]
        head = _html_row("th", self.headings, styles)
        body = "".join(_html_row("td", row, styles) for row in self.rows)
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _html_row(
    tag: str,
    cells: Cells,
    styles: Sequence[str],
) -> str:
    row = "".join(
        f"<{tag}{style}>{html.escape(cell)}</{tag}>"
        for cell, style in zip(cells, styles, strict=True)
    )
    return f"<tr>{row}</tr>"
