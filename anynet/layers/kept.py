"""A check that `forward` keeps no array in an attribute, where it would become a parameter.

A derivative is computed on a copy of the network, so this looks at calls in inference.
"""

from collections.abc import Iterator
from operator import is_
from typing import Any

from anynet import tree
from anynet.errors import StateError

#: Classes whose `forward` was found to keep nothing in the modules inside.
_checked: set[type] = set()

#: anynet's own classes among these: their calls are not checked again.
trusted: set[type] = set()


class Contents:
    """The contents of an attribute's list or dict, or of all attributes, before a call."""

    __slots__ = ("_before", "_buffers", "_holder", "_path")

    def __init__(self, holder: Any, path: str, buffers: tuple[str, ...]) -> None:
        self._holder = holder
        self._path = path
        self._buffers = buffers
        self._before = holder.copy()

    def check(self, kind: str) -> None:
        """Restore the contents if an array was added, and raise StateError."""
        holder, before = self._holder, self._before
        new, old = _values(holder), _values(before)
        if len(new) == len(old) and all(map(is_, new, old)):
            return
        known = {id(value) for value in old}
        for name, value in tree.children(holder):
            if id(value) in known or name in self._buffers or not holds_array(value):
                continue
            holder.clear()
            holder.update(before) if type(holder) is dict else holder.extend(before)
            raise kept(kind, f"{self._path}.{name}" if self._path else str(name))


def checked_call(module: Any, args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    """Call a module's `forward`.

    The first call of each class checks all modules inside, later ones its own attributes.

    Raises:
        StateError: `forward` keeps an array in an attribute that is no buffer.

    """
    kind = type(module)
    watched = [("", module)] if kind in _checked else module.modules()
    before = [
        contents
        for path, inner in watched
        for contents in _all_contents(vars(inner), path, inner.BUFFERS)
    ]
    out = module.forward(*args, **settings)
    for contents in before:
        contents.check(kind.__name__)
    _checked.add(kind)
    if kind.__module__.startswith("anynet."):
        trusted.add(kind)
    return out


def holds_array(value: Any) -> bool:
    """Tell whether an attribute's value is an array or holds one, outside of modules."""
    return next(tree.own_leaves(value), None) is not None


def kept(kind: str, path: str) -> StateError:
    """Return the error for an array that the `forward` of a class keeps at a path."""
    return StateError(
        f"{kind}.forward() keeps an array in self.{path}, which would make it a parameter of the "
        "network: return it, or use a local variable. If it is state of the layer, name it in "
        "BUFFERS and set it in __init__"
    )


def _all_contents(holder: Any, path: str, buffers: tuple[str, ...] = ()) -> Iterator[Contents]:
    """Yield the contents of a holder and of the lists and dicts in it."""
    if not isinstance(holder, tuple):
        yield Contents(holder, path, buffers)
    for name, child in tree.children(holder):
        if type(child) in _HOLDERS or isinstance(child, tuple):
            yield from _all_contents(child, f"{path}.{name}" if path else str(name))


_HOLDERS = frozenset((list, dict))


def _values(holder: Any) -> Any:
    return holder.values() if type(holder) is dict else holder
