"""What a function can reach from outside its arguments: networks, optimizers, arrays and settings.

A function reaches what its closures, defaults and partial arguments hold, the globals that its code
names, and what these hold in turn: containers, the objects of user classes, further functions.
Attributes of such objects and of Python modules count where some code that is reached names them.
Code of the standard library, of installed packages and of anynet itself is not read, since it has
no state of the user's; closures are followed there too.
"""

import dis
import gc
import sys
import sysconfig
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import is_dataclass
from functools import (
    cache,
    cached_property,
    lru_cache,
    partial,
    partialmethod,
)
from itertools import accumulate, chain, cycle, repeat
from operator import attrgetter, methodcaller
from os import fspath
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

#: The name under which a cell holds something.
CONTENTS = "cell_contents"

#: Places that are visited at most.
LIMIT = 100_000


class Reached(NamedTuple):
    """A value, the words that say how it is reached, and its place: ``holder[name]`` is the
    value.
    """

    path: str
    value: Any
    holder: Any
    name: Any


class Attributes:
    """The attributes of an object as items; those of a cell, a class or a function too."""

    __slots__ = ("of",)

    def __init__(self, of: Any) -> None:
        self.of = of

    def __getitem__(self, name: str) -> Any:
        return getattr(self.of, name)

    def __setitem__(self, name: str, value: Any) -> None:
        # Also where the object would rather not be changed.
        object.__setattr__(self.of, name, value)


class ClassAttributes:
    """What a class itself holds, as items."""

    __slots__ = ("_of",)

    def __init__(self, of: type) -> None:
        self._of = of

    def __getitem__(self, name: str) -> Any:
        return vars(self._of)[name]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self._of, name, value)


class PartialArguments:
    """The arguments of a partial function as an item, ``args``."""

    __slots__ = ("_of",)

    def __init__(self, of: "partial[Any]") -> None:
        self._of = of

    def __getitem__(self, name: str) -> Any:
        return self._of.args

    def __setitem__(self, name: str, value: Any) -> None:
        self._of.__setstate__((self._of.func, value, self._of.keywords, vars(self._of)))  # type: ignore[attr-defined]


def reachable(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for everything that a function can reach, each object once, the nearest
    ones first.

    A path reads like ``closure variable 'net'``, ``self.net`` or ``global 'config'.nets[0]``. The
    insides of networks and other trees are yielded as well. Numbers, strings and the like are left
    out.
    """
    yield from Reach(function).objects


class Reach:
    """All places that can be reached from some roots, in an order that only depends on what is
    there.

    Packages that roots come from are read as a user's own code is, unlike those of what is further
    reached.
    """

    def __init__(self, *roots: Any, further: Iterable[Any] = ()) -> None:
        self.places: list[Reached] = []
        #: Dicts, lists and sets all of whose places are visited; the single places that are visited
        #: elsewhere; and the dicts in which these are, where more may come to be visited when the
        #: dict has more.
        self.whole: list[Any] = []
        self.single: list[tuple[Any, Any]] = []
        self.open: list[Mapping[str, Any]] = []
        #: Modules that make random numbers from a state of their own, as Python's does.
        self.random: list[ModuleType] = []
        #: Everything that is there, once, with its path.
        self.objects: list[tuple[str, Any]] = []
        #: Whether there was no more than can be visited.
        self.complete = True
        #: Names of the attributes that code assigns.
        self.assigned: set[str] = set()
        #: Functions whose code is read.
        self.functions: list[FunctionType] = []
        self._seen: set[int] = set()
        self._queue: deque[tuple[str, Any]] = deque()
        # Attributes that code has named so far, and those that wait for code that does.
        self._named = set(_CALLED)
        self._any_name = False
        self._waiting: dict[str, list[Reached]] = defaultdict(list)
        self._own = {_package(getattr(root, "__module__", None)) for root in roots}
        for root in (*roots, *further):
            self._add("", root)
        while self._queue and self.complete:
            self._look_into(*self._queue.popleft())

    def _place(
        self,
        path: str,
        value: Any,
        holder: Any,
        name: Any,
        *,
        single: bool = True,
    ) -> None:
        reached = Reached(path, value, holder, name)
        self.places.append(reached)
        if single:
            self.single.append((holder, name))
        self.complete = len(self.places) < LIMIT
        self._add(path, value)
        if isinstance(value, type) and not self._is_library(value.__module__):
            # Who has the class may call it; who has an object of it does not.
            self._add(path, vars(value).get("__init__"))

    def _add(self, path: str, value: Any) -> None:
        if type(value) in _PLAIN or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self.objects.append((path, value))
        if not is_array(value):
            self._queue.append((path, value))

    def _attribute(self, path: str, value: Any, holder: Any, name: str) -> None:
        """Visit an attribute once its name is in code that is reached."""
        if self._any_name or name in self._named:
            self._place(path, value, holder, name)
        else:
            self._waiting[name].append(Reached(path, value, holder, name))

    def _all(
        self,
        holder: Any,
        items: Iterable[tuple[Any, Any]],
        words: Callable[[Any], str],
    ) -> None:
        """Visit all places of a container."""
        if type(holder) is not tuple:
            self.whole.append(holder)
        for name, value in list(items):
            self._place(words(name), value, holder, name, single=False)

    def _look_into(self, path: str, x: Any) -> None:
        kind = type(x)
        if tree.is_node(x):
            self._all(vars(x), vars(x).items(), lambda name: _dotted(path, name))
            self._add(_dotted(path, "__class__"), kind)
        elif isinstance(x, dict):
            self._all(x, x.items(), lambda name: f"{path}[{name!r}]")
            self._look_into_subclass(path, x)
        elif isinstance(x, list | tuple | deque):
            self._all(x, enumerate(x), lambda i: f"{path}[{i}]")
            self._look_into_subclass(path, x)
        elif isinstance(x, Set):
            self.whole.append(x)
            for value in list(x):
                self._add(f"{path}'s element", value)
        elif kind is FunctionType:
            self._look_into_function(path, x)
        elif kind is MethodType:
            self._add("self" if not path else f"self of {path}", x.__self__)
            self._add(path, x.__func__)
        elif isinstance(x, partial):
            self._add(path, x.func)
            self._named_items(
                path,
                x.args,
                PartialArguments(x),
                "args",
                lambda i: _words("partial argument", i, path),
            )
            self._all(
                x.keywords,
                x.keywords.items(),
                lambda name: _words("partial argument", name, path),
            )
        elif isinstance(x, ModuleType):
            if not _STATES.isdisjoint(vars(x)):
                self.random.append(x)
            if self._is_library(x.__name__):
                for name, value in list(vars(x).items()):
                    if isinstance(value, ModuleType) and not _STATES.isdisjoint(vars(value)):
                        self._attribute(_dotted(path, name), value, vars(x), name)
            else:
                self.open.append(vars(x))
                for name, value in list(vars(x).items()):
                    self._attribute(_dotted(path, name), value, vars(x), name)
        elif isinstance(x, type):
            self._look_into_class(path, x)
        elif isinstance(x, ref):
            self._add(path, x())
        elif isinstance(x, attrgetter | methodcaller):
            self._name((), everything=True)
        elif isinstance(x, BuiltinFunctionType | MethodWrapperType):
            # That of a function is its module.
            if not isinstance(x.__self__, ModuleType):
                self._add(path, x.__self__)
        else:
            self._look_into_object(path, x)

    def _look_into_subclass(self, path: str, x: Any) -> None:
        """Look at what else a container of a class of its own has."""
        own = getattr(x, "__dict__", None)
        if own:
            self._all(own, own.items(), lambda name: _dotted(path, name))
        if type(x) not in _CONTAINERS:
            self._add(_dotted(path, "__class__"), type(x))

    def _named_items(
        self,
        path: str,
        x: Any,
        holder: Any,
        name: str,
        words: Callable[[Any], str],
    ) -> None:
        """Visit a tuple or dict whose items have words of their own."""
        if x:
            self._seen.add(id(x))
            self._place(path, x, holder, name)
            self._all(x, x.items() if isinstance(x, dict) else enumerate(x), words)

    def _look_into_function(self, path: str, function: FunctionType) -> None:
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            # One that is assigned later is empty.
            with suppress(ValueError):
                self._place(
                    _words("closure variable", name, path),
                    cell.cell_contents,
                    Attributes(cell),
                    CONTENTS,
                )
        defaults = function.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(defaults) :]
        self._named_items(
            path,
            defaults,
            Attributes(function),
            "__defaults__",
            lambda i: _words("default of", names[i], path),
        )
        self._named_items(
            path,
            function.__kwdefaults__,
            Attributes(function),
            "__kwdefaults__",
            lambda name: _words("default of", name, path),
        )
        self._add(path, getattr(function, "__wrapped__", None))
        if self._is_library(function.__module__):
            return
        self.functions.append(function)
        own = vars(function)
        if own:
            self.open.append(own)
            for name, value in list(own.items()):
                self._attribute(_dotted(path, name), value, own, name)
        read, known = names_in(code), function.__globals__
        self.assigned.update(read.assigned)
        self.open.append(known)
        for name in read.variables if _ANY_GLOBAL.isdisjoint(read.variables) else list(known):
            if name in known and name[:2] != "__":
                self._place(_words("global", name, path), known[name], known, name)
        for module in _imported(read.imported, known.get("__package__") or ""):
            self._add(_words("module", module.__name__, path), module)
        self._name(
            read.attributes,
            everything=not _BY_NAME.isdisjoint((*read.variables, *read.attributes)),
        )

    def _name(self, attributes: Iterable[str], *, everything: bool) -> None:
        """Visit the attributes that code names, or everything, where that cannot be told."""
        self._any_name |= everything
        self._named.update(attributes)
        for name in list(self._waiting) if everything else attributes:
            for reached in self._waiting.pop(name, ()):
                self._place(*reached)

    def _look_into_class(self, path: str, x: type) -> None:
        if self._is_library(x.__module__):
            return
        libraries = [
            base for base in x.__mro__ if base is not object and self._is_library(base.__module__)
        ]
        holder = ClassAttributes(x)
        self.open.append(vars(x))
        for name, value in list(vars(x).items()):
            if name.startswith("__") and name.endswith("__"):
                # Operators, calls and the like are not named.
                if callable(value) and name not in ("__init__", "__new__"):
                    self._add(_dotted(path, name), value)
            elif any(hasattr(base, name) for base in libraries):
                # What overrides is called by code that is not read, as forward() is.
                self._place(_dotted(path, name), value, holder, name)
            else:
                self._attribute(_dotted(path, name), value, holder, name)
        for base in x.__bases__:
            self._add(path, base)

    def _look_into_object(self, path: str, x: Any) -> None:
        kind = type(x)
        for child in _held(x):
            self._add(path, child)
        for name in _INSIDE.get(kind, ("__wrapped__",)):
            # The function in a descriptor or a wrapper; not an attribute that a class makes up.
            if _has(x, name):
                self._add(path, getattr(x, name, None))
        if isinstance(x, DynamicValue) or (self._is_library(kind.__module__) and not holds_more(x)):
            return
        own, slots = getattr(x, "__dict__", {}), _slots(x)
        if is_data(x) or any(
            self._is_library(base.__module__) for base in kind.__mro__ if base is not object
        ):
            # Code that is not read uses them all.
            if "__wrapped__" not in own:
                self._all(own, own.items(), lambda name: _dotted(path, name))
            for name in slots:
                self._place(
                    _dotted(path, name),
                    getattr(x, name),
                    Attributes(x),
                    name,
                )
        else:
            self.open.append(own)
            for name, value in list(own.items()):
                self._attribute(_dotted(path, name), value, own, name)
            for name in slots:
                self._attribute(
                    _dotted(path, name),
                    getattr(x, name),
                    Attributes(x),
                    name,
                )
        self._add(_dotted(path, "__class__"), kind)

    def _is_library(self, module: str | None) -> bool:
        package = _package(module)
        return (package not in self._own and is_library(package)) or package in _NEVER_READ


def _held(x: Any) -> Iterable[Any]:
    """Return what an object of Python's own refers to, other than by attributes."""
    if isinstance(x, ContextVar):
        return [x.get(None)]
    if isinstance(x, GeneratorType):
        return [] if x.gi_frame is None else x.gi_frame.f_locals.values()
    return gc.get_referents(x) if isinstance(x, _REFERRING) else ()


def holds_more(x: Any) -> bool:
    """Tell whether there is something to reach in a value that is no array, tree or container."""
    kind = type(x)
    if kind in _PLAIN or isinstance(x, ModuleType):
        return False
    if isinstance(x, _CALLABLE) or is_data(x) or _has(x, "__wrapped__"):
        return True
    module = (x if isinstance(x, type) else kind).__module__
    # What derivatives keep, they keep to be quicker.
    own = _package(module) == "anynet" and not module.startswith(
        ("anynet.autodiff", "anynet.tracing")
    )
    return own or not is_library(_package(module))


def is_data(x: Any) -> bool:
    """Tell whether x is compared by its attributes, as dataclasses and argparse's namespaces
    are.
    """
    kind = type(x)
    return (
        is_dataclass(kind)
        or issubclass(kind, threading.local | Queue)
        or (kind.__hash__ is None and hasattr(x, "__dict__"))
    )


def _has(x: Any, name: str) -> bool:
    """Tell whether an object or its class has an attribute, not whether the class makes one up when
    asked.
    """
    return hasattr(type(x), name) or name in getattr(x, "__dict__", ())


def _slots(x: Any) -> list[str]:
    """Return the names of the slots of an object that are filled."""
    found = []
    for kind in type(x).__mro__:
        slots = vars(kind).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        found += [name for name in names if hasattr(x, name) and name[:2] != "__"]
    return found


class Names(NamedTuple):
    """What code names, also in functions inside it."""

    variables: tuple[str, ...]
    attributes: tuple[str, ...]
    #: Those of the attributes that are assigned.
    assigned: tuple[str, ...]
    #: Modules.
    imported: tuple[str, ...]


@lru_cache(1024)
def names_in(code: CodeType) -> Names:
    """Return the globals, attributes and modules that code names."""
    found: tuple[dict[str, None], ...] = {}, {}, {}, {}
    variables, attributes, assigned, imported = found
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            imported[instruction.argval] = None
        elif instruction.opcode in dis.hasname:
            of_global = "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME"
            (variables if of_global else attributes)[instruction.argval] = None
            if instruction.opname == "STORE_ATTR":
                assigned[instruction.argval] = None
        elif instruction.opname == "MATCH_CLASS":
            # Patterns have the names of attributes in a tuple.
            words = [
                word
                for x in code.co_consts
                if isinstance(x, tuple)
                for word in x
                if isinstance(word, str)
            ]
            attributes |= dict.fromkeys(words)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            for names, inner_names in zip(found, names_in(inner), strict=True):
                names |= dict.fromkeys(inner_names)
    return Names(*map(tuple, found))


def _imported(names: Iterable[str], package: str) -> Iterator[ModuleType]:
    """Yield the modules that code in a package imports by these names, which may be relative, and
    those around them.
    """
    places = [*accumulate(package.split("."), "{}.{}".format), ""]
    for name in names:
        for place in places:
            for full in accumulate(filter(None, (place, *name.split("."))), "{}.{}".format):
                if full in sys.modules:
                    yield sys.modules[full]


#: Types of values that hold nothing.
_PLAIN = frozenset(
    [
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        type(...),
        CellType,
        range,
        slice,
    ]
)

_CONTAINERS = frozenset([dict, list, tuple, set, frozenset, deque])

#: Functions that reach any global.
_ANY_GLOBAL = frozenset(["globals", "eval", "exec"])

#: Types of what is called, or refers to something, in ways of Python's own.
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

#: Names by which code reads attributes that it does not name.
_BY_NAME = frozenset(
    [
        "getattr",
        "vars",
        "__dict__",
        "__getattribute__",
        "__getstate__",
        *_ANY_GLOBAL,
    ]
)

#: Types of Python's own that refer to something without a name for it.
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

#: Functions that return the state of a generator of random numbers.
_STATES = frozenset(["getstate", "get_state"])

#: Methods that anynet calls.
_CALLED = frozenset(["forward", "update"])

#: Where descriptors have their functions.
_INSIDE: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset"),
    classmethod: ("__func__",),
    staticmethod: ("__func__",),
    cached_property: ("func",),
    partialmethod: ("func", "args", "keywords"),
}

_NEVER_READ = frozenset(
    [
        "anynet",
        "builtins",
        *(name for name in sys.stdlib_module_names if name != "__main__"),
    ]
)


def _package(module: Any) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


@cache
def is_library(package: str) -> bool:
    """Tell whether a package belongs to Python or anynet, or is where packages are installed."""
    if package in _NEVER_READ:
        return True
    module = sys.modules.get(package)
    places = [
        getattr(module, "__file__", None),
        *getattr(module, "__path__", ()),
    ]
    installed = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    return package.startswith("anynet_") or any(
        fspath(place).startswith(tuple(installed)) for place in places if place is not None
    )


def _words(kind: str, name: Any, path: str) -> str:
    return f"{kind} {name!r}" + (f" of {path}" if path else "")


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
