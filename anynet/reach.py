"""The values that a function can reach outside of its arguments: networks, optimizers, arrays and
settings.

A function reaches its closures, defaults and partial arguments, the globals that its code names,
and all that these hold in turn: containers, objects of user classes, other functions. An attribute
of an object or a module counts if code that is reached names it. The code of the standard library,
of installed packages and of anynet is not read, because it holds no state of the user. Closures in
it are followed.
"""

import dis
import gc
import sys
import sysconfig
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import is_dataclass
from functools import cache, cached_property, lru_cache, partial, partialmethod
from itertools import accumulate, chain, cycle, repeat
from operator import attrgetter, methodcaller
from os import fspath
from pathlib import Path
from queue import Queue
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any, NamedTuple
from weakref import ref

from anynet import tree
from anynet.array import is_array
from anynet.tracing.dynamic_scalars import DynamicValue

#: Places that are visited at most.
LIMIT = 100_000


class Reached(NamedTuple):
    """A value and its place: ``holder[name]`` is the value."""

    value: Any
    holder: Any
    name: Any


class Cell:
    """The variable of a closure as an item, by any name."""

    __slots__ = ("cell",)

    def __init__(self, cell: CellType) -> None:
        self.cell = cell

    def __getitem__(self, name: str) -> Any:
        return self.cell.cell_contents

    def __setitem__(self, name: str, value: object) -> None:
        self.cell.cell_contents = value


class Attributes:
    """The attributes of an object, a function or a class as items."""

    __slots__ = ("of",)

    def __init__(self, of: object) -> None:
        self.of = of

    def __getitem__(self, name: str) -> Any:
        of = self.of
        return vars(of)[name] if isinstance(of, type) else getattr(of, name)

    def __setitem__(self, name: str, value: object) -> None:
        of = self.of
        if isinstance(of, type):
            setattr(of, name, value)
        elif isinstance(of, partial):
            # Its arguments cannot be assigned.
            of.__setstate__((of.func, value, of.keywords, vars(of)))  # type: ignore[attr-defined]
        else:
            # The class of the object may forbid it.
            object.__setattr__(of, name, value)


class Reach:
    """All places that can be reached from some roots, in an order set by their values only.

    Args:
        roots: functions and objects. The code of their packages is read like a user's own.
        further: more roots, whose packages are not read if they are installed.

    """

    def __init__(self, *roots: object, further: Iterable[Any] = ()) -> None:
        self.places: list[Reached] = []
        #: Dicts, lists and sets that are visited as a whole.
        self.whole: list[Any] = []
        #: Places that are visited in other holders.
        self.single: list[tuple[Any, Any]] = []
        #: The dicts of such places. When one grows, there may be more to visit.
        self.open: list[Mapping[str, Any]] = []
        #: Modules that make random numbers from a state of their own.
        self.random: list[ModuleType] = []
        #: Each value once. Scalars, strings and the like are left out.
        self.objects: list[Any] = []
        #: Whether all places were visited, and not only the first `LIMIT` ones.
        self.complete = True
        #: The names of attributes that code assigns.
        self.assigned: set[str] = set()
        #: The functions whose code is read.
        self.functions: list[FunctionType] = []
        self._seen: set[int] = set()
        self._queue: deque[Any] = deque()
        # The attributes that code has named so far, and places that wait for code that does.
        self._named = set(_CALLED)
        self._any_name = False
        self._waiting: dict[str, list[Reached]] = defaultdict(list)
        self._own = {_package(getattr(root, "__module__", None)) for root in roots}
        for root in (*roots, *further):
            self._add(root)
        while self._queue and self.complete:
            self._look_into(self._queue.popleft())

    def _add(self, value: object) -> None:
        if type(value) in _PLAIN or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self.objects.append(value)
        if not is_array(value):
            self._queue.append(value)

    def _place(
        self,
        value: object,
        holder: object,
        name: object,
        *,
        single: bool = True,
    ) -> None:
        self.places.append(Reached(value, holder, name))
        if single:
            self.single.append((holder, name))
        self.complete = len(self.places) < LIMIT
        self._add(value)
        if isinstance(value, type) and not self._is_library(value.__module__):
            # Code that reaches the class may call it. Code that reaches an object of it does not.
            self._add(vars(value).get("__init__"))

    def _attribute(
        self,
        value: object,
        holder: object,
        name: str,
    ) -> None:
        """Visit an attribute as soon as code that is reached names it."""
        if self._any_name or name in self._named:
            self._place(value, holder, name)
        else:
            self._waiting[name].append(Reached(value, holder, name))

    def _attributes(self, own: Mapping[str, Any]) -> None:
        self.open.append(own)
        for name, value in list(own.items()):
            self._attribute(value, own, name)

    def _whole(self, holder: Any) -> None:
        """Visit all places of a container."""
        if type(holder) is not tuple:
            self.whole.append(holder)
        items = holder.items() if isinstance(holder, Mapping) else enumerate(holder)
        for name, value in list(items):
            self._place(value, holder, name, single=False)

    def _look_into(self, x: Any) -> None:
        kind = type(x)
        if tree.is_node(x):
            self._whole(vars(x))
            self._add(kind)
        elif isinstance(x, dict | list | tuple | deque):
            self._whole(x)
            own = getattr(x, "__dict__", None)
            if own:
                self._whole(own)
            if kind not in _CONTAINERS:
                self._add(kind)
        elif isinstance(x, Set):
            self.whole.append(x)
            for value in list(x):
                self._add(value)
        elif kind is FunctionType:
            self._look_into_function(x)
        elif kind is MethodType:
            self._add(x.__self__)
            self._add(x.__func__)
        elif isinstance(x, partial):
            self._add(x.func)
            self._held_by(x, "args")
            self._whole(x.keywords)
        elif isinstance(x, ModuleType):
            self._look_into_module(x)
        elif isinstance(x, type):
            self._look_into_class(x)
        elif isinstance(x, ref):
            self._add(x())
        elif isinstance(x, attrgetter | methodcaller):
            self._name((), everything=True)
        elif isinstance(x, BuiltinFunctionType | MethodWrapperType):
            # That of a function is its module.
            if not isinstance(x.__self__, ModuleType):
                self._add(x.__self__)
        else:
            self._look_into_object(x)

    def _held_by(self, owner: object, name: str) -> None:
        """Visit a tuple or dict that is an attribute."""
        x = getattr(owner, name)
        if x:
            self._seen.add(id(x))
            self._place(x, Attributes(owner), name)
            self._whole(x)

    def _look_into_module(self, module: ModuleType) -> None:
        own = vars(module)
        if not _STATES.isdisjoint(own):
            self.random.append(module)
        if not self._is_library(module.__name__):
            self._attributes(own)
            return
        for name, value in list(own.items()):
            if isinstance(value, ModuleType) and not _STATES.isdisjoint(vars(value)):
                self._attribute(value, own, name)

    def _look_into_function(self, function: FunctionType) -> None:
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            # A variable that is assigned later has an empty cell.
            with suppress(ValueError):
                self._place(cell.cell_contents, Cell(cell), name)
        self._held_by(function, "__defaults__")
        self._held_by(function, "__kwdefaults__")
        self._add(getattr(function, "__wrapped__", None))
        if self._is_library(function.__module__):
            return
        self.functions.append(function)
        if vars(function):
            self._attributes(vars(function))
        read, known = names_in(code), function.__globals__
        self.assigned.update(read.assigned)
        self.open.append(known)
        for name in read.variables if _ANY_GLOBAL.isdisjoint(read.variables) else list(known):
            if name in known and name[:2] != "__":
                self._place(known[name], known, name)
        for module in _imported(read.imported, known.get("__package__") or ""):
            self._add(module)
        by_name = not _BY_NAME.isdisjoint((*read.variables, *read.attributes))
        self._name(read.attributes, everything=by_name)

    def _name(self, attributes: Iterable[str], *, everything: bool) -> None:
        """Visit the attributes that code names, all of them where it reads them by strings."""
        self._any_name |= everything
        self._named.update(attributes)
        for name in list(self._waiting) if everything else attributes:
            for reached in self._waiting.pop(name, ()):
                self._place(*reached)

    def _look_into_class(self, x: type) -> None:
        if self._is_library(x.__module__):
            return
        libraries = self._library_bases(x)
        holder = Attributes(x)
        self.open.append(vars(x))
        for name, value in list(vars(x).items()):
            if name.startswith("__") and name.endswith("__"):
                # Code does not name operators, calls and the like.
                if callable(value) and name not in ("__init__", "__new__"):
                    self._add(value)
            elif any(hasattr(base, name) for base in libraries):
                # Code that is not read calls the methods that override, such as forward().
                self._place(value, holder, name)
            else:
                self._attribute(value, holder, name)
        for base in x.__bases__:
            self._add(base)

    def _look_into_object(self, x: object) -> None:
        kind = type(x)
        for child in _held(x):
            self._add(child)
        for name in _INSIDE.get(kind, ("__wrapped__",)):
            # The function in a descriptor or a wrapper, not an attribute that a class makes up.
            if _has(x, name):
                self._add(getattr(x, name, None))
        if isinstance(x, DynamicValue) or (self._is_library(kind.__module__) and not holds_more(x)):
            return
        own, visit = getattr(x, "__dict__", {}), self._attribute
        if is_data(x) or self._library_bases(kind):
            # Code that is not read uses all attributes.
            visit = self._place
            if "__wrapped__" not in own:
                self._whole(own)
        else:
            self._attributes(own)
        for name in _slots(x):
            visit(getattr(x, name), Attributes(x), name)
        self._add(kind)

    def _library_bases(self, kind: type) -> list[type]:
        bases = kind.__mro__[:-1]
        return [base for base in bases if self._is_library(base.__module__)]

    def _is_library(self, module: str | None) -> bool:
        package = _package(module)
        return (package not in self._own and is_library(package)) or package in _NEVER_READ


def _held(x: object) -> Iterable[Any]:
    """Return the objects that one of Python's own refers to other than by attributes."""
    if isinstance(x, ContextVar):
        return [x.get(None)]
    if isinstance(x, GeneratorType):
        return [] if x.gi_frame is None else x.gi_frame.f_locals.values()
    return gc.get_referents(x) if isinstance(x, _REFERRING) else ()


def holds_more(x: object) -> bool:
    """Return whether a value that is no array, tree or container reaches anything."""
    kind = type(x)
    if kind in _PLAIN or isinstance(x, ModuleType):
        return False
    if isinstance(x, _CALLABLE) or is_data(x) or _has(x, "__wrapped__"):
        return True
    module = (x if isinstance(x, type) else kind).__module__
    # Derivatives keep only what makes them faster, and a group counts its messages.
    own = _package(module) == "anynet" and not module.startswith(
        ("anynet.autodiff", "anynet.distributed", "anynet.tracing")
    )
    return own or not is_library(_package(module))


def is_data(x: object) -> bool:
    """Return whether x is compared by its attributes, as dataclasses and namespaces are."""
    kind = type(x)
    return (
        is_dataclass(kind)
        or issubclass(kind, threading.local | Queue)
        or (kind.__hash__ is None and hasattr(x, "__dict__"))
    )


def _has(x: object, name: str) -> bool:
    """Return whether an object or its class has an attribute that ``__getattr__`` does not make."""
    return hasattr(type(x), name) or name in getattr(x, "__dict__", ())


def _slots(x: object) -> list[str]:
    """Return the names of the slots of an object that are filled."""
    filled = []
    for kind in type(x).__mro__:
        slots = vars(kind).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        filled += [name for name in names if hasattr(x, name) and name[:2] != "__"]
    return filled


class Names(NamedTuple):
    """The names in code, and in the functions inside it."""

    variables: tuple[str, ...]
    attributes: tuple[str, ...]
    #: The attributes that are assigned.
    assigned: tuple[str, ...]
    imported: tuple[str, ...]


@lru_cache(1024)
def names_in(code: CodeType) -> Names:
    """Return the globals, attributes and modules that code names."""
    names: tuple[dict[str, None], ...] = {}, {}, {}, {}
    variables, attributes, assigned, imported = names
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            imported[instruction.argval] = None
        elif instruction.opcode in dis.hasname:
            of_global = "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME"
            (variables if of_global else attributes)[instruction.argval] = None
            if instruction.opname == "STORE_ATTR":
                assigned[instruction.argval] = None
        elif instruction.opname == "MATCH_CLASS":
            # A pattern has the names of attributes in a tuple.
            tuples = [x for x in code.co_consts if isinstance(x, tuple)]
            words = [x for x in chain(*tuples) if isinstance(x, str)]
            attributes |= dict.fromkeys(words)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            for known, inner_names in zip(names, names_in(inner), strict=True):
                known |= dict.fromkeys(inner_names)
    return Names(*map(tuple, names))


def _imported(names: Iterable[str], package: str) -> Iterator[ModuleType]:
    """Yield the modules that code in a package imports by these names, which may be relative, and
    the packages around them.
    """
    places = [*accumulate(package.split("."), "{}.{}".format), ""]
    for name in names:
        for place in places:
            for full in accumulate(filter(None, (place, *name.split("."))), "{}.{}".format):
                if full in sys.modules:
                    yield sys.modules[full]


#: Types of values that reach nothing.
_PLAIN = frozenset(
    [type(None), bool, int, float, complex, str, bytes, type(...), CellType, range, slice]
)

_CONTAINERS = frozenset([dict, list, tuple, set, frozenset, deque])

#: Functions that reach any global.
_ANY_GLOBAL = frozenset(["globals", "eval", "exec"])

#: Python's own types of callables and references.
_CALLABLE = (
    FunctionType,
    MethodType,
    partial,
    BuiltinFunctionType,
    MethodWrapperType,
    attrgetter,
    methodcaller,
    ref,
)

#: Names in code that reads attributes by strings.
_BY_NAME = frozenset(
    ["getattr", "vars", "__dict__", "__getattribute__", "__getstate__", *_ANY_GLOBAL]
)

#: Python's own types that refer to objects without a name.
_REFERRING = (
    MappingProxyType,
    map,
    filter,
    zip,
    enumerate,
    cycle,
    repeat,
    chain,
    *map(type, map(iter, ([], (), {}))),
)

#: Functions that return the state of a random number generator.
_STATES = frozenset(["getstate", "get_state"])

#: Methods that anynet calls.
_CALLED = frozenset(["forward", "update"])

#: The attributes of descriptors that hold their functions.
_INSIDE: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset"),
    classmethod: ("__func__",),
    staticmethod: ("__func__",),
    cached_property: ("func",),
    partialmethod: ("func", "args", "keywords"),
}

_NEVER_READ = frozenset(
    ["anynet", "builtins", *(name for name in sys.stdlib_module_names if name != "__main__")]
)


def _package(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


@cache
def is_library(package: str) -> bool:
    """Return whether a package belongs to Python or anynet, or is an installed one."""
    if package in _NEVER_READ:
        return True
    module = sys.modules.get(package)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return package.startswith("anynet_") or any(
        _is_installed(fspath(place)) for place in places if place is not None
    )


def _is_installed(place: str) -> bool:
    folders = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    # Those of another environment, or of the user, may be on the path too.
    by_name = not {"site-packages", "dist-packages"}.isdisjoint(Path(place).parts)
    return by_name or place.startswith(tuple(folders))
