"""Text for terminals of any width, and for files."""

import shutil
import sys
import textwrap
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Self

from anynet.table import Table


def width() -> int | None:
    """Return the columns of the terminal, None if the output goes elsewhere.

    The environment variable COLUMNS takes precedence.
    """
    return shutil.get_terminal_size((0, 0)).columns or None


def show_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Collection[str] = (),
) -> None:
    """Print a table, or, if the terminal is too narrow, the cells of each row below each other."""
    lines = [line.rstrip() for line in str(Table(headings, rows, numeric)).splitlines()]
    columns = width()
    if columns is None or max(map(len, lines)) <= columns:
        print("\n".join(lines))
        return
    for row in rows:
        show_text(row[0])
        named = zip(headings[1:], row[1:], strict=True)
        show_text(", ".join(f"{heading}: {cell}" for heading, cell in named), indent="  ")


def show_text(text: str, indent: str = "") -> None:
    """Print a paragraph, wrapped at the width of the terminal."""
    columns = width()
    if columns is None:
        print(f"{indent}{text}")
        return
    # Commands and paths stay whole, so that they can be copied.
    print(
        textwrap.fill(
            text,
            max(columns, 20),
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


class StatusLine:
    """A line of progress on the standard error, if that is a terminal. Each text replaces the last.

    It needs neither colors nor escape codes.

    >>> from anynet.cli.terminal import StatusLine
    >>> with StatusLine() as status:
    ...     status.show("round 1 of 10")

    """

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.show("")

    def show(self, text: str) -> None:
        """Write the text in place of the last one."""
        if not self._is_shown:
            return
        # A full line would wrap.
        text = text[: (width() or 80) - 1]
        padding = " " * (self._length - len(text))
        self._length = len(text)
        ending = "" if text else "\r"
        sys.stderr.write(f"\r{text}{padding}{ending}")
        sys.stderr.flush()
