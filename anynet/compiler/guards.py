"""Guards: what a call of a compiled step is given and reaches, taken apart, and whether it is as it
was.

Taken apart it is leaves (arrays), the places that hold them, and an outline of everything else:
types, names, settings, and which arrays and containers are in two places. A recording is good for
every call that has its outline.
"""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from contextvars import ContextVar
from copy import copy
from io import IOBase
from itertools import chain
from numbers import Number
from operator import attrgetter, is_, methodcaller
from types import FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

from anynet import tree
from anynet.array import is_array
from anynet.reach import CONTENTS, Reach, holds_more, is_data
from anynet.tracing.dynamic_scalars import DynamicValue
from anynet.tracing.trace import Traced

# What a type is to a guard: those that are compared by type and value, by their text, arrays,
# containers, and others.
(
    _PLAIN,
    _TEXT,
    _ARRAY,
    _DYNAMIC,
    _OBJECT,
    _OPAQUE,
    _UNKNOWN,
    _NODE,
    _DICT,
    _LIST,
    _TUPLE,
    _SET,
) = range(1, 13)
_kinds: dict[type, int] = dict.fromkeys(
    (type(None), bool, int, str, bytes, type(...), type(NotImplemented)),
    _PLAIN,
)
_kinds |= dict.fromkeys((float, complex, range, slice), _TEXT)
_CONTAINERS = frozenset([dict, list, tuple, set, frozenset, deque])

#: A function's code, which tools that reload edited files replace.
_code = attrgetter("__code__")


class Parts:
    """Something taken apart."""

    def __init__(self) -> None:
        #: Each array once, and a place to read it.
        self.leaves: list[Any] = []
        self.reads: list[tuple[Any, Any]] = []
        #: (holder, name, number of the leaf) of every place of an array that can be written.
        self.slots: list[tuple[Any, Any, int]] = []
        #: (container, holder, name) of every list, tuple and dict.
        self.members: list[tuple[Any, Any, Any]] = []
        #: What is to hold the same things for a call to be like the one before.
        self.containers: list[Any] = []
        #: Functions and objects that may hold more, and dynamic values, which are compared by
        #: identity.
        self.objects: list[Any] = []
        self.dynamic: list[DynamicValue] = []
        self.outline: list[Any] = []
        #: Networks and other objects, which stay where they are.
        self.fixed: list[Any] = []
        #: Whether anything here may change and stay the same object.
        self.volatile = False

    def _leaf(self, holder: Any, name: Any, x: Any, known: dict[int, int]) -> None:
        i = known.setdefault(id(x), len(self.leaves))
        if i == len(self.leaves):
            self.leaves.append(x)
            self.reads.append((holder, name))
            plain = value_of(x)
            self.outline += (
                name,
                type(plain),
                plain.shape,
                plain.dtype,
                getattr(plain, "device", None),
            )
        else:
            self.outline += (name, i)
        if not isinstance(holder, tuple):
            self.slots.append((holder, name, i))

    def numbers(self, leaves: list[Any]) -> dict[int, int]:
        """Return the number of each leaf by the identity of its array."""
        raise NotImplementedError

    def _setting(self, name: Any, x: Any, kind: int) -> None:
        """Note what is compared by its type and itself."""
        if kind == _TEXT:
            # By its text 0.0 is not -0.0, and NaN is NaN.
            self.outline += (name, type(x), repr(x))
        elif kind == _UNKNOWN:
            self.volatile = True
            self.outline += (name, type(x), _state(x))
        else:
            if kind == _DYNAMIC:
                self.dynamic.append(x)
            self.outline += (name, type(x), x)


class Arguments(Parts):
    """The arguments of a call, in order and by name."""

    def __init__(self, args: list[Any], named: dict[str, Any]) -> None:
        super().__init__()
        # The container of each leaf, and for each container that around it and its name there.
        self._inside: list[int] = []
        self._around: list[tuple[int, Any]] = []
        self._known_leaves: dict[int, int] = {}
        self._known: dict[int, int] = {}
        for root in (args, named):
            self._add(root, None, -1, None)

    def _add(self, x: Any, holder: Any, around: int, own_name: Any) -> None:
        kind = _kinds.get(type(x)) or _kind(x)
        outline = self.outline
        outline.append(type(x))
        number = len(self._around)
        if self._known.setdefault(id(x), number) != number:
            outline.append(self._known[id(x)])
            return
        self._around.append((around, own_name))
        inside = x
        if kind == _NODE:
            inside = vars(x)
            self.fixed.append(x)
        else:
            self.members.append((x, holder, own_name))
        if (kind == _NODE or type(x) not in _CONTAINERS) and holds_more(x):
            # Its methods may reach something.
            self.objects.append(type(x))
        if kind != _TUPLE and around >= 0:
            self.containers.append(inside)
        if kind == _SET:
            self._add_set(x)
            return
        is_dict = kind <= _DICT
        for name, child in inside.items() if is_dict else enumerate(inside):
            of = _kinds.get(type(child)) or _kind(child)
            if is_dict and type(name) is not str:
                outline.append(type(name))
            if of == _PLAIN:
                outline += (name, type(child), child)
            elif of == _ARRAY:
                # Each argument is an array of its own, also where one is given twice.
                self._leaf(
                    inside,
                    name,
                    child,
                    self._known_leaves if around >= 0 else {},
                )
                self._inside += [number] * (len(self.leaves) - len(self._inside))
            elif of >= _NODE:
                outline.append(name)
                self._add(child, inside, number, name)
            elif of == _OBJECT:
                outline += (name, type(child), _of_object(child))
                self.objects.append(child)
                self.fixed.append(child)
            else:
                self._setting(name, child, of)
        if kind != _NODE and getattr(x, "__dict__", None):
            self._add(vars(x), None, number, "__dict__")
        outline.append(None)

    def _add_set(self, x: Any) -> None:
        outline, found = self.outline, []
        for child in x:
            kind = _kind(child)
            if kind in (_OBJECT, _NODE):
                self.objects.append(child)
            self.outline = []
            # What may hold arrays, or is one, is looked into nowhere else.
            self._setting(
                None,
                child,
                _UNKNOWN if kind == _ARRAY or kind > _NODE else kind,
            )
            found.append(tuple(self.outline))
        self.outline = outline
        outline.append(frozenset(found))

    def numbers(self, leaves: list[Any]) -> dict[int, int]:
        """Return the number of each leaf by the identity of its array, but for arguments that are
        arrays.
        """
        return self._known_leaves

    def direct(self) -> list[int]:
        """Return the numbers of the leaves that are arguments themselves."""
        return [i for i, number in enumerate(self._inside) if self._around[number][0] < 0]

    def names(self, parameters: list[str]) -> list[str]:
        """Return the paths of the leaves, given the names of the positional arguments."""
        paths: list[str] = []
        for around, name in self._around:
            parent = "" if around < 0 else paths[around]
            paths.append(
                f"{parent}.{name}" if parent else "" if name is None else _first(name, parameters)
            )
        return [
            f"{paths[number]}.{name}" if paths[number] else _first(name, parameters)
            for number, (_, name) in zip(self._inside, self.reads, strict=True)
        ]


class Outside(Parts):
    """What a step reaches beside its arguments, from itself and from roots among these."""

    def __init__(self, *roots: Any) -> None:
        super().__init__()
        self.roots = roots
        reach = Reach(*roots)
        #: The way to each leaf in words, and whether everything was visited.
        self.paths: list[str] = []
        self.complete = reach.complete
        self.containers = reach.whole
        numbers = {id(x): i for i, (_, x) in enumerate(reach.objects)}
        known: dict[int, int] = {}
        for _, x in reach.objects:
            kind = _kind(x)
            if kind in (_OPAQUE, _UNKNOWN, _DYNAMIC, _TEXT):
                self._setting(None, x, kind)
            elif kind == _SET:
                self.outline += (type(x), frozenset(map(_of_element, x)))
            elif kind != _ARRAY:
                self.outline += (
                    type(x),
                    _of_object(x) if kind == _OBJECT else None,
                )
            if kind in (_NODE, _OBJECT, _DYNAMIC):
                self.fixed.append(x)
        for path, x, holder, name in reach.places:
            kind = _kind(x)
            if kind == _ARRAY and (not isinstance(x, Number) or name in reach.assigned):
                self._leaf(holder, name, x, known)
                self.paths += [path] * (len(self.leaves) - len(self.paths))
            elif kind in (_PLAIN, _TEXT, _ARRAY):
                # A scalar of NumPy's is a number, which code may use as one, unless it comes from
                # the step itself.
                self._setting(name, x, _TEXT if kind == _ARRAY else kind)
            else:
                self.outline += (name, numbers.get(id(x)))
                if kind in (_DICT, _LIST, _TUPLE):
                    self.members.append((x, holder, name))
        for module in reach.random:
            self._setting(None, module, _UNKNOWN)
        # They are read when they are needed: old ones are not to be held.
        self.leaves = []
        self.cells = [holder.of for holder, name in reach.single if name == CONTENTS]
        self.single = [(holder, name) for holder, name in reach.single if name != CONTENTS]
        self.open, self.functions = reach.open, reach.functions
        self._contents = Contents(self)

    def read(self) -> list[Any]:
        """Return the leaves of now."""
        return [holder[name] for holder, name in self.reads]

    def numbers(self, leaves: list[Any]) -> dict[int, int]:
        """Return the number of each leaf by the identity of its array."""
        return {id(x): i for i, x in enumerate(leaves)}

    def is_as_before(self) -> bool:
        """Tell whether all places hold what they did."""
        return not self.volatile and self._contents.are_as_before()


class Contents:
    """What containers, and what a step reaches outside, hold, by identity."""

    def __init__(self, outside: Outside, containers: Sequence[Any] = ()) -> None:
        closed = [*containers, *outside.containers]
        self._dicts = [x for x in closed if isinstance(x, dict)]
        self._others = [
            *(x for x in closed if not isinstance(x, dict)),
            *outside.open,
        ]
        self._names = [*map(list, self._dicts)]
        self._lengths = [*map(len, self._others)]
        # Live views.
        self._values = [x.values() if isinstance(x, dict) else x for x in closed]
        self._cells, self._single, self._functions = (
            outside.cells,
            outside.single,
            outside.functions,
        )
        self.look()

    def look(self) -> None:
        """See which values are there now."""
        self._before = self._now()

    def _now(self) -> list[Any]:
        now = [
            *chain.from_iterable(self._values),
            *map(_code, self._functions),
        ]
        if self._cells:
            now += [cell.cell_contents for cell in self._cells]
        if self._single:
            now += [holder[name] for holder, name in self._single]
        return now

    def are_as_before(self) -> bool:
        """Tell whether the same things are in the same places."""
        if [*map(list, self._dicts)] != self._names or [*map(len, self._others)] != self._lengths:
            return False
        try:
            return all(map(is_, self._now(), self._before))
        except (KeyError, AttributeError, ValueError):
            return False


class Before:
    """A call as it was left: while all things are where they were, they need not be taken apart
    again.
    """

    def __init__(
        self,
        recording: Any,
        writes: list[Any],
        args: list[Any],
        arguments: Arguments,
        outside: Outside,
    ) -> None:
        self.recording, self.writes = recording, writes
        self.count = len(args)
        self.trees, self.arrays = [], []
        for i, arg in enumerate(args):
            if is_array(arg):
                kind = (
                    type(arg),
                    arg.shape,
                    arg.dtype,
                    getattr(arg, "device", None),
                )
                self.arrays.append((i, _reference(arg), *kind))
            else:
                self.trees.append((i, arg))
        # Where leaves are: in a tree, or the arguments themselves, which are not to be held.
        sources = [
            (None if holder is args else holder, name)
            for holder, name in outside.reads + arguments.reads
        ]
        self.sources = [sources[i] for i in recording.used]
        self._contents = Contents(outside, arguments.containers)
        #: To see what is there now.
        self.look = self._contents.look

    def leaves(self, args: tuple[Any, ...]) -> list[Any] | None:
        """Return the leaves if nothing is new but arrays among the arguments, alike in shape and
        dtype.
        """
        if len(args) != self.count:
            return None
        for i, before in self.trees:
            if args[i] is not before:
                return None
        for i, known, kind, shape, dtype, device in self.arrays:
            x = args[i]
            if type(x) is not kind or x.shape != shape or x.dtype != dtype:
                return None
            # A data set is the same as before; to ask some libraries' arrays for their device takes
            # long.
            if known() is not x and getattr(x, "device", None) != device:
                return None
        if not self._contents.are_as_before():
            return None
        return [(args if holder is None else holder)[name] for holder, name in self.sources]


def _first(name: Any, parameters: list[str]) -> str:
    """Return the name of an argument, given by its own name or its place."""
    if isinstance(name, str):
        return name
    return parameters[name] if name < len(parameters) else f"argument_{name}"


def value_of(x: Any) -> Any:
    """Return the plain array that a traced one stands for; anything else as it is."""
    while type(x) is Traced:
        x = x.value
    return x


def in_tuples(function: Callable[[Any], Any], x: Any) -> Any:
    """Return the tuple with function(array) for the arrays in it, and in tuples in it; itself where
    nothing changes.
    """
    kind = _kinds.get(type(x)) or _kind(x)
    if kind == _ARRAY:
        return function(x)
    if kind != _TUPLE:
        return x
    found = [in_tuples(function, child) for child in x]
    if all(map(is_, found, x)):
        return x
    return type(x)(*found) if hasattr(x, "_fields") else type(x)(found)


def arrays_in(x: Any) -> Iterator[Any]:
    """Yield the arrays in lists, tuples and dicts inside each other, as often as they are there."""
    kind = _kinds.get(type(x)) or _kind(x)
    if kind == _ARRAY:
        yield x
    elif kind in (_DICT, _LIST, _TUPLE):
        for child in x.values() if kind == _DICT else x:
            yield from arrays_in(child)


def with_arrays(x: Any, new: Iterator[Any]) -> Any:
    """Return a copy of lists, tuples and dicts inside each other with the next ones for their
    arrays.
    """
    kind = _kinds.get(type(x)) or _kind(x)
    if kind == _ARRAY:
        return next(new)
    if kind == _TUPLE:
        found = [with_arrays(child, new) for child in x]
        return type(x)(*found) if hasattr(x, "_fields") else type(x)(found)
    if kind not in (_DICT, _LIST):
        return x
    other = copy(x)
    for name, child in x.items() if kind == _DICT else enumerate(x):
        other[name] = with_arrays(child, new)
    return other


def _kind(x: Any) -> int:
    of = type(x)
    known = _kinds.get(of)
    if known is None:
        known = _kinds[of] = _find_kind(x)
    return known


def _find_kind(x: Any) -> int:
    if is_array(x):
        return _ARRAY
    if tree.is_node(x):
        return _NODE
    for kind, types in (
        (_DICT, dict),
        (_LIST, list | deque),
        (_TUPLE, tuple),
        (_SET, Set),
    ):
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
        return _UNKNOWN
    if any(hasattr(of, name) for name in ("getstate", "get_state", "bit_generator")):
        # It makes random numbers.
        return _UNKNOWN
    if holds_more(x):
        return _OBJECT
    return _OPAQUE if of.__hash__ is not None else _UNKNOWN


def _of_object(x: Any) -> Any:
    """Return what tells an object from others that reach the same: the code of a function, a class
    or a value.
    """
    if isinstance(x, FunctionType):
        return x.__code__
    if isinstance(x, attrgetter | methodcaller):
        # Which attribute or method it is for is in its text only.
        return repr(x)
    kind = type(x)
    is_value = (
        kind.__hash__ is not None
        and getattr(kind, "__eq__", None) is not object.__eq__
        and not is_data(x)
    )
    return x if is_value or isinstance(x, type) else None


def _of_element(x: Any) -> Any:
    """Return what tells a number, a word or an array in a set from others."""
    kind = _kind(x)
    if kind == _TEXT or (kind == _ARRAY and isinstance(x, Number)):
        return type(x), repr(x)
    if kind == _ARRAY:
        return type(x), id(x)
    return (type(x), x) if kind == _PLAIN else None


def _state(x: Any) -> Any:
    """Return what tells whether an object has changed; where nobody can tell, something that equals
    nothing else.
    """
    try:
        if isinstance(x, ModuleType):
            x = vars(x)["getstate" if "getstate" in vars(x) else "get_state"]()
        elif isinstance(x, ContextVar):
            x = x.get(None)
        return pickle.dumps(x)
    except Exception:
        return object()


def _reference(x: Any) -> Any:
    try:
        return ref(x)
    except TypeError:
        # A number of NumPy's.
        return lambda: None
