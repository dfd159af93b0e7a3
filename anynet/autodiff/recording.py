"""Recording: what a function of arrays computes, as a list of calls, and as Python code that makes them again."""

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from anynet.array import Array, array_namespace, is_array, unrecorded
from anynet.autodiff.trace import STANDARD, Primitive, Traced, next_level
from anynet.backend import get_backend
from anynet.errors import CompilationError


@dataclass(frozen=True)
class Place:
    """Where a value is kept while the calls are made."""

    number: int


@dataclass(frozen=True)
class Call:
    """One call: each argument is a place or what it was; results go to places in order."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    settings: dict[str, Any]
    results: tuple[Place, ...]
    several: bool
    #: Shape, dtype and order in memory of the first result.
    kind: tuple[Any, ...]
    #: Whether it is a user's own code, which may keep what it is given and what it returns.
    own: bool = False

    def places(self) -> Iterator[Place]:
        """Return the places among the arguments."""
        return (x for x in self.args if isinstance(x, Place))


class CalledError(Exception):
    """An error of a user's own code that a recording calls: what it did it is not to do a second time."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class DynamicScalars:
    """The base of what computes scalars that differ from step to step, as the clock of an optimizer does.

    A compiled step computes them again each time it runs. Its attributes may change with every step; where a step
    fails they are put back.
    """

    #: What records at the moment.
    recorder: "Recorder | None" = None

    def scalars(self, compute: Callable[[], tuple[float, ...]]) -> tuple[Any, ...]:
        """Return the scalars that a function computes, which is called again each time."""
        return compute() if self.recorder is None else self.recorder.scalars(compute)

    def is_read(self, what: str) -> None:
        """Note that a step has seen what is another number each time it runs."""
        if self.recorder is not None:
            self.recorder.seen = what

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes of a copy, whose own scalars a compiled step would not compute again."""
        self.is_read("a copy of an optimizer")
        return {name: value for name, value in vars(self).items() if name != "recorder"}

    def afterwards(self, change: Callable[[], None]) -> None:
        """Make a change that the scalars of later updates depend on, and make it again each time."""
        change()
        if self.recorder is not None:
            self.recorder.questions.append((change, ()))


class Recorder:
    """A trace that evaluates, and notes what was called: arrays are places, whatever their numbers are now."""

    hidden_axes = 0
    whole = True

    def __init__(self, home: Sequence[Any] = ()) -> None:
        self.level = next_level()
        self.calls: list[Call] = []
        #: What computes scalars, and the places of these, called in order before the calls; also changes in between.
        self.questions: list[tuple[Callable[[], tuple[float, ...] | None], tuple[Place, ...]]] = []
        #: What these belong to; see `DynamicScalars`.
        self.dynamic: list[DynamicScalars] = []
        #: What was read that is another number each time, in words.
        self.seen = ""
        #: Any array of the library that computes.
        self.home: Any = None
        self._places = 0
        self._closed = False
        self._thread = threading.get_ident()
        self._parts: Mapping[Callable[..., Any], Callable[..., Any]] = {}
        self._strides: Callable[[Array], Any] = lambda x: None
        for x in home:
            self._settle_in(x)

    def variable(self, x: Any) -> Traced:
        """Begin with an array, or a number, that may be another next time."""
        self._places += 1
        if self.home is None and is_array(x):
            self._settle_in(x)
        return Traced(unrecorded(x), self, self._places - 1)

    def _settle_in(self, x: Array) -> None:
        """Compute with the library of an array."""
        self.home = x
        backend = get_backend(x)
        self._parts, self._strides = backend.parts, backend.strides

    def scalars(self, compute: Callable[[], tuple[float, ...]]) -> tuple[Any, ...]:
        """Return the scalars that a function computes, which is called again each time."""
        numbers = tuple(map(self.variable, compute()))
        self.questions.append((compute, tuple([Place(x.node) for x in numbers])))
        return numbers

    def close(self) -> None:
        """End the recording; arrays that were kept from it are of no use any more."""
        self.calls = []
        self._closed = True

    def refused(self, what: str) -> CompilationError:
        """Return the error for a number that is taken out of an array while it is recorded."""
        return CompilationError(
            f"{what} is not settled while a step is recorded, and may be another when it runs again: use the functions "
            "of its namespace (where() for a choice), or leave this part out of what is compiled"
        )

    def place(self, x: Any) -> Any:
        """Return the place of a traced array, the array of a constant; anything else is as it is."""
        if type(x) is not Traced:
            return x
        if x.trace is self:
            return Place(x.node)
        if x.trace is not None:
            raise CompilationError(f"{x!r} belongs to another trace: what is compiled cannot be differentiated")
        return x.value

    def apply(self, step: Primitive, args: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Evaluate the primitive and note the call."""
        if self._closed:
            raise CompilationError(
                f"{step.name}: an array of a compiled step was kept from when it was recorded: "
                "return it, or hand what it is kept in (a network, an optimizer) to the step as an argument"
            )
        if threading.get_ident() != self._thread:
            raise CompilationError(
                f"{step.name}: another thread is recording a compiled step, and this is an array of it: call the step "
                "once before threads share what it uses, and use no threads inside a step"
            )
        if step.name in _OPEN_ENDED or (step.name == "getitem_at" and any(map(_is_mask, args[1:]))):
            raise CompilationError(
                f"{step.name}: how many elements come out depends on the numbers, and a compiled step has fixed "
                "shapes: use where(), or leave this part out of what is compiled"
            )
        given = [settled(arg) for arg in args]
        out, _, function = step.evaluate(given, settings)
        if function in self._parts:
            # What was to tell the function is not to take memory beside what its parts compute.
            del out
            found = self._parts[function](self.do, *args, **settings)
            if found is not NotImplemented:
                return found
            out, _, _ = step.evaluate(given, settings)
        if step.opaque:
            return self._opaque(step, args, settings, given, out)
        if function is step.reference and step.name not in STANDARD:
            # Its parts may be done in place, and what it leaves in buffers is seen.
            return step.reference(*args, **settings)
        return self._noted(step.name, function, args, settings, out)

    def _opaque(
        self, step: Primitive, args: Sequence[Any], settings: dict[str, Any], given: list[Any], out: Any
    ) -> Any:
        """Note a user's own code as one call; where the device's steps call no Python, note its parts."""
        assert step.reference is not None
        if get_backend(self.home).calls_python(step.reference, given):
            return self._noted(step.name, partial(_call, step.reference), args, settings, out, own=True)
        try:
            return step.reference(*args, **settings)
        except Exception as error:
            raise CompilationError(
                f"{step.name} is code that a compiled step cannot call on this device, which runs steps without "
                f"Python ({error!r}): write it in the functions of its arrays' namespace, or leave this part out of "
                "what is compiled"
            ) from error

    def do(self, function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        """Call one of the library's own functions and note the call."""
        # maximum.reduce calls itself reduce.
        owner: Any = getattr(function, "__self__", None)
        name = f"{owner.__name__}_{function.__name__}" if callable(owner) else function.__name__
        return self._noted(name, function, args, settings, function(*map(settled, args), **settings))

    def _noted(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
        out: Any,
        *,
        own: bool = False,
    ) -> Any:
        several = isinstance(out, tuple | list)
        if several and not out:
            return out
        places = tuple(map(self.place, args))
        parts = [self.variable(x) for x in (out if several else (out,))]
        results = tuple([Place(x.node) for x in parts])
        first = parts[0].value
        kind = first.shape, first.dtype, self._strides(first)
        self.calls.append(Call(name, function, places, settings, results, several, kind, own))
        if not several:
            return parts[0]
        return type(out)(*parts) if hasattr(out, "_fields") else tuple(parts)


def _call(function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """Call a user's own code; its errors are raised as they are, see `CalledError`."""
    try:
        return function(*args, **settings)
    except Exception as error:
        raise CalledError(error) from error


def settled(x: Any) -> Any:
    """Return what a traced array stands for, anything else as it is."""
    return x.value if type(x) is Traced else x


#: Functions whose results have as many elements as the numbers say.
_OPEN_ENDED = frozenset(["nonzero", "repeat", "unique_all", "unique_counts", "unique_inverse", "unique_values"])


def _is_mask(x: Any) -> bool:
    return is_array(x) and bool(array_namespace(x).isdtype(x.dtype, "bool"))


def needed_calls(calls: list[Call], outputs: list[Any]) -> list[Call]:
    """Return the calls without which the outputs would not be there, in order."""
    needed = {x.number for x in outputs if isinstance(x, Place)}
    found = []
    for call in reversed(calls):
        if not needed.isdisjoint(place.number for place in call.results):
            needed |= {place.number for place in call.places()}
            found.append(call)
    return found[::-1]


def write(calls: list[Call], inputs: dict[int, str], outputs: list[Any]) -> tuple[str, dict[str, Any]]:
    """Return the calls as the source of a function ``run``, and what its names stand for.

    Inputs are names by their places, in order.
    """
    # An input would hide a function or a constant of its name; the code has two names of its own.
    known: dict[str, Any] = dict.fromkeys(inputs.values()) | {"run": None, "slice": slice}
    places = dict(inputs)

    def name(x: Any) -> str:
        if isinstance(x, Place):
            return places.setdefault(x.number, f"v{x.number}")
        if isinstance(x, tuple) and not hasattr(x, "_fields"):
            return f"({', '.join(map(name, x))}{',' * (len(x) == 1)})"
        if isinstance(x, slice):
            return f"slice({name(x.start)}, {name(x.stop)}, {name(x.step)})"
        if x is None or x is ... or type(x) in (bool, int, str) or (type(x) is float and math.isfinite(x)):
            return "..." if x is ... else repr(x)
        return free_name(known, "c", x)

    needed = {x.number for x in outputs if isinstance(x, Place)} | set(inputs)
    lines: list[str] = []
    for call in reversed(calls):
        used = {place.number for place in call.places()}
        # Freed as soon as nothing asks for it.
        freed = sorted((used | {place.number for place in call.results}) - needed)
        if freed:
            lines.append(f"del {', '.join(places.setdefault(i, f'v{i}') for i in freed)}")
        needed |= used
        lines.append(_line(call, name, known))
    lines = [f"def run({', '.join(inputs.values())}):", *reversed(lines)]
    lines.append(f"return [{', '.join(map(name, outputs))}]")
    return "\n    ".join(lines) + "\n", known


def _line(call: Call, name: Callable[[Any], str], known: dict[str, Any]) -> str:
    function = free_name(known, re.sub(r"\W", "_", call.name), call.function)
    results = ", ".join(map(name, call.results))
    arguments = [*map(name, call.args), *(f"{key}={name(value)}" for key, value in call.settings.items())]
    comma = "," if call.several and len(call.results) == 1 else ""
    return f"{results}{comma} = {function}({', '.join(arguments)})"


def free_name(known: dict[str, Any], name: str, value: Any) -> str:
    """Return a name under which the value is known, like the one wished for."""
    tries = 0
    free = name
    while known.setdefault(free, value) is not value:
        tries += 1
        free = f"{name}{tries}"
    return free
