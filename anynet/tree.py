"""Trees of arrays: lists, tuples, dicts and modules, nested at will; every array in them is a leaf.

What is neither an array nor one of these (a number, a string, a function, None) is a setting: it stays as it is.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from anynet.array import Array, is_array

T = TypeVar("T")


@runtime_checkable
class Node(Protocol):
    """An object that takes part in trees; `anynet.layers.Module` is one."""

    def tree_items(self) -> dict[str, Any]:
        """Return the children by name, in definition order."""

    def tree_replace(self, items: dict[str, Any]) -> Self:
        """Return a like object with these children."""


def map(fn: Callable[..., Any], tree: T, *rest: Any) -> T:
    """Return the same tree with ``fn(leaf, *leaves of rest at the same place)`` for every leaf.

    Raises:
        ValueError: a tree of ``rest`` is built differently.
    """
    if is_array(tree):
        return fn(tree, *rest)  # type: ignore[no-any-return]
    kind: Any = type(tree)
    if kind is list or isinstance(tree, tuple):
        mapped = [map(fn, child, *others) for child, *others in zip(tree, *rest, strict=True)]  # type: ignore[call-overload]
        return kind(*mapped) if hasattr(kind, "_fields") else kind(mapped)  # type: ignore[no-any-return]
    if kind is dict:
        return {name: map(fn, child, *_pick(name, rest)) for name, child in tree.items()}  # type: ignore[return-value,attr-defined]
    if hasattr(kind, "tree_items"):
        node: Any = tree
        others = [other.tree_items() for other in rest]
        return node.tree_replace(  # type: ignore[no-any-return]
            {name: map(fn, child, *_pick(name, others)) for name, child in node.tree_items().items()}
        )
    return tree


def update(fn: Callable[..., Any], tree: Any, *rest: Any) -> None:
    """Put ``fn(leaf, *leaves of rest at the same place)`` in place of every leaf that a list, dict or module holds.

    Raises:
        TypeError: a tuple holds arrays itself, and tuples cannot be changed.
        ValueError: a tree of ``rest`` is built differently.
    """
    kind = type(tree)
    if kind is list or isinstance(tree, tuple):
        children, others, put = list(enumerate(tree)), rest, getattr(tree, "__setitem__", None)
    elif kind is dict:
        children, others, put = list(tree.items()), rest, tree.__setitem__
    elif hasattr(kind, "tree_items"):
        children, others = list(tree.tree_items().items()), tuple(other.tree_items() for other in rest)
        put = partial(setattr, tree)
    else:
        return
    for name, child in children:
        matching = _pick(name, others)
        if not is_array(child):
            update(fn, child, *matching)
        elif put is None:
            raise TypeError(f"a tuple of arrays cannot be updated in place: make it a list ({tree!r:.80})")
        else:
            put(name, fn(child, *matching))


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Array]]:
    """Yield ``(path, leaf)`` in definition order; a path reads like ``layers.0.weight``."""
    if is_array(tree):
        yield path, tree
        return
    kind = type(tree)
    if kind is list or isinstance(tree, tuple):
        fields = getattr(kind, "_fields", range(len(tree)))
        children = zip(fields, tree, strict=True)
    elif kind is dict:
        children = tree.items()
    elif hasattr(kind, "tree_items"):
        children = tree.tree_items().items()
    else:
        return
    for name, child in children:
        yield from leaves(child, f"{path}.{name}" if path else str(name))


def _pick(name: Any, trees: Any) -> list[Any]:
    try:
        return [tree[name] for tree in trees]
    except (KeyError, IndexError, TypeError):
        raise ValueError(f"the trees differ: {name!r} is in the first and not in another") from None
