"""The end of a program: exit codes, errors on one line, and terminals with few characters."""

import codecs
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from anynet.errors import AnynetError

#: The exit code of a program that Ctrl-C ended, 128 and the number of the signal.
INTERRUPTED = 130

#: The exit code of a program whose output nobody reads any more, as in ``anynet … | head -1``.
CLOSED = 141

#: Texts for characters that a terminal may lack.
PLAIN = {"×": "x", "…": "...", "–": "-", "—": "-", "−": "-", "→": "->", "∞": "inf"}

#: The name of the error handler that writes these texts.
_HANDLER = "anynet.plain"


def run(program: Callable[[], int | None]) -> None:
    """Run a program and exit with its code.

    An error of anynet, or of a file, prints one line and exits with code 2. Ctrl-C exits with code
    130. A terminal that lacks a character shows a similar one.

    >>> anynet.cli.run(lambda: 0)
    Traceback (most recent call last):
    SystemExit: 0

    """
    with output():
        code = code_of(program)
    sys.exit(code)


def code_of(program: Callable[[], int | None]) -> int:
    """Return the exit code of a program, and print its error."""
    try:
        try:
            return program() or 0
        finally:
            # Also before SystemExit, as after the help.
            _flush()
    except BrokenPipeError:
        _discard_output()
        return CLOSED
    except (AnynetError, OSError) as error:
        print(f"error: {_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _flush() -> None:
    """Write the output. If that fails, as on a full disk, the rest of it is discarded."""
    # A program without a console has no output.
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()
        raise


def _discard_output() -> None:
    """Send the rest of the output nowhere, because Python flushes it at the end."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


@contextmanager
def output() -> Iterator[None]:
    """Write characters that the encoding of the output lacks as similar ones, × as x.

    In a terminal with another encoding than UTF-8 they would raise UnicodeEncodeError.
    """
    codecs.register_error(_HANDLER, _plain)
    changed: list[tuple[Any, Any]] = []
    for stream in (sys.stdout, sys.stderr):
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
        if hasattr(stream, "reconfigure") and not encoding.startswith("utf"):
            changed.append((stream, stream.errors))
            stream.reconfigure(errors=_HANDLER)
    try:
        yield
    finally:
        for stream, errors in changed:
            with suppress(OSError):
                stream.reconfigure(errors=errors)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(map(_similar, characters)), error.end


def _similar(character: str) -> str:
    """Return ASCII characters for another one, its code if none are similar."""
    if character in PLAIN:
        return PLAIN[character]
    parts = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return parts or character.encode("ascii", "backslashreplace").decode()
