"""Pages of HTML as the tests read them: the elements in order, with their attributes and texts."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

EMPTY = {"br", "img", "link", "meta"}


class Page(HTMLParser):
    """The elements of a page. It raises AssertionError where an element is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        #: (tag, attributes) of each element.
        self.elements: list[tuple[str, dict[str, Any]]] = []
        #: Texts outside of the style sheet.
        self.texts: list[str] = []
        #: Rows of tables.
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.texts.append(data)
        if "th" in self._open or "td" in self._open:
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def values(self, name: str) -> list[list[str]]:
        """Return the rest of each row whose first cell is this name."""
        return [row[1:] for row in self.rows if row and row[0] == name]

    def all(self, tag: str) -> list[dict[str, Any]]:
        """Return the attributes of each element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def read_page(path: Any) -> Page:
    return Page(Path(path).read_text(encoding="utf-8"))
