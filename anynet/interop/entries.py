"""The arrays of a network under the names and in the layouts of another framework.

The names of a layer's arrays are those of its attributes, unless a rule for its class changes them.
A name in a whole network has dots, as in ``layer1.0.conv1.weight``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from anynet import tree
from anynet.arguments import describe
from anynet.array import Array, Shape
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.layers import Module
from anynet.layers.initialization import has_shape
from anynet.spelling import did_you_mean

#: One name, several names of one array, or None where the other framework has no such array.
NewName: TypeAlias = str | Sequence[str] | None
#: New names by the name of an array or of a part of the network, or a function of an array's name.
Names: TypeAlias = Mapping[str, NewName] | Callable[[str], NewName]


@dataclass(frozen=True)
class Place:
    """A place in a network that has an array, and its path."""

    holder: Any
    key: Any
    path: str
    is_buffer: bool

    @property
    def array(self) -> Array:
        """The array, or the value that stands for an uninitialized one."""
        array: Array = self.holder[self.key]
        return array

    def put(self, array: Array) -> None:
        """Replace the array."""
        self.holder[self.key] = array


@dataclass(frozen=True)
class Entry:
    """An array of the other framework, and the places of the network's arrays that form it.

    These arrays are concatenated along the first axis, if ``transposed`` each after a
    transposition. An entry without places is a counter that anynet does not have. An entry without
    names is an array that the other framework does not have. An array that the other framework ties
    has several names.
    """

    names: tuple[str, ...]
    places: tuple[Place, ...]
    transposed: bool = False

    @property
    def name(self) -> str:
        """The first name."""
        return self.names[0]

    @property
    def paths(self) -> str:
        """The paths of the network's arrays, for a message."""
        return ", ".join(place.path for place in self.places)

    @property
    def shape(self) -> Shape:
        """The shape of the array."""
        shapes = [self._shape_of(place) for place in self.places]
        if len(shapes) < 2:
            return shapes[0] if shapes else ()
        rows = sum(shape[0] for shape in shapes)
        return (rows, *shapes[0][1:])

    def split(self, x: Any) -> Iterator[tuple[Place, Any]]:
        """Yield every place with its part of an array, which has the entry's shape."""
        start = 0
        for place in self.places:
            part = x
            if len(self.places) > 1:
                stop = start + self._shape_of(place)[0]
                part, start = x[start:stop, ...], stop
            yield place, part.T if self.transposed else part

    def joined(self, arrays: Sequence[Any], xp: Any) -> Any:
        """Return the array of the other framework from the arrays of the places."""
        parts = [x.T if self.transposed else x for x in arrays]
        return parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)

    def _shape_of(self, place: Place) -> Shape:
        shape = tuple(place.array.shape)
        return shape[::-1] if self.transposed else shape


@dataclass(frozen=True)
class Rule:
    """How the other framework names and lays out the arrays of a class of layers."""

    #: New names by the name of an array or of a part, or a function of an array's name.
    names: Names = field(default_factory=dict)
    #: The new names of matrices that are transposed.
    transposed: tuple[str, ...] = ()
    #: The new names of several arrays that become one, by its name.
    packed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: The names of counters.
    counters: tuple[str, ...] = ()


def entries(
    net: Module,
    rules: Mapping[type, Rule],
    names: Names | None = None,
) -> list[Entry]:
    """Return the entries of a network in the order of definition.

    Args:
        net: a network, initialized or not.
        rules: by class. A subclass has the rule of its first base class with one.
        names: new names that a user gives.

    Raises:
        ArgumentError: a new name is of an array that does not exist, or two arrays have one name.
        ArgumentTypeError: no network, or new names of another type.

    """
    if not isinstance(net, Module):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
        )
    found = list(_entries(net, "", rules, ()))
    if names is not None:
        found = _renamed_by_user(found, names)
    by_name: dict[str, Entry] = {}
    for entry in found:
        for name in entry.names:
            other = by_name.setdefault(name, entry)
            if other is not entry:
                raise ArgumentError(
                    f"{other.paths or 'a counter'} and {entry.paths or 'a counter'} have one name, "
                    f"{name!r}: give one of them another in names="
                )
    return found


def _entries(
    node: object,
    path: str,
    rules: Mapping[type, Rule],
    outer: tuple[int, ...],
) -> Iterator[Entry]:
    """Yield the entries of a part of a network under names that are relative to it."""
    if id(node) in outer:
        return
    own: list[Entry] = []
    holder = vars(node) if tree.is_node(node) else node
    for key, child in tree.children(node):
        inner = f"{path}.{key}" if path else str(key)
        if has_shape(child):
            if isinstance(node, tuple):
                raise ArgumentTypeError(
                    f"{path} is a tuple of arrays, which cannot be changed in place: make it a list"
                )
            is_buffer = key in getattr(type(node), "BUFFERS", ())
            own.append(Entry((str(key),), (Place(holder, key, inner, is_buffer),)))
        elif not tree.is_setting(child):
            own.extend(
                replace(entry, names=(f"{key}.{entry.name}",))
                for entry in _entries(child, inner, rules, (*outer, id(node)))
            )
    rule = next((rules[kind] for kind in type(node).__mro__ if kind in rules), None)
    yield from own if rule is None else _ruled(own, rule, path)


def _ruled(
    own: list[Entry],
    rule: Rule,
    path: str,
) -> Iterator[Entry]:
    """Yield the entries of a layer as its rule names them and lays them out."""
    pack_of = {part: name for name, parts in rule.packed.items() for part in parts}
    packs: dict[str, dict[str, Entry]] = {}
    for entry in own:
        names = _several(entry.name, new_name(entry.name, rule.names))
        if not names:
            continue
        name = names[0]
        renamed = replace(
            entry,
            names=names,
            transposed=entry.transposed or name in rule.transposed,
        )
        if name in pack_of:
            packs.setdefault(pack_of[name], {})[name] = renamed
        else:
            yield renamed
    for name, found in packs.items():
        parts = rule.packed[name]
        if lacking := [part for part in parts if part not in found]:
            raise ArgumentError(
                f"{path or 'the network'} has no array {lacking[0]}, which is part of {name}: "
                f"wanted all or none of {', '.join(parts)}"
            )
        places = [place for part in parts for place in found[part].places]
        yield Entry((name,), tuple(places), found[parts[0]].transposed)
    for name in rule.counters:
        yield Entry((name,), ())


def new_name(name: str, names: Names) -> NewName:
    """Return the new name of an array, several names, or None.

    In a dict the key for the longest part from the left decides. The key "" is for all names, and a
    new name "" removes the part.
    """
    if not isinstance(names, Mapping):
        return names(name)
    parts = name.split(".")
    for i in range(len(parts), -1, -1):
        key = ".".join(parts[:i])
        if key in names:
            return _extended(names[key], parts[i:])
    return name


def _extended(new: NewName, rest: list[str]) -> NewName:
    """Return a new name of a part, or several, for an array in it."""
    if new is None:
        return None
    if isinstance(new, str):
        return ".".join([new, *rest] if new else rest)
    return [".".join([one, *rest] if one else rest) for one in new]


def _renamed_by_user(found: list[Entry], names: Names) -> list[Entry]:
    known = [entry.name for entry in found]
    if isinstance(names, Mapping):
        _check(names, known)
    elif not callable(names):
        raise ArgumentTypeError(
            f"names is {describe(names)}: wanted a dict such as {{'0': 'fc1'}}, or a function of a "
            "name"
        )
    return [
        replace(entry, names=_several(entry.name, new_name(entry.name, names))) for entry in found
    ]


def _check(names: Mapping[str, NewName], known: list[str]) -> None:
    """Check that every key is the name of an array or of a part of the network, and the new
    names.
    """
    parts = {""}
    for name in known:
        pieces = name.split(".")
        parts.update(".".join(pieces[:i]) for i in range(1, len(pieces) + 1))
    for key, chosen in names.items():
        _several(key, chosen)
        if key not in parts:
            hint = did_you_mean(str(key), [*parts, *known])
            raise ArgumentError(
                f"names has the key {key!r}{hint}: wanted the name of an array or of a part, as in "
                f"{', '.join(known[:5])}"
            )


def _several(name: str, chosen: Any) -> tuple[str, ...]:
    """Return the new names of an array, none if the other framework does not have it."""
    if chosen is None:
        return ()
    if isinstance(chosen, str):
        return (chosen,)
    is_list = isinstance(chosen, list | tuple) and len(chosen) > 0
    if not is_list or not all(isinstance(one, str) for one in chosen):
        raise ArgumentTypeError(
            f"names gives {name!r} the new name {describe(chosen)}: wanted a string, a list of "
            "strings, or None"
        )
    return tuple(chosen)
