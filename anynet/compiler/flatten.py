"""Flattening: the leaves, places and structure of a call of a compiled step.

The arguments, and all that the step reaches outside of them, are flattened into leaves (arrays),
the places that hold them, and a structure: types, names, settings, and which arrays and containers
occur twice. A program is good for every call of its structure.
"""

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from contextvars import ContextVar
from copy import copy
from io import IOBase
from numbers import Number
from operator import attrgetter, is_, methodcaller
from types import FunctionType, MethodType, ModuleType
from typing import Any

from anynet import tree
from anynet.array import Array, is_array
from anynet.compiler.contents import Contents
from anynet.reach import Cell, Reach, holds_more, is_data
from anynet.tracing.dynamic_scalars import DynamicValue
from anynet.tracing.trace import Traced

# How a guard compares the values of a type. The first seven hold no leaves.
(
    #: By type and value.
    _PLAIN,
    #: By type and text.
    _TEXT,
    _ARRAY,
    _DYNAMIC,
    #: By identity or equality. It may reach arrays.
    _OBJECT,
    #: By equality. It reaches nothing.
    _OPAQUE,
    #: By its pickled state, at each call.
    _VOLATILE,
    _NODE,
    _DICT,
    _LIST,
    _TUPLE,
    _SET,
) = range(1, 13)
_PLAIN_TYPES = (type(None), bool, int, str, bytes, type(...), type(NotImplemented))
_kinds: dict[type, int] = dict.fromkeys(_PLAIN_TYPES, _PLAIN)
_kinds |= dict.fromkeys((float, complex, range, slice), _TEXT)
_CONTAINERS = frozenset([dict, list, tuple, set, frozenset, deque])


class Flattened:
    """Leaves, their places, and the structure of all other values."""

    def __init__(self) -> None:
        #: Each array once, and a place to read it, ``holder[name]``.
        self.leaves: list[Array] = []
        self.reads: list[tuple[Any, Any]] = []
        #: (holder, name, value) of each place of an array or a list, tuple or dict. The value is
        #: the index of the leaf or the container.
        self.places: list[tuple[Any, Any, Any]] = []
        #: The containers whose contents a guard compares.
        self.containers: list[Any] = []
        #: Functions and objects that may reach more.
        self.objects: list[Any] = []
        self.dynamic: list[DynamicValue] = []
        self.structure: list[Any] = []
        #: Networks and other objects, which a step cannot replace.
        self.fixed: list[Any] = []
        #: Whether a value may change and stay the same object.
        self.volatile = False

    def _add_leaf(
        self,
        holder: object,
        name: object,
        x: Array,
        known: dict[int, int],
    ) -> None:
        i = known.setdefault(id(x), len(self.leaves))
        if i == len(self.leaves):
            self.leaves.append(x)
            self.reads.append((holder, name))
            self.structure += (name, *layout(plain_value(x)))
        else:
            self.structure += (name, i)
        self.places.append((holder, name, i))

    def numbers(self, leaves: list[Array]) -> dict[int, int]:
        """Return the index of each leaf by the identity of its array."""
        raise NotImplementedError

    def _setting(self, x: Any, kind: int) -> tuple[type, Any]:
        """Return the type and a value by which a setting is compared."""
        if kind == _TEXT:
            # The texts of 0.0 and -0.0 differ, and those of NaN do not.
            return type(x), repr(x)
        if kind == _VOLATILE:
            self.volatile = True
            return type(x), _state(x)
        if kind == _DYNAMIC:
            self.dynamic.append(x)
        if kind == _OPAQUE and hasattr(type(x), "guard_key"):
            # Programs keep the key, and not the object.
            return type(x), x.guard_key()
        return type(x), x


class Arguments(Flattened):
    """The arguments of a call, in order and by name."""

    def __init__(self, args: list[Any], named: dict[str, Any]) -> None:
        super().__init__()
        #: The names that lead to each leaf.
        self.paths: list[tuple[Any, ...]] = []
        self._known_leaves: dict[int, int] = {}
        self._known: dict[int, int] = {}
        for root in (args, named):
            self._add(root, None, ())

    def _add(
        self,
        x: Any,
        holder: object,
        path: tuple[Any, ...],
    ) -> None:
        kind = _kinds.get(type(x)) or _kind(x)
        structure, number = self.structure, len(self._known)
        structure.append(type(x))
        if self._known.setdefault(id(x), number) != number:
            structure.append(self._known[id(x)])
            return
        contents = x
        if kind == _NODE:
            contents = vars(x)
            self.fixed.append(x)
        else:
            self.places.append((holder, path[-1] if path else None, x))
        if (kind == _NODE or type(x) not in _CONTAINERS) and holds_more(x):
            # Its methods may reach something.
            self.objects.append(type(x))
        if kind != _TUPLE and path:
            self.containers.append(contents)
        if kind == _SET:
            self._add_set(x)
            return
        is_dict = kind <= _DICT
        # An array that is an argument itself is a leaf of its own, even if it is given twice.
        for name, child in contents.items() if is_dict else enumerate(contents):
            of = _kinds.get(type(child)) or _kind(child)
            if is_dict and type(name) is not str:
                structure.append(type(name))
            if of == _PLAIN:
                structure += (name, type(child), child)
            elif of == _ARRAY:
                self._add_leaf(contents, name, child, self._known_leaves if path else {})
                self.paths += [(*path, name)] * (len(self.leaves) - len(self.paths))
            elif of >= _NODE:
                structure.append(name)
                self._add(child, contents, (*path, name))
            elif of == _OBJECT:
                structure += (name, type(child), _of_object(child))
                self.objects.append(child)
                self.fixed.append(child)
            elif of == _DYNAMIC:
                # Its place alone: a program also fits another optimizer with the same settings.
                structure += (name, type(child), self._number(child))
                self.fixed.append(child)
            else:
                structure += (name, *self._setting(child, of))
        if kind != _NODE and getattr(x, "__dict__", None):
            self._add(vars(x), None, (*path, "__dict__"))
        structure.append(None)

    def _number(self, x: DynamicValue) -> int:
        """Return the index of a dynamic value, which is added where it is new."""
        i = next((i for i, known in enumerate(self.dynamic) if known is x), len(self.dynamic))
        if i == len(self.dynamic):
            self.dynamic.append(x)
        return i

    def _add_set(self, x: Set[Any]) -> None:
        elements = []
        for child in x:
            kind = _kind(child)
            if kind in (_OBJECT, _NODE):
                self.objects.append(child)
            if kind == _ARRAY or kind > _NODE:
                # Arrays in a set have no place that can be read.
                kind = _VOLATILE
            elements.append(self._setting(child, kind))
        self.structure.append(frozenset(elements))

    def numbers(self, leaves: list[Array]) -> dict[int, int]:
        """Return the index of each leaf by the identity of its array, except for arguments that are
        arrays.
        """
        return self._known_leaves

    def direct(self) -> list[int]:
        """Return the indices of the leaves that are arguments themselves."""
        return [i for i, path in enumerate(self.paths) if len(path) == 1]

    def names(self, parameters: list[str]) -> list[str]:
        """Return the paths of the leaves, given the names of the positional parameters."""
        paths = []
        for first, *others in self.paths:
            if not isinstance(first, str):
                first = parameters[first] if first < len(parameters) else f"argument_{first}"
            paths.append(".".join(map(str, (first, *others))))
        return paths


class Outside(Flattened):
    """All that a step reaches from itself, and from objects among its arguments."""

    def __init__(self, *roots: object) -> None:
        super().__init__()
        self.roots = roots
        reach = Reach(*roots)
        #: Whether all values were visited.
        self.complete = reach.complete
        self.containers = reach.whole
        for x in reach.objects:
            kind = _kind(x)
            if kind in (_OPAQUE, _VOLATILE, _DYNAMIC, _TEXT):
                self.structure += (None, *self._setting(x, kind))
            elif kind == _SET:
                self.structure += (type(x), frozenset(map(_of_element, x)))
            elif kind != _ARRAY:
                self.structure += (type(x), _of_object(x) if kind == _OBJECT else None)
            if kind in (_NODE, _OBJECT, _DYNAMIC):
                self.fixed.append(x)
        numbers = {id(x): i for i, x in enumerate(reach.objects)}
        known: dict[int, int] = {}
        for x, holder, name in reach.places:
            kind = _kind(x)
            if kind == _ARRAY and isinstance(x, Number) and name not in reach.assigned:
                # A NumPy scalar is a setting, unless the step assigns it.
                kind = _TEXT
            if kind == _ARRAY:
                self._add_leaf(holder, name, x, known)
            elif kind in (_PLAIN, _TEXT):
                self.structure += (name, *self._setting(x, kind))
            else:
                self.structure += (name, numbers.get(id(x)))
                if kind in (_DICT, _LIST, _TUPLE):
                    self.places.append((holder, name, x))
        for module in reach.random:
            self.structure += (None, *self._setting(module, _VOLATILE))
        # They are read again at each call. Old arrays are not kept.
        self.leaves = []
        self.cells = [holder.cell for holder, _ in reach.single if isinstance(holder, Cell)]
        self.single = [place for place in reach.single if not isinstance(place[0], Cell)]
        self.open, self.functions = reach.open, reach.functions
        self._contents = Contents(self)

    def read(self) -> list[Array]:
        """Return the current leaves."""
        return [holder[name] for holder, name in self.reads]

    def numbers(self, leaves: list[Array]) -> dict[int, int]:
        """Return the index of each leaf by the identity of its array."""
        return {id(x): i for i, x in enumerate(leaves)}

    def is_unchanged(self) -> bool:
        """Return whether all places hold the same objects as before."""
        return not self.volatile and self._contents.are_unchanged()


#: What a program is recorded for, see `structure_of`.
Structure = tuple[list[Any], list[Any], list[tuple[int, int]]]


def structure_of(arguments: Arguments, outside: Outside) -> Structure:
    """Return the structure of a call: of its arguments, of all that the step reaches outside of
    them, and the pairs of indices of what is in both.
    """
    leaves = arguments.numbers(arguments.leaves)
    shared = [(i, leaves[id(x)]) for i, x in enumerate(outside.read()) if id(x) in leaves]
    if outside.dynamic:
        dynamic = {id(x): i for i, x in enumerate(arguments.dynamic)}
        both = [(~i, dynamic.get(id(x))) for i, x in enumerate(outside.dynamic)]
        shared += [(i, j) for i, j in both if j is not None]
    return arguments.structure, outside.structure, shared


def layout(x: Array) -> tuple[Any, ...]:
    """Return the type, shape, dtype and device of an array."""
    return type(x), x.shape, x.dtype, getattr(x, "device", None)


def plain_value(x: Any) -> Any:
    """Return the plain array that a traced one stands for, and anything else as it is."""
    while type(x) is Traced:
        x = x.value
    return x


def map_arrays(
    function: Callable[[Any], Any],
    x: Any,
    *,
    only_tuples: bool = False,
) -> Any:
    """Return a copy of nested lists, tuples and dicts with function(array) for each array in it.

    A tuple in which nothing changes is returned itself.
    """
    kind = _kinds.get(type(x)) or _kind(x)
    if kind == _ARRAY:
        return function(x)
    if kind not in ((_TUPLE,) if only_tuples else (_DICT, _LIST, _TUPLE)):
        return x
    names: Iterable[Any] = x if kind == _DICT else range(len(x))
    new = [map_arrays(function, x[name], only_tuples=only_tuples) for name in names]
    if kind == _TUPLE:
        if all(map(is_, new, x)):
            return x
        return type(x)(*new) if hasattr(x, "_fields") else type(x)(new)
    other = copy(x)
    for name, child in zip(names, new, strict=True):
        other[name] = child
    return other


def arrays_in(x: Any) -> Iterator[Any]:
    """Yield the arrays in nested lists, tuples and dicts, as often as they occur."""
    kind = _kinds.get(type(x)) or _kind(x)
    if kind == _ARRAY:
        yield x
    elif kind in (_DICT, _LIST, _TUPLE):
        for child in x.values() if kind == _DICT else x:
            yield from arrays_in(child)


def _kind(x: object) -> int:
    of = type(x)
    known = _kinds.get(of)
    if known is None:
        known = _kinds[of] = _find_kind(x)
    return known


def _find_kind(x: object) -> int:
    if is_array(x):
        return _ARRAY
    if tree.is_node(x):
        return _NODE
    containers = (_DICT, dict), (_LIST, list | deque), (_TUPLE, tuple), (_SET, Set)
    for kind, types in containers:
        if isinstance(x, types):
            return kind
    of = type(x)
    if isinstance(x, Number):
        return _TEXT
    if isinstance(x, str | bytes):
        return _OPAQUE
    if isinstance(x, DynamicValue):
        return _DYNAMIC
    if isinstance(x, type | FunctionType | MethodType):
        return _OBJECT
    if isinstance(x, Iterator | memoryview | ContextVar) and not isinstance(x, IOBase):
        return _VOLATILE
    if any(hasattr(of, name) for name in ("getstate", "get_state", "bit_generator")):
        # A generator of random numbers.
        return _VOLATILE
    if holds_more(x):
        return _OBJECT
    return _OPAQUE if of.__hash__ is not None else _VOLATILE


def _of_object(x: object) -> Any:
    """Return a value that differs between objects that reach the same arrays."""
    if isinstance(x, FunctionType):
        return x.__code__
    if isinstance(x, attrgetter | methodcaller):
        # The name of the attribute or method is in the text only.
        return repr(x)
    kind = type(x)
    is_value = (
        kind.__hash__ is not None
        and getattr(kind, "__eq__", None) is not object.__eq__
        and not is_data(x)
    )
    return x if is_value or isinstance(x, type) else None


def _of_element(x: object) -> Any:
    """Return a value that differs between scalars, strings or arrays in a set."""
    kind = _kind(x)
    if kind == _TEXT or (kind == _ARRAY and isinstance(x, Number)):
        return type(x), repr(x)
    if kind == _ARRAY:
        return type(x), id(x)
    return (type(x), x) if kind == _PLAIN else None


def _state(x: Any) -> Any:
    """Return a value that shows whether an object has changed. Where there is none, return an
    object that equals no other.
    """
    try:
        if isinstance(x, ModuleType):
            x = vars(x)["getstate" if "getstate" in vars(x) else "get_state"]()
        elif isinstance(x, ContextVar):
            x = x.get(None)
        return pickle.dumps(x)
    except Exception:
        return object()
