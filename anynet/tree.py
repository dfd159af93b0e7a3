"""Trees of arrays: lists, tuples, dicts and modules, nested at will; every array in them is a leaf.

What is neither an array nor one of these (a number, a string, a function, None) is a setting: it stays as it is.
Arrays that a module names as its buffers, or that are frozen, are leaves too, but are not trained.
Training walks the tree of a network several times in every step, so a walk looks up what a type is and does no more.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from anynet.array import Array, is_array
from anynet.errors import ArgumentError

T = TypeVar("T")

# What a type is in a tree. A class takes part, its attributes being the children, by saying ``tree_node = True``; its
# attribute ``BUFFERS`` names the arrays that are not trained, an instance's ``frozen`` those that are not for now.
_SETTING, _LEAF, _NODE, _DICT, _LIST, _TUPLE, _NAMED_TUPLE = range(1, 8)
_kinds: dict[Any, int] = {}


def map(
    fn: Callable[[Array], Any],
    tree: T,
    untrained: Callable[[Array], Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> T:
    """Return the same tree with ``fn(leaf)`` for every leaf.

    Where ``untrained`` is given, arrays that are not trained go through that; the modules of the new tree have the
    ``defaults`` for attributes that they do not set themselves.
    """
    kind = _kinds.get(type(tree)) or _kind(tree)
    children: Any = tree
    if kind == _NODE:
        attributes = vars(tree)
        if not attributes and not defaults:
            return tree
        new = object.__new__(type(tree))
        own = vars(new)
        if defaults:
            own.update(defaults)
        fixed = () if untrained is None else _untrained(tree)
        for name, child in attributes.items():
            function = untrained if name in fixed and untrained is not None else fn
            if _kinds.get(type(child)) == _LEAF:
                own[name] = function(child)
            else:
                own[name] = map(function, child, untrained, defaults)
        return new
    if kind == _LEAF:
        return fn(tree)  # type: ignore[no-any-return]
    if kind == _SETTING:
        return tree
    if kind == _DICT:
        return {name: map(fn, child, untrained, defaults) for name, child in children.items()}  # type: ignore[return-value]
    mapped = [map(fn, child, untrained, defaults) for child in children]
    if kind == _LIST:
        return mapped  # type: ignore[return-value]
    return type(tree)(mapped) if kind == _TUPLE else type(tree)(*mapped)  # type: ignore[call-arg]


def pairs(tree: Any, other: Any) -> list[tuple[Any, Any, Array, Any]]:
    """Return (holder, name, leaf, what other has at its place) of every leaf that a list, dict or module holds.

    ``holder[name] = new`` then puts another array in a leaf's place.

    Raises:
        TypeError: a tuple holds arrays itself, and tuples cannot be changed.
        ArgumentError: ``other`` is built differently.

    """
    found: list[tuple[Any, Any, Array, Any]] = []
    _pair(found, tree, other)
    return found


def _pair(found: list[tuple[Any, Any, Array, Any]], tree: Any, other: Any) -> None:
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF:
        return
    holder, others = (vars(tree), vars(other)) if kind == _NODE else (tree, other)
    for name in holder if kind <= _DICT else range(len(holder)):
        child = holder[name]
        try:
            beside = others[name]
        except (KeyError, IndexError, TypeError):
            raise ArgumentError(f"the trees differ: {name!r} is in the first and not in the other") from None
        if (_kinds.get(type(child)) or _kind(child)) != _LEAF:
            _pair(found, child, beside)
        elif kind >= _TUPLE:
            raise TypeError(f"a tuple of arrays cannot be changed in place: make it a list; given {tree!r:.80}")
        else:
            found.append((holder, name, child, beside))


def update_buffers(fn: Callable[[Array, Array], Array], tree: Any, other: Any) -> None:
    """Put ``fn(buffer, what other has at its place)`` in place of every buffer of a tree; other is a copy of it."""
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF:
        return
    holder, others = (vars(tree), vars(other)) if kind == _NODE else (tree, other)
    for name in list(holder) if kind <= _DICT else range(len(holder)):
        if kind == _NODE and name in _buffers(tree):
            holder[name] = fn(holder[name], others[name])
        else:
            update_buffers(fn, holder[name], others[name])


def leaves(tree: Any, path: str = "", *, buffers: bool = True) -> Iterator[tuple[str, Array]]:
    """Yield ``(path, leaf)`` in definition order, without the buffers if so told; a path reads like
    ``layers.0.weight``.
    """
    kind = _kind(tree)
    if kind == _SETTING:
        return
    if kind == _LEAF:
        yield path, tree
        return
    left_out = () if buffers or kind != _NODE else _buffers(tree)
    if kind == _NODE:
        tree = vars(tree)
    in_order = kind > _DICT
    for name, child in zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True) if in_order else tree.items():
        if name not in left_out:
            yield from leaves(child, f"{path}.{name}" if path else str(name), buffers=buffers)


def is_setting(x: Any) -> bool:
    """Tell whether x is neither an array nor something that may hold arrays."""
    return _kind(x) == _SETTING


def is_node(x: Any) -> bool:
    """Tell whether the attributes of x are its children, as those of modules and optimizers are."""
    return _kind(x) == _NODE


class Parts:
    """A tree taken apart: leaves, (holder, name) of each, the dicts and lists that hold anything, and an outline.

    The outline is all else that there is to the tree: two trees alike have equal ones. Of leaves it has type, shape,
    dtype and device.
    """

    __slots__ = ("containers", "holders", "leaves", "outline")

    def __init__(self, tree: Any) -> None:
        self.leaves: list[Array] = []
        self.holders: list[tuple[Any, Any]] = []
        self.containers: list[Any] = []
        self.outline: list[Any] = []
        self._add(tree)

    def _add(self, tree: Any) -> None:
        kind = _kinds.get(type(tree)) or _kind(tree)
        holder = vars(tree) if kind == _NODE else tree
        outline = self.outline
        outline.append(type(tree))
        if kind <= _LIST:
            self.containers.append(holder)
        for name, child in holder.items() if kind <= _DICT else enumerate(holder):
            of = type(child)
            kind = _kinds.get(of) or _kind(child)
            if kind == _LEAF:
                self.leaves.append(child)
                self.holders.append((holder, name))
                outline += (name, of, child.shape, child.dtype, getattr(child, "device", None))
            elif kind == _SETTING:
                outline += (name, child)
            else:
                outline.append(name)
                self._add(child)
        outline.append(None)


def _buffers(node: Any) -> tuple[str, ...]:
    return getattr(type(node), "BUFFERS", ())


def _untrained(node: Any) -> tuple[str, ...]:
    return (*_buffers(node), *vars(node).get("frozen", ()))


def _kind(tree: Any) -> int:
    known = _kinds.get(type(tree))
    if known is None:
        if is_array(tree):
            known = _LEAF
        elif getattr(type(tree), "tree_node", False):
            known = _NODE
        elif isinstance(tree, tuple):
            known = _NAMED_TUPLE if hasattr(tree, "_fields") else _TUPLE
        else:
            known = _DICT if type(tree) is dict else _LIST if type(tree) is list else _SETTING
        _kinds[type(tree)] = known
    return known
