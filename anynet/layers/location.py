"""The layer in which an exception was raised, for its message."""

from contextlib import suppress
from typing import TYPE_CHECKING

from anynet.errors import AnynetError

if TYPE_CHECKING:
    from anynet.layers.module import Module


class LayerNote(str):
    """A note of an exception, such as "in layers.2 (Linear)"."""

    def __new__(
        cls,
        kind: str,
        path: str,
        module: "Module",
    ) -> "LayerNote":
        """Write the note of a layer at a path of a module."""
        note = super().__new__(cls, f"in {path} ({kind})" if path else f"in {kind}")
        note.kind, note.path, note.module = kind, path, module
        return note

    kind: str
    path: str
    module: "Module"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        # A pickled exception takes the text with it, and not the network.
        return str, (str(self),)


def locate(error: Exception, module: "Module") -> None:
    """Add the module that an exception leaves to the exception's path.

    An `AnynetError` has the path in its message, any other exception has one note.
    """
    if isinstance(error, AnynetError):
        error.path, error.module = _path(module, error), module
        return
    notes = getattr(error, "__notes__", [])
    for i, note in enumerate(notes):
        if isinstance(note, LayerNote):
            notes[i] = LayerNote(note.kind, _path(module, note), module)
            return
    with suppress(AttributeError, TypeError):
        # Some exceptions of others are frozen.
        error.add_note(LayerNote(type(module).__name__, "", module))


def _path(outer: "Module", inner: AnynetError | LayerNote) -> str:
    """Return the path of an error or a note, from the outer module."""
    paths = (path for path, module in outer.modules() if module is inner.module)
    return ".".join(filter(None, (next(paths, ""), inner.path)))
