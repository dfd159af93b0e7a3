"""Programs: the calls of a recording, and the Python code that makes them again."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Slot:
    """Where a value is kept while the calls are made."""

    number: int


@dataclass(frozen=True)
class Instruction:
    """One call: each argument is a place or what it was; results go to places in order."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    settings: dict[str, Any]
    results: tuple[Slot, ...]
    several: bool
    #: Shape, dtype and order in memory of the first result.
    kind: tuple[Any, ...]
    #: Whether it is a user's own code, which may keep what it is given and what it returns.
    own: bool = False

    def places(self) -> Iterator[Slot]:
        """Return the places among the arguments."""
        return (x for x in self.args if isinstance(x, Slot))


def needed_calls(calls: list[Instruction], outputs: list[Any]) -> list[Instruction]:
    """Return the calls without which the outputs would not be there, in order."""
    needed = {x.number for x in outputs if isinstance(x, Slot)}
    found = []
    for call in reversed(calls):
        if not needed.isdisjoint(place.number for place in call.results):
            needed |= {place.number for place in call.places()}
            found.append(call)
    return found[::-1]


def generate_source(
    calls: list[Instruction], inputs: dict[int, str], outputs: list[Any]
) -> tuple[str, dict[str, Any]]:
    """Return the calls as the source of a function ``run``, and what its names stand for.

    Inputs are names by their places, in order.
    """
    # An input would hide a function or a constant of its name; the code has two names of its own.
    known: dict[str, Any] = dict.fromkeys(inputs.values()) | {
        "run": None,
        "slice": slice,
    }
    places = dict(inputs)

    def name(x: Any) -> str:
        if isinstance(x, Slot):
            return places.setdefault(x.number, f"v{x.number}")
        if isinstance(x, tuple) and not hasattr(x, "_fields"):
            return f"({', '.join(map(name, x))}{',' * (len(x) == 1)})"
        if isinstance(x, slice):
            return f"slice({name(x.start)}, {name(x.stop)}, {name(x.step)})"
        if (
            x is None
            or x is ...
            or type(x) in (bool, int, str)
            or (type(x) is float and math.isfinite(x))
        ):
            return "..." if x is ... else repr(x)
        return free_name(known, "c", x)

    needed = {x.number for x in outputs if isinstance(x, Slot)} | set(inputs)
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


def _line(call: Instruction, name: Callable[[Any], str], known: dict[str, Any]) -> str:
    function = free_name(known, re.sub(r"\W", "_", call.name), call.function)
    results = ", ".join(map(name, call.results))
    arguments = [
        *map(name, call.args),
        *(f"{key}={name(value)}" for key, value in call.settings.items()),
    ]
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
