"""Plug-ins: the classes that packages register in the entry-point group ``anynet.backends``.

A plug-in has the import name of the array library that it serves.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from anynet.errors import BackendError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "anynet.backends"


@cache
def entry_points() -> "dict[str, EntryPoint]":
    """Return the registered entry points by name."""
    # This import takes a fifth of the time of `import anynet`.
    from importlib import metadata

    # A distribution that is installed twice (a wheel and a checkout) lists its entries twice. The
    # first one counts.
    points: dict[str, EntryPoint] = {}
    for entry in metadata.entry_points(group=GROUP):
        points.setdefault(entry.name, entry)
    return points


@cache
def plugin(name: str) -> Any:
    """Return the class that is registered under a name, which `entry_points` has.

    Raises:
        BackendError: the class cannot be imported.

    """
    entry = entry_points()[name]
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name:
            raise _broken(entry, error) from error
        raise BackendError(f"{name} is not installed ({error}): install it with pip") from error
    except Exception as error:
        raise _broken(entry, error) from error


def _broken(entry: "EntryPoint", error: Exception) -> BackendError:
    return BackendError(
        f"the plug-in of backend {entry.name!r} ({entry.value}) is broken: {error!r}"
    )


def plugin_of(library: str) -> Any:
    """Return the class that serves a library, None where there is none that can be imported."""
    if library not in entry_points():
        return None
    try:
        return plugin(library)
    except BackendError:
        return None
