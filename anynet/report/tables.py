"""Tables of a page: a caption, headings of columns and rows, and a frame that scrolls."""

from collections.abc import Collection, Sequence

from anynet.report.html import Child, Html, element, join

#: Rows that a table shows. A longer one has its first and last rows.
MOST_ROWS = 200


def table(
    caption: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[Child]],
    numeric: Collection[str] = (),
) -> Html:
    """Return a table whose first column has the headings of the rows.

    Args:
        caption: of the table, which also names its frame.
        headings: of the columns.
        rows: a cell for each column, a text or HTML.
        numeric: the headings of columns that are aligned on the right.

    """
    styles = ["number" if heading in numeric else None for heading in headings]
    head = [
        element("th", heading, scope="col", class_=style)
        for heading, style in zip(headings, styles, strict=True)
    ]
    body = [_row(row, styles) for row in _shortened(rows, len(headings))]
    whole = element(
        "table",
        heading(caption),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )
    return framed(whole, caption)


def heading(text: str) -> Html:
    """Return a caption, which stays in view where the table scrolls."""
    return element("caption", element("span", text))


def framed(content: Html, label: str) -> Html:
    """Return content in a frame that scrolls, also by the keyboard."""
    return element("div", content, class_="frame", role="group", aria_label=label, tabindex=0)


def definitions(caption: str, values: dict[str, str]) -> Html:
    """Return a table of names and values."""
    rows = [(name, element("code", value)) for name, value in values.items()]
    return table(caption, ("name", "value"), rows)


def folded(title: str, content: Html) -> Html:
    """Return content that a reader opens."""
    return element("details", element("summary", title), content)


def _row(cells: Sequence[Child], styles: Sequence[str | None]) -> Html:
    first, *others = zip(cells, styles, strict=True)
    parts = [element("td", cell, class_=style) for cell, style in others]
    return element("tr", element("th", first[0], scope="row", class_=first[1]), *parts)


def _shortened(rows: Sequence[Sequence[Child]], columns: int) -> Sequence[Sequence[Child]]:
    if len(rows) <= MOST_ROWS:
        return rows
    half = MOST_ROWS // 2
    left_out = len(rows) - 2 * half
    gap = [f"… {left_out:,} more …", *[""] * (columns - 1)]
    return [*rows[:half], gap, *rows[-half:]]


def paragraphs(*texts: Child) -> Html:
    """Return a paragraph for each text."""
    return join(*[element("p", text) for text in texts if text])
