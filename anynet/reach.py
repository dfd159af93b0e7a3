"""What a function can reach from outside its arguments: networks, optimizers, arrays and settings.

A function reaches what its closures, defaults and partial arguments hold, the globals that its code names, and what
these hold in turn: containers, the objects of user classes, further functions. Attributes of such objects and of Python
modules count where some code that is reached names them. Code of the standard library, of installed packages and of
anynet itself is not read, since it has no state of the user's; closures are followed there too.
"""

import dis
import sys
import sysconfig
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Set
from dataclasses import is_dataclass
from functools import cache, cached_property, lru_cache, partial
from os import fspath
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from anynet import tree
from anynet.array import is_array

#: Places that are visited at most.
LIMIT = 100_000


class Reached(NamedTuple):
    """A value, the words that say how it is reached, and its place: ``holder[name]`` is the value."""

    path: str
    value: Any
    holder: Any
    name: Any


class Attributes:
    """The attributes of an object as items; those of a cell, a class or a function too."""

    __slots__ = ("_of",)

    def __init__(self, of: Any) -> None:
        self._of = of

    def __getitem__(self, name: str) -> Any:
        return getattr(self._of, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self._of, name, value)


def reachable(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for everything that a function can reach, each object once, the nearest ones first.

    A path reads like ``closure variable 'net'``, ``self.net`` or ``global 'config'.nets[0]``. The insides of networks
    and other trees are yielded as well. Numbers, strings and the like are left out.
    """
    yield from Reach(function).objects


class Reach:
    """All places that can be reached from some roots, in an order that only depends on what is there."""

    def __init__(self, *roots: Any) -> None:
        self.places: list[Reached] = []
        #: Everything that is there, once, with its path.
        self.objects: list[tuple[str, Any]] = []
        #: Whether there was no more than can be visited.
        self.complete = True
        self._seen: set[int] = set()
        self._queue: deque[tuple[str, Any]] = deque()
        # Attributes that code has named so far, and those that wait for code that does.
        self._named = set(_CALLED)
        self._any_name = False
        self._waiting: dict[str, list[Reached]] = defaultdict(list)
        self._own = {_package(getattr(root, "__module__", None)) for root in roots}
        for root in roots:
            self._add("", root)
        while self._queue and self.complete:
            self._look_into(*self._queue.popleft())

    def _place(self, path: str, value: Any, holder: Any, name: Any) -> None:
        self.places.append(Reached(path, value, holder, name))
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

    def _look_into(self, path: str, x: Any) -> None:
        kind = type(x)
        if tree.is_node(x):
            for name, value in list(vars(x).items()):
                self._place(_dotted(path, name), value, vars(x), name)
            self._add(_dotted(path, "__class__"), kind)
        elif isinstance(x, dict):
            for name, value in list(x.items()):
                self._place(f"{path}[{name!r}]", value, x, name)
        elif isinstance(x, list | tuple | deque):
            for i, value in enumerate(list(x)):
                self._place(f"{path}[{i}]", value, x, i)
        elif isinstance(x, Set):
            for value in list(x):
                self._add(f"{path}'s element", value)
        elif kind is FunctionType:
            self._look_into_function(path, x)
        elif kind is MethodType:
            self._add("self" if not path else f"self of {path}", x.__self__)
            self._add(path, x.__func__)
        elif isinstance(x, partial):
            self._add(path, x.func)
            for i, value in enumerate(x.args):
                self._place(_words("partial argument", i, path), value, x.args, i)
            for name, value in x.keywords.items():
                self._place(_words("partial argument", name, path), value, x.keywords, name)
        elif isinstance(x, ModuleType):
            if not self._is_library(x.__name__):
                for name, value in list(vars(x).items()):
                    self._attribute(_dotted(path, name), value, vars(x), name)
        elif isinstance(x, type):
            self._look_into_class(path, x)
        else:
            self._look_into_object(path, x)

    def _look_into_function(self, path: str, function: FunctionType) -> None:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                # One that is assigned later.
                continue
            self._place(_words("closure variable", name, path), value, Attributes(cell), "cell_contents")
        count = function.__code__.co_argcount
        for i, value in enumerate(function.__defaults__ or (), count - len(function.__defaults__ or ())):
            defaults, first = function.__defaults__, count - len(function.__defaults__ or ())
            self._place(_words("default of", function.__code__.co_varnames[i], path), value, defaults, i - first)
        for name, value in (function.__kwdefaults__ or {}).items():
            self._place(_words("default of", name, path), value, function.__kwdefaults__, name)
        self._add(path, getattr(function, "__wrapped__", None))
        if self._is_library(function.__module__):
            return
        variables, attributes = names_in(function.__code__)
        for name in variables:
            if name in function.__globals__:
                self._place(_words("global", name, path), function.__globals__[name], function.__globals__, name)
        if not _BY_NAME.isdisjoint(variables) or not _BY_NAME.isdisjoint(attributes):
            self._any_name = True
            released = list(self._waiting)
        else:
            released = [name for name in attributes if name not in self._named]
        self._named.update(attributes)
        for name in released:
            for reached in self._waiting.pop(name, ()):
                self._place(*reached)

    def _look_into_class(self, path: str, x: type) -> None:
        if self._is_library(x.__module__):
            return
        libraries = [base for base in x.__mro__ if base is not object and self._is_library(base.__module__)]
        for name, value in list(vars(x).items()):
            if name.startswith("__") and name.endswith("__"):
                # Operators, calls and the like are not named.
                if callable(value) and name not in ("__init__", "__new__"):
                    self._add(_dotted(path, name), value)
            elif any(hasattr(base, name) for base in libraries):
                # What overrides is called by code that is not read, as forward() is.
                self._place(_dotted(path, name), value, Attributes(x), name)
            else:
                self._attribute(_dotted(path, name), value, Attributes(x), name)
        for base in x.__bases__:
            self._add(path, base)

    def _look_into_object(self, path: str, x: Any) -> None:
        kind = type(x)
        for name in _INSIDE.get(kind, ("__wrapped__",)):
            # The function in a descriptor or a wrapper; not an attribute that a class makes up.
            if hasattr(kind, name) or name in getattr(x, "__dict__", ()):
                self._add(path, getattr(x, name, None))
        if is_data(x):
            for name, value in attributes_of(x):
                self._place(_dotted(path, name), value, Attributes(x), name)
        elif not self._is_library(kind.__module__):
            for name, value in attributes_of(x):
                self._attribute(_dotted(path, name), value, Attributes(x), name)
        self._add(_dotted(path, "__class__"), kind)

    def _is_library(self, module: str | None) -> bool:
        package = _package(module)
        return package in _NEVER_READ or (package not in self._own and _is_installed(package))


def is_data(x: Any) -> bool:
    """Tell whether x is compared by its attributes, as dataclasses and argparse's namespaces are."""
    return is_dataclass(x) or (type(x).__hash__ is None and hasattr(x, "__dict__"))


def attributes_of(x: Any) -> list[tuple[str, Any]]:
    """Return the attributes of an object, those in its slots too."""
    found = list(getattr(x, "__dict__", {}).items())
    for kind in type(x).__mro__:
        slots = vars(kind).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        found += [(name, getattr(x, name)) for name in names if hasattr(x, name) and name[:2] != "__"]
    return found


@lru_cache(1024)
def names_in(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the globals and the attributes that some code names, and the functions written inside it."""
    variables: dict[str, None] = {}
    attributes: dict[str, None] = {}
    for instruction in dis.get_instructions(code):
        if instruction.opcode in dis.hasname:
            of_global = "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME"
            (variables if of_global else attributes)[instruction.argval] = None
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            inner_variables, inner_attributes = names_in(inner)
            variables |= dict.fromkeys(inner_variables)
            attributes |= dict.fromkeys(inner_attributes)
    return tuple(variables), tuple(attributes)


#: Types of values that hold nothing.
_PLAIN = frozenset([type(None), bool, int, float, complex, str, bytes, type(...), CodeType, CellType, range, slice])

#: Names by which code reads attributes that it does not name.
_BY_NAME = frozenset(["getattr", "vars", "__dict__", "__getattribute__", "attrgetter", "eval", "exec", "__getstate__"])

#: Methods that anynet calls.
_CALLED = frozenset(["forward", "update"])

#: Where descriptors have their functions.
_INSIDE: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset"),
    classmethod: ("__func__",),
    staticmethod: ("__func__",),
    cached_property: ("func",),
}

_NEVER_READ = frozenset(["anynet", "builtins", *(name for name in sys.stdlib_module_names if name != "__main__")])


def _package(module: Any) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


@cache
def _is_installed(package: str) -> bool:
    """Tell whether a package is where packages are installed, or is one of anynet's backends."""
    module = sys.modules.get(package)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    installed = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    return package.startswith("anynet_") or any(
        fspath(place).startswith(tuple(installed)) for place in places if place is not None
    )


def _words(kind: str, name: Any, path: str) -> str:
    return f"{kind} {name!r}" + (f" of {path}" if path else "")


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
