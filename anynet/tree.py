"""Trees of arrays: lists, tuples, dicts and modules, nested at will; every array in them is a leaf.

What is neither an array nor one of these (a number, a string, a function, None) is a setting: it
stays as it is. Arrays that a module names as its buffers, or that are frozen, are leaves too, but
are not trained.

Inside one module, identity ties: an array, or a module, that is in two places is one leaf, or one
module, and stays so. In lists, dicts and the state of optimizers, and from one module of a list to
the next, each place is its own leaf. Training walks the tree of a network several times in every
step, so a walk looks up what a type is and does no more.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from anynet.array import Array, is_array
from anynet.errors import ArgumentError, ShapeError

T = TypeVar("T")

# What a type is in a tree. A class takes part, its attributes being the children, by saying
# ``tree_node = True``, and ties by identity by saying ``ties = True``; its attribute ``BUFFERS``
# names the arrays that are not trained, an instance's ``_frozen`` those that are not for now.
_SETTING, _LEAF, _MODULE, _NODE, _DICT, _LIST, _TUPLE, _NAMED_TUPLE = range(1, 9)
_kinds: dict[Any, int] = {}

# What was made of the arrays and modules of one module so far, by the identity of each; None says
# of what, see `_map`.
_Memo = dict[int | None, Any]


def map(
    fn: Callable[..., Any],
    tree: T,
    *others: Any,
    untrained: Callable[[Array], Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> T:
    """Return the same tree with ``fn(leaf)`` for every leaf, called once for one that is tied.

    With other trees of the same structure it is ``fn(leaf, *what the others have there)``; that is
    an array or, as in gradients of what is not trained, None. Where ``untrained`` is given, arrays
    that are not trained go through that; the modules of the new tree have the ``defaults`` for
    attributes that they do not set themselves, but for those whose buffers are all frozen.

    Raises:
        ArgumentError: one array is trained in one place of a module, and is a buffer or frozen in
            another; or another tree has a different structure.

    >>> import numpy as np
    >>> anynet.tree.map(lambda p, g: p - 0.5 * g, {"w": np.ones(2)}, {"w": np.array([1.0, 2.0])})
    {'w': array([0.5, 0. ])}

    """
    if not others:
        return _map(fn, tree, untrained, defaults, None)
    beside = zip(
        *([*_beside(tree, other, "", None)] for other in others),
        strict=True,
    )
    return _map(lambda leaf: fn(leaf, *next(beside)), tree, None, None, None)


def unflatten(tree: T, leaves: Iterable[Any]) -> T:
    """Return the same tree with these leaves, in order, in place of its own; one that is tied takes
    one of them.

    >>> import numpy as np
    >>> anynet.tree.unflatten({"w": np.ones(2), "b": [np.zeros(1)]}, [1.0, 2.0])
    {'w': 1.0, 'b': [2.0]}

    """
    leaves = [*leaves]
    try:
        return _unflatten(tree, iter(leaves).__next__)
    except StopIteration:
        # Tied ones are in more places than there are leaves.
        rest = iter(leaves)
        return map(lambda _: next(rest), tree)


def _unflatten(tree: T, take: Callable[[], Any]) -> T:
    """Take a leaf for every place: what `_map` does, without a look at what is tied."""
    kind = _kinds.get(type(tree)) or _kind(tree)
    children: Any = tree
    if kind == _MODULE or kind == _NODE:  # noqa: SIM109 - quicker, in a walk of every step
        attributes = vars(tree)
        if not attributes:
            return tree
        new = object.__new__(type(tree))
        own = vars(new)
        for name, child in attributes.items():
            own[name] = take() if _kinds.get(type(child)) == _LEAF else _unflatten(child, take)
        return new
    if kind == _LEAF:
        return take()  # type: ignore[no-any-return]
    if kind == _SETTING:
        return tree
    if kind == _DICT:
        return {name: _unflatten(child, take) for name, child in children.items()}  # type: ignore[return-value]
    filled = [_unflatten(child, take) for child in children]
    if kind == _LIST:
        return filled  # type: ignore[return-value]
    return type(tree)(filled) if kind == _TUPLE else type(tree)(*filled)  # type: ignore[call-arg]


def add(tree: T, *others: Any) -> T:
    """Return the sum of trees of the same structure, array by array, such as gradients of several
    batches.

    None stays None, and counts as zero beside an array of the first tree.

    Raises:
        ArgumentError: the trees have different structures.
        ShapeError: arrays at the same place have different shapes.

    >>> import numpy as np
    >>> anynet.tree.add({"w": np.ones(2), "n": None}, {"w": np.array([1.0, 2.0]), "n": None})
    {'w': array([2., 3.]), 'n': None}

    """
    return map(_sum, tree, *others)


def _sum(x: Array, *others: Array | None) -> Array:
    for other in others:
        if other is None:
            continue
        if tuple(other.shape) != tuple(x.shape):
            raise ShapeError(
                f"arrays of shapes {tuple(x.shape)} and {tuple(other.shape)} are at the same place"
            )
        x = x + other
    return x


def _beside(tree: Any, other: Any, path: str, seen: dict[int, Any] | None) -> Iterator[Any]:
    """Yield what another tree has at the place of every leaf of the first, in the order in which
    they are mapped.
    """
    kind, there = _kind(tree), _kind(other)
    if kind == _LEAF and (there == _LEAF or other is None):
        if seen is None or id(tree) not in seen:
            yield other
        elif seen[id(tree)] is not other:
            raise ArgumentError(
                f"the trees differ: {path} is tied in the first, and two arrays in another"
            )
        if seen is not None:
            seen[id(tree)] = other
        return
    if kind != there or (kind in (_MODULE, _NODE) and type(tree) is not type(other)):
        raise ArgumentError(
            f"the trees differ: {path or 'the first'} is a {type(tree).__name__} in one "
            f"and a {type(other).__name__} in another"
        )
    if kind == _SETTING:
        return
    if kind == _MODULE and seen is None:
        seen = {}
    elif kind == _NODE:
        seen = None
    if kind <= _NODE:
        # One of two networks may have attributes that differentiation puts there.
        names = [*vars(tree)]
        tree, other = vars(tree), vars(other)
        alike = other.keys() >= tree.keys()
    elif kind == _DICT:
        names, alike = [*tree], tree.keys() == other.keys()
    else:
        names, alike = [*range(len(tree))], len(tree) == len(other)
    if not alike:
        contents = [[*x] if kind <= _DICT else len(x) for x in (tree, other)]
        raise ArgumentError(
            f"the trees differ: {path or 'the first'} has {contents[0]} in one and {contents[1]} in "
            "another"
        )
    for name in names:
        yield from _beside(
            tree[name],
            other[name],
            f"{path}.{name}" if path else str(name),
            seen,
        )


def _map(
    fn: Callable[[Array], Any],
    tree: T,
    untrained: Callable[[Array], Any] | None,
    defaults: Mapping[str, Any] | None,
    memo: _Memo | None,
) -> T:
    """Map; the memo is of one module, and has what became of untrained arrays under the complements
    of identities.
    """
    kind = _kinds.get(type(tree)) or _kind(tree)
    children: Any = tree
    if kind == _MODULE or kind == _NODE:  # noqa: SIM109 - quicker, in a walk of every step
        attributes = vars(tree)
        if not attributes and not defaults:
            return tree
        outermost = memo is None
        if memo is None or kind == _NODE:
            memo = {}
        elif id(tree) in memo:
            return memo[id(tree)]  # type: ignore[no-any-return]
        new = memo[id(tree)] = object.__new__(type(tree))
        own = vars(new)
        frozen = "_frozen" in attributes
        if defaults and not (frozen and _is_frozen(tree)):
            own.update(defaults)
        fixed = (
            ()
            if untrained is None
            else _untrained(tree)
            if frozen
            else getattr(type(tree), "BUFFERS", ())
        )
        for name, child in attributes.items():
            if _kinds.get(type(child)) != _LEAF or name in fixed or kind == _NODE:
                function = untrained if name in fixed and untrained is not None else fn
                own[name] = _map(
                    function,
                    child,
                    untrained,
                    defaults,
                    memo if kind == _MODULE else None,
                )
            elif (key := id(child)) in memo:
                own[name] = memo[key]
            else:
                own[name] = memo[key] = fn(child)
        if outermost and None in memo and any(~key in memo for key in memo if key is not None):
            raise ArgumentError(
                "an array is trained in one place of a network, and a buffer or frozen in another: "
                "copy the array, or freeze (or unfreeze) it by its path in the network that holds "
                "both places"
            )
        return new
    if kind == _LEAF:
        if memo is None:
            return fn(tree)  # type: ignore[no-any-return, arg-type]
        key = id(tree)
        if fn is untrained:
            key, memo[None] = ~key, None
        if key not in memo:
            memo[key] = fn(tree)  # type: ignore[arg-type]
        return memo[key]  # type: ignore[no-any-return]
    if kind == _SETTING:
        return tree
    if kind == _DICT:
        return {
            name: _map(fn, child, untrained, defaults, memo) for name, child in children.items()
        }  # type: ignore[return-value]
    mapped = [_map(fn, child, untrained, defaults, memo) for child in children]
    if kind == _LIST:
        return mapped  # type: ignore[return-value]
    return type(tree)(mapped) if kind == _TUPLE else type(tree)(*mapped)  # type: ignore[call-arg]


class _Places:
    """The places of a tied leaf: what is put in is put in all of them."""

    __slots__ = ("_places",)

    def __init__(self, places: list[tuple[Any, Any]]) -> None:
        self._places = places

    def __getitem__(self, _: None) -> Any:
        holder, name = self._places[0]
        return holder[name]

    def __setitem__(self, _: None, value: Any) -> None:
        for holder, name in self._places:
            holder[name] = value

    def with_place(self, holder: Any, name: Any) -> "_Places":
        return _Places([*self._places, (holder, name)])


def _tied(holder: Any, name: Any, other_holder: Any, other_name: Any) -> tuple[Any, None]:
    """Return the holder and the name under which two places are one."""
    places = holder if type(holder) is _Places else _Places([(holder, name)])
    return places.with_place(other_holder, other_name), None


def pairs(tree: Any, other: Any) -> list[tuple[Any, Any, Array, Any]]:
    """Return (holder, name, leaf, what other has at its place) of every leaf that a list, dict or
    module holds.

    ``holder[name] = new`` then puts another array in a leaf's place, in all of them where it is
    tied.

    Raises:
        TypeError: a tuple holds arrays itself, and tuples cannot be changed.
        ArgumentError: ``other`` is built differently, or has two things beside what is tied.

    """
    if type(tree) is dict and is_node(other):
        # Its paths are keys, too, but parameters() returns a new dict, and the network would stay
        # as it is.
        raise ArgumentError(
            f"the trees differ: a dict in one and a {type(other).__name__} in another: give the "
            "network in place of its parameters()"
        )
    found: list[tuple[Any, Any, Array, Any]] = []
    try:
        _pair(found, tree, other, None, {})
    except TypeError:
        # The second may be no tree at all.
        deque(_beside(tree, other, "", None), 0)
        raise
    return found


_TWO_GRADIENTS = (
    "{} is in two places of the network, and has two gradients: differentiate the network as it is now, tied, which "
    "gives one gradient, the sum"
)


def _pair(
    found: list[tuple[Any, Any, Array, Any]],
    tree: Any,
    other: Any,
    memo: _Memo | None,
    modules: dict[int, Any],
) -> None:
    """Add the pairs of a tree; the memo has where the arrays of one module are, ``modules`` what
    was beside each.
    """
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF:
        return
    if kind == _MODULE:
        key = id(tree)
        if key in modules:
            inside = memo is not None and key in memo
            if modules[key] is not other:
                raise ArgumentError(
                    _TWO_GRADIENTS.format(f"a {type(tree).__name__}")
                    if inside
                    else f"a {type(tree).__name__} is part of two networks in one list or dict, and has a gradient "
                    "from each: put both networks into one Module, where what they share has one "
                    "gradient, the sum"
                )
            if inside:
                return
        modules[key] = other
        memo = {} if memo is None else memo
        memo[key] = tree
    elif kind == _NODE:
        memo = None
    holder, others = (vars(tree), vars(other)) if kind <= _NODE else (tree, other)
    for name, child in holder.items() if kind <= _DICT else enumerate(holder):
        try:
            beside = others[name]
        except (KeyError, IndexError, TypeError):
            raise ArgumentError(
                f"the trees differ: {name!r} is in the first and not in the other"
            ) from None
        if (_kinds.get(type(child)) or _kind(child)) != _LEAF:
            _pair(found, child, beside, memo, modules)
        elif kind >= _TUPLE:
            raise TypeError(
                f"a tuple of arrays cannot be changed in place: make it a list; given {tree!r:.80}"
            )
        elif memo is None:
            found.append((holder, name, child, beside))
        elif (key := id(child)) in memo:
            i = memo[key]
            if found[i][3] is not beside:
                raise ArgumentError(
                    _TWO_GRADIENTS.format(f"an array, {name!r} of a {type(tree).__name__},")
                )
            found[i] = (*_tied(*found[i][:2], holder, name), *found[i][2:])
        else:
            memo[key] = len(found)
            found.append((holder, name, child, beside))


def update_buffers(fn: Callable[[Array, Array], Array], tree: Any, other: Any) -> None:
    """Put ``fn(buffer, what other has at its place)`` in place of every buffer of a tree; other is
    a copy of it.

    Those that are frozen stay.

    Raises:
        ArgumentError: a buffer that two modules of a network share has come to be two.

    """
    _update_buffers(fn, tree, other, None)


def _update_buffers(
    fn: Callable[[Array, Array], Array],
    tree: Any,
    other: Any,
    memo: _Memo | None,
) -> None:
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF:
        return
    if kind == _MODULE:
        if memo is None:
            memo = {}
        elif id(tree) in memo:
            return
        memo[id(tree)] = tree
    elif kind == _NODE:
        memo = None
    holder, others = (vars(tree), vars(other)) if kind <= _NODE else (tree, other)
    buffers = _buffers(tree) if kind <= _NODE else ()
    frozen = holder.get("_frozen", ()) if buffers else ()
    for name in list(holder) if kind <= _DICT else range(len(holder)):
        if name not in buffers:
            _update_buffers(fn, holder[name], others[name], memo)
        elif name not in frozen:
            old, new = holder[name], others[name]
            if (
                memo is not None
                and is_array(old)
                and memo.setdefault(id(old), (old, new))[1] is not new
            ):
                raise ArgumentError(
                    f"{type(tree).__name__}.{name} is also another module's buffer, and the two "
                    "have different values now: share the module, or copy the array"
                )
            holder[name] = fn(old, new)


def leaves(tree: Any, path: str = "", *, buffers: bool = True) -> Iterator[tuple[str, Array]]:
    """Yield ``(path, leaf)`` in definition order, without the buffers if so told; a path reads like
    ``layers.0.weight``. One that is tied comes once, by its first path.
    """
    return (
        (path, leaf) for path, leaf, first in _places(tree, path, buffers, None) if first is None
    )


def ties(tree: Any) -> dict[str, str]:
    """Return every further path of a tied leaf, with the first one of that leaf."""
    return {path: first for path, _, first in _places(tree, "", True, None) if first is not None}


def _places(
    tree: Any, path: str, buffers: bool, seen: dict[int, str] | None
) -> Iterator[tuple[str, Array, str | None]]:
    """Yield the path of every place of a leaf, the leaf, and where it was seen first, None if
    here.
    """
    kind = _kind(tree)
    if kind == _SETTING:
        return
    if kind == _LEAF:
        first = None if seen is None else seen.setdefault(id(tree), path)
        yield path, tree, None if first == path else first
        return
    if kind == _MODULE and seen is None:
        seen = {}
    elif kind == _NODE:
        seen = None
    left_out = () if buffers or kind > _NODE else _buffers(tree)
    if kind <= _NODE:
        tree = vars(tree)
    in_order = kind > _DICT
    for name, child in (
        zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True)
        if in_order
        else tree.items()
    ):
        if name not in left_out:
            yield from _places(
                child,
                f"{path}.{name}" if path else str(name),
                buffers,
                seen,
            )


def modules(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(path, module)`` of every module in definition order, outermost first, each once."""
    return _modules(tree, path, set())


def _modules(tree: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF or id(tree) in seen:
        return
    if kind == _MODULE:
        seen.add(id(tree))
        yield path, tree
    for name, child in children(tree):
        if (_kinds.get(type(child)) or _kind(child)) > _LEAF:
            yield from _modules(child, f"{path}.{name}" if path else str(name), seen)


def children(tree: Any) -> Iterable[tuple[Any, Any]]:
    """Return (name, child) of every part of a tree, none for an array or a setting.

    The name is that of an attribute or a field, the key in a dict, or the index.
    """
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF:
        return ()
    if kind <= _DICT:
        items: Iterable[tuple[Any, Any]] = (vars(tree) if kind <= _NODE else tree).items()
        return items
    names: Iterable[Any] = tree._fields if kind == _NAMED_TUPLE else range(len(tree))
    return zip(names, tree, strict=True)


def own_leaves(
    tree: Any, path: str = "", is_leaf: Callable[[Any], bool] = is_array
) -> Iterator[tuple[str, Any]]:
    """Yield ``(path, leaf)`` of what an attribute holds itself, which excludes what nodes hold."""
    if is_leaf(tree):
        yield path, tree
    elif _kind(tree) > _NODE:
        for name, child in children(tree):
            yield from own_leaves(child, f"{path}.{name}" if path else str(name), is_leaf)


def settings(tree: Any) -> Iterator[Any]:
    """Yield what is in a tree and neither array nor tree, and the classes of its nodes."""
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind == _SETTING:
        yield tree
    elif kind != _LEAF:
        if kind <= _NODE:
            yield type(tree)
        children = vars(tree) if kind <= _NODE else tree
        for child in children.values() if kind <= _DICT else children:
            yield from settings(child)


def containers(node: Any) -> Iterator[Any]:
    """Yield the dict of a node's attributes, and the lists, tuples and dicts in it, but for those
    of other nodes.
    """
    holder = vars(node) if is_node(node) else node
    yield holder
    for child in holder.values() if isinstance(holder, dict) else holder:
        if _kind(child) > _NODE:
            yield from containers(child)


def trained(module: Any) -> dict[str, Any]:
    """Return the attributes of a module's own that hold arrays or lists, tuples and dicts, but for
    untrained ones.
    """
    left_out = _untrained(module)
    return {
        name: value
        for name, value in vars(module).items()
        if name not in left_out
        and (_kinds.get(type(value)) or _kind(value)) not in (_SETTING, _MODULE, _NODE)
    }


def is_setting(x: Any) -> bool:
    """Tell whether x is neither an array nor something that may hold arrays."""
    return _kind(x) == _SETTING


def is_node(x: Any) -> bool:
    """Tell whether the attributes of x are its children, as those of modules and optimizers are."""
    return _LEAF < _kind(x) <= _NODE


def _buffers(node: Any) -> tuple[str, ...]:
    return getattr(type(node), "BUFFERS", ())


def _untrained(node: Any) -> tuple[str, ...]:
    return (*_buffers(node), *vars(node).get("_frozen", ()))


def _is_frozen(node: Any) -> bool:
    """Tell whether a node has buffers, or else arrays, and all of them are frozen."""
    names = _buffers(node) or [name for name, x in vars(node).items() if _kind(x) == _LEAF]
    return bool(names) and set(names).issubset(vars(node).get("_frozen", ()))


def _kind(tree: Any) -> int:
    known = _kinds.get(type(tree))
    if known is None:
        if is_array(tree):
            known = _LEAF
        elif getattr(type(tree), "tree_node", False):
            known = _MODULE if getattr(type(tree), "ties", False) else _NODE
        elif isinstance(tree, tuple):
            known = _NAMED_TUPLE if hasattr(tree, "_fields") else _TUPLE
        else:
            known = _DICT if type(tree) is dict else _LIST if type(tree) is list else _SETTING
        _kinds[type(tree)] = known
    return known
