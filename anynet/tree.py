"""Trees of arrays: lists, tuples, dicts and modules, nested in any way. Arrays in them are leaves.

Everything else (a number, a string, a function, None) is a setting, which stays as it is. Arrays
that a module names as its buffers, or that are frozen, are leaves too, but are not trained.

Inside one module, identity ties: an array or a module in two places is one leaf, or one module, and
stays so. In lists, dicts and the state of optimizers, and from one module of a list to the next,
each place is a separate leaf. Training walks the tree of a network several times in every step, so
a walk looks up the kind of a type once.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from anynet.array import Array, is_array
from anynet.errors import ArgumentError, ShapeError

__all__ = ["leaves", "map", "modules", "pairs", "settings", "trained"]

T = TypeVar("T")

# The kinds of types in a tree. A class with ``tree_node = True`` takes part: its attributes are the
# children. A class with ``ties = True`` ties by identity. Its attribute ``BUFFERS`` names arrays
# that are not trained, an instance's ``_frozen`` those that are excluded for now.
_SETTING, _LEAF, _MODULE, _NODE, _DICT, _LIST, _TUPLE, _NAMED_TUPLE = range(1, 9)
_PLAIN: dict[Any, int] = {dict: _DICT, list: _LIST}
_kinds: dict[Any, int] = {}

# The results for the arrays and modules of one module so far, by identity; see `_map` for None.
_Memo = dict[int | None, Any]


def map(
    fn: Callable[..., Any],
    tree: T,
    *others: Any,
    untrained: Callable[[Array], Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> T:
    """Return the same tree with ``fn(leaf)`` for every leaf, called once for a tied one.

    Args:
        fn: of a leaf and, with other trees, of their parts at its place.
        tree: any tree.
        others: trees of the same structure, which may have None in place of a leaf, as gradients
            have for arrays that are not trained.
        untrained: of a leaf that is not trained, ``fn`` by default.
        defaults: attributes of the new tree's modules that do not set them, except for modules
            whose buffers are all frozen.

    Raises:
        ArgumentError: an array is trained in one place of a module and a buffer or frozen in
            another, or another tree has a different structure.

    >>> import numpy as np
    >>> anynet.tree.map(lambda p, g: p - 0.5 * g, {"w": np.ones(2)}, {"w": np.array([1.0, 2.0])})
    {'w': array([0.5, 0. ])}

    """
    if not others:
        return _map(fn, tree, untrained, defaults, None)
    columns = [[*_beside(tree, other, "", None)] for other in others]
    rows = zip(*columns, strict=True)
    return _map(
        lambda leaf: fn(leaf, *next(rows)),
        tree,
        None,
        None,
        None,
    )


def unflatten(tree: T, leaves: Iterable[Any]) -> T:
    """Return the same tree with these leaves, in order, in place of its own. A tied one takes one.

    >>> import numpy as np
    >>> anynet.tree.unflatten({"w": np.ones(2), "b": [np.zeros(1)]}, [1.0, 2.0])
    {'w': 1.0, 'b': [2.0]}

    """
    leaves = [*leaves]
    try:
        return _unflatten(tree, iter(leaves).__next__)
    except StopIteration:
        # Tied leaves are in more places than there are leaves.
        remaining = iter(leaves)
        return map(lambda _: next(remaining), tree)


def _unflatten(tree: T, take: Callable[[], Any]) -> T:
    """Take a leaf for every place, as `_map` does for trees that tie nothing."""
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
    """Return the sum of trees, array by array, such as gradients of several batches.

    None stays None, and counts as zero if the first tree has an array there.

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


def _beside(
    tree: Any,
    other: Any,
    path: str,
    seen: dict[int, Any] | None,
) -> Iterator[Any]:
    """Yield the part of another tree at the place of every leaf, in the order of `_map`."""
    kind, other_kind = _kind(tree), _kind(other)
    if kind == _LEAF and (other_kind == _LEAF or other is None):
        if seen is None or id(tree) not in seen:
            yield other
        elif seen[id(tree)] is not other:
            raise ArgumentError(
                f"the trees differ: {path} is tied in the first, and two arrays in another"
            )
        if seen is not None:
            seen[id(tree)] = other
        return
    is_node = kind in (_MODULE, _NODE)
    if kind != other_kind or (is_node and type(tree) is not type(other)):
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
        tree, other = vars(tree), vars(other)
        # One of two networks may have attributes that differentiation adds.
        is_alike = other.keys() >= tree.keys()
    elif kind == _DICT:
        is_alike = tree.keys() == other.keys()
    else:
        is_alike = len(tree) == len(other)
    if not is_alike:
        contents = [[*x] if kind <= _DICT else len(x) for x in (tree, other)]
        raise ArgumentError(
            f"the trees differ: {path or 'the first'} has {contents[0]} in one and {contents[1]} "
            "in another"
        )
    for name in tree if kind <= _DICT else range(len(tree)):
        yield from _beside(tree[name], other[name], _joined(path, name), seen)


def _map(
    fn: Callable[[Array], Any],
    tree: T,
    untrained: Callable[[Array], Any] | None,
    defaults: Mapping[str, Any] | None,
    memo: _Memo | None,
) -> T:
    """Map a tree, with the memo of one module.

    The memo has the results of trained arrays under their identities, those of untrained ones under
    the complements. None is a key if there is an untrained one.
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
    """The places of a tied leaf. A new value goes into all of them."""

    __slots__ = ("_places",)

    def __init__(self, places: list[tuple[Any, Any]]) -> None:
        self._places = places

    def __getitem__(self, _: None) -> Any:
        holder, name = self._places[0]
        return holder[name]

    def __setitem__(self, _: None, value: Any) -> None:
        for holder, name in self._places:
            holder[name] = value

    def add(self, holder: Any, name: Any) -> None:
        """Add a place."""
        self._places.append((holder, name))


def pairs(tree: object, other: object) -> list[tuple[Any, Any, Array, Any]]:
    """Return (holder, name, leaf, part of the other tree) for every leaf of lists, dicts, modules.

    ``holder[name] = new`` replaces a leaf, in all of its places if it is tied.

    Raises:
        TypeError: a tuple holds arrays itself, and tuples cannot be changed.
        ArgumentError: the other tree has another structure, or two parts for one tied leaf.

    >>> import numpy as np
    >>> weights, gradients = {"w": np.ones(2)}, {"w": np.array([1.0, 2.0])}
    >>> for holder, name, leaf, gradient in anynet.tree.pairs(weights, gradients):
    ...     holder[name] = leaf - gradient
    >>> weights
    {'w': array([ 0., -1.])}

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
        # The other may be no tree at all, which this explains.
        deque(_beside(tree, other, "", None), 0)
        raise
    return found


_TWO_GRADIENTS = (
    "{} is in two places of the network, and has two gradients: differentiate the network as it is "
    "now, tied, which gives one gradient, the sum"
)
_TWO_NETWORKS = (
    "{} is part of two networks in one list or dict, and has a gradient from each: put both "
    "networks into one Module, where the shared part has one gradient, the sum"
)


def _pair(
    found: list[tuple[Any, Any, Array, Any]],
    tree: Any,
    other: Any,
    memo: _Memo | None,
    modules: dict[int, Any],
) -> None:
    """Add the pairs of a tree.

    The memo has the indices of one module's arrays in the list. ``modules`` has the part of the
    other tree for each module.
    """
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF:
        return
    if kind == _MODULE:
        key = id(tree)
        if key in modules:
            is_inside = memo is not None and key in memo
            if modules[key] is not other:
                message = _TWO_GRADIENTS if is_inside else _TWO_NETWORKS
                raise ArgumentError(message.format(f"a {type(tree).__name__}"))
            if is_inside:
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
            first, first_name, leaf, _ = found[i]
            places = first if type(first) is _Places else _Places([(first, first_name)])
            places.add(holder, name)
            found[i] = (places, None, leaf, beside)
        else:
            memo[key] = len(found)
            found.append((holder, name, child, beside))


def update_buffers(
    fn: Callable[[Array, Array], Array],
    tree: Any,
    other: Any,
) -> None:
    """Replace every buffer of a tree by ``fn(buffer, buffer of the other tree)``.

    Frozen buffers stay.

    Args:
        fn: of the two buffers.
        tree: is changed in place.
        other: a copy of the tree.

    Raises:
        ArgumentError: a buffer that two modules share has two different values in the copy.

    >>> import copy
    >>> norm = layers.BatchNorm(2).initialize(seed=0, backend="numpy")
    >>> other = copy.deepcopy(norm)
    >>> other.running_mean = other.running_mean + 3.0
    >>> anynet.tree.update_buffers(lambda old, new: new, norm, other)
    >>> norm.running_mean
    array([3., 3.], dtype=float32)

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
            is_shared = memo is not None and is_array(old)
            if is_shared and memo.setdefault(id(old), (old, new))[1] is not new:  # type: ignore[union-attr]
                raise ArgumentError(
                    f"{type(tree).__name__}.{name} is also another module's buffer, and the two "
                    "have different values now: share the module, or copy the array"
                )
            holder[name] = fn(old, new)


def leaves(
    tree: object,
    path: str = "",
    *,
    buffers: bool = True,
) -> Iterator[tuple[str, Array]]:
    """Yield ``(path, leaf)`` in definition order. A tied leaf comes once, by its first path.

    Args:
        tree: any tree.
        path: of the tree itself, with which the paths begin.
        buffers: whether buffers are among the leaves.

    >>> import numpy as np
    >>> list(anynet.tree.leaves({"w": [np.ones(1), np.zeros(1)]}))
    [('w.0', array([1.])), ('w.1', array([0.]))]

    """
    places = _places(tree, path, buffers, None)
    return ((path, leaf) for path, leaf, first in places if first is None)


def ties(tree: object) -> dict[str, str]:
    """Return every further path of a tied leaf, with the first path of that leaf.

    >>> net = layers.Sequential(layers.Linear(2, 2), layers.Linear(2, 2), seed=0, backend="numpy")
    >>> net[1].weight = net[0].weight
    >>> anynet.tree.ties(net)
    {'layers.1.weight': 'layers.0.weight'}

    """
    places = _places(tree, "", True, None)
    return {path: first for path, _, first in places if first is not None}


def _places(
    tree: object,
    path: str,
    buffers: bool,
    seen: dict[int, str] | None,
) -> Iterator[tuple[str, Array, str | None]]:
    """Yield (path, leaf, first path) of every place of a leaf. The first place has None there."""
    kind = _kind(tree)
    if kind == _LEAF:
        first = path if seen is None else seen.setdefault(id(tree), path)
        leaf: Any = tree
        yield path, leaf, None if first == path else first
        return
    if kind == _MODULE and seen is None:
        seen = {}
    elif kind == _NODE:
        seen = None
    left_out = () if buffers or kind > _NODE else _buffers(tree)
    for name, child in children(tree):
        # Settings are most of the children.
        if (_kinds.get(type(child)) or _kind(child)) != _SETTING and name not in left_out:
            yield from _places(child, _joined(path, name), buffers, seen)


def modules(tree: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(path, module)`` of every module in definition order, outermost first, each once.

    >>> list(anynet.tree.modules([layers.ReLU(), layers.Tanh()]))
    [('0', ReLU()), ('1', Tanh())]

    """
    return _modules(tree, path, set())


def _modules(
    tree: object,
    path: str,
    seen: set[int],
) -> Iterator[tuple[str, Any]]:
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF or id(tree) in seen:
        return
    if kind == _MODULE:
        seen.add(id(tree))
        yield path, tree
    for name, child in children(tree):
        if (_kinds.get(type(child)) or _kind(child)) > _LEAF:
            yield from _modules(child, _joined(path, name), seen)


def children(tree: object) -> Iterable[tuple[Any, Any]]:
    """Return (name, child) of every part of a tree, none for an array or a setting.

    The name is that of an attribute or a field, the key in a dict, or the index.

    >>> list(anynet.tree.children(layers.Dropout(0.5)))
    [('rate', 0.5), ('key', Uninitialized((2,)))]

    """
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind <= _LEAF:
        return ()
    parts: Any = vars(tree) if kind <= _NODE else tree
    if kind <= _DICT:
        items: Iterable[tuple[Any, Any]] = parts.items()
        return items
    names: Iterable[Any] = parts._fields if kind == _NAMED_TUPLE else range(len(parts))
    return zip(names, parts, strict=True)


def own_leaves(
    tree: object,
    path: str = "",
    is_leaf: Callable[[Any], bool] = is_array,
) -> Iterator[tuple[str, Any]]:
    """Yield ``(path, leaf)`` of lists, tuples and dicts, without the leaves of modules in them.

    >>> import numpy as np
    >>> list(anynet.tree.own_leaves([np.ones(1), layers.Linear(2, 2)]))
    [('0', array([1.]))]

    """
    if is_leaf(tree):
        yield path, tree
    elif _kind(tree) > _NODE:
        for name, child in children(tree):
            yield from own_leaves(child, _joined(path, name), is_leaf)


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def settings(tree: object) -> Iterator[Any]:
    """Yield the settings in a tree, and the classes of its modules and other nodes.

    >>> list(anynet.tree.settings({"rate": 0.5, "name": "first"}))
    [0.5, 'first']

    """
    kind = _kinds.get(type(tree)) or _kind(tree)
    if kind == _SETTING:
        yield tree
        return
    if _LEAF < kind <= _NODE:
        yield type(tree)
    for _, child in children(tree):
        yield from settings(child)


def containers(node: object) -> Iterator[Any]:
    """Yield the dict of a node's attributes, and the lists, tuples and dicts in it.

    Those of other nodes inside are left out.

    >>> list(anynet.tree.containers(layers.Sequential(layers.ReLU())))
    [{'layers': (ReLU(),)}, (ReLU(),)]

    """
    yield vars(node) if is_node(node) else node
    for _, child in children(node):
        if _kind(child) > _NODE:
            yield from containers(child)


def trained(module: object) -> dict[str, Any]:
    """Return the attributes of a module that are or hold trained arrays, without its modules.

    >>> list(anynet.tree.trained(layers.BatchNorm(2).initialize(seed=0, backend="numpy")))
    ['weight', 'bias']

    """
    left_out = _untrained(module)
    attributes = {}
    for name, value in vars(module).items():
        kind = _kinds.get(type(value)) or _kind(value)
        if name not in left_out and kind not in (_SETTING, _MODULE, _NODE):
            attributes[name] = value
    return attributes


def is_setting(x: object) -> bool:
    """Return whether x is neither an array nor a tree, which may hold arrays.

    >>> anynet.tree.is_setting(0.5), anynet.tree.is_setting([])
    (True, False)

    """
    return _kind(x) == _SETTING


def is_node(x: object) -> bool:
    """Return whether the attributes of x are its children, as those of modules and optimizers are.

    >>> anynet.tree.is_node(layers.ReLU()), anynet.tree.is_node([])
    (True, False)

    """
    return _LEAF < _kind(x) <= _NODE


def _buffers(node: object) -> tuple[str, ...]:
    return getattr(type(node), "BUFFERS", ())


def _untrained(node: object) -> tuple[str, ...]:
    return (*_buffers(node), *vars(node).get("_frozen", ()))


def _is_frozen(node: object) -> bool:
    """Return whether all buffers of a node are frozen, or all arrays if it has no buffers."""
    names = _buffers(node)
    if not names:
        names = tuple(name for name, x in vars(node).items() if _kind(x) == _LEAF)
    frozen = vars(node).get("_frozen", ())
    return bool(names) and set(names).issubset(frozen)


def _kind(tree: object) -> int:
    known = _kinds.get(type(tree))
    if known is None:
        if is_array(tree):
            known = _LEAF
        elif getattr(type(tree), "tree_node", False):
            known = _MODULE if getattr(type(tree), "ties", False) else _NODE
        elif isinstance(tree, tuple):
            known = _NAMED_TUPLE if hasattr(tree, "_fields") else _TUPLE
        else:
            known = _PLAIN.get(type(tree), _SETTING)
        _kinds[type(tree)] = known
    return known
