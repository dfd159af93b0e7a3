"""The layer in which an exception came up, for its message."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from anynet.errors import AnynetError


class Located(Protocol):
    """A module that lists the modules inside it by path."""

    def modules(self) -> Sequence[tuple[str, Any]]:
        """Return (path, module) pairs."""


class LayerNote(str):
    """A note such as "in layers.2 (Linear)", which is written again as the exception rises."""

    __slots__ = ("innermost", "outermost", "path")

    innermost: Located
    outermost: Located
    path: str

    def __new__(cls, innermost: Located, outermost: Located, path: str) -> "LayerNote":
        """Write the note."""
        kind = type(innermost).__name__
        note = super().__new__(cls, f"in {path} ({kind})" if path else f"in {kind}")
        note.innermost, note.outermost, note.path = innermost, outermost, path
        return note

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        # A pickled exception takes the text with it, and not the network.
        return str, (str(self),)


def locate(error: Exception, module: Located) -> None:
    """Add the module that an exception leaves to the exception's path.

    An `AnynetError` has the path in its message, any other exception has one note.
    """
    if isinstance(error, AnynetError):
        inner = error.module
        if inner is not None:
            error.path = _joined(_path(module, inner), error.path)
        error.module = module
        return
    notes = getattr(error, "__notes__", [])
    for i, note in enumerate(notes):
        if isinstance(note, LayerNote):
            path = _joined(_path(module, note.outermost), note.path)
            notes[i] = LayerNote(note.innermost, module, path)
            return
    with suppress(Exception):
        # Some exceptions of others cannot be changed.
        error.add_note(LayerNote(module, module, ""))


def _path(outer: Located, inner: Located) -> str:
    """Return the first path of a module inside another, "" if it is not inside."""
    return next((path for path, module in outer.modules() if module is inner), "")


def _joined(*parts: str) -> str:
    return ".".join(filter(None, parts))
