"""A check that `forward` keeps no array in an attribute, where it would become a parameter.

It is for calls in inference. Attributes of a module that is being differentiated are checked by
`Module.__setattr__`.
"""

from collections.abc import Iterator
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from anynet import tree
from anynet.errors import StateError

if TYPE_CHECKING:
    from anynet.layers.module import Module

#: Classes whose `forward` was found to keep nothing in the modules inside.
_checked: set[type] = set()

#: anynet's own classes among these: their calls are not checked again.
trusted: set[type] = set()

_NESTED = frozenset((list, dict))


class Watched(NamedTuple):
    """A list or dict before a call: an attribute's, or that of all attributes of a module."""

    holder: Any
    before: Any
    path: str
    buffers: tuple[str, ...]

    def check(self, kind: str) -> None:
        """Restore the contents and raise StateError if an array was added."""
        known = {id(value) for _, value in tree.children(self.before)}
        for name, value in tree.children(self.holder):
            if id(value) in known or name in self.buffers or not holds_array(value):
                continue
            self.holder.clear()
            if type(self.holder) is list:
                self.holder.extend(self.before)
            else:
                self.holder.update(self.before)
            raise kept(kind, f"{self.path}.{name}" if self.path else str(name))


def checked_call(
    module: "Module",
    args: tuple[Any, ...],
    settings: dict[str, Any],
) -> Any:
    """Return a module's `forward` for these arguments.

    The first call of each class checks all modules inside, later ones its own attributes.

    Raises:
        StateError: `forward` keeps an array in an attribute that is no buffer.

    """
    kind, own = type(module), vars(module)
    if kind in _checked and _NESTED.isdisjoint(map(type, own.values())):
        # The usual case, which costs less than a microsecond.
        before = own.copy()
        out = module.forward(*args, **settings)
        if len(own) != len(before) or not all(map(is_, own.values(), before.values())):
            Watched(own, before, "", module.BUFFERS).check(kind.__name__)
        return out
    watched: list[Watched] = []
    for path, inner in [("", module)] if kind in _checked else module.modules():
        watched += _nested(vars(inner), path, inner.BUFFERS)
    out = module.forward(*args, **settings)
    for contents in watched:
        contents.check(kind.__name__)
    _checked.add(kind)
    if kind.__module__.startswith("anynet."):
        trusted.add(kind)
    return out


def _nested(
    holder: Any,
    path: str,
    buffers: tuple[str, ...] = (),
) -> Iterator[Watched]:
    """Yield a holder, and the lists and dicts in it."""
    if not isinstance(holder, tuple):
        yield Watched(holder, holder.copy(), path, buffers)
    for name, child in tree.children(holder):
        if type(child) in _NESTED or isinstance(child, tuple):
            yield from _nested(child, f"{path}.{name}" if path else str(name))


def holds_array(value: object) -> bool:
    """Return whether an attribute's value is an array or holds one, outside of modules."""
    return next(tree.own_leaves(value), None) is not None


def kept(kind: str, path: str) -> StateError:
    """Return the error for an array that the `forward` of a class keeps at a path."""
    return StateError(
        f"{kind}.forward() keeps an array in self.{path}, which would make it a parameter of the "
        "network: return it, or use a local variable. If it is state of the layer, name it in "
        "BUFFERS and set it in __init__"
    )
