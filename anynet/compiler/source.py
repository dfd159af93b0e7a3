"""The Python source of a program, which tracebacks, debuggers and profilers show."""

import keyword
import linecache
import math
import re
import weakref
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from anynet.compiler.device_graph import ArrayFunction
from anynet.kernel import Function


class Slot(NamedTuple):
    """Where a program keeps a value."""

    number: int


class Instruction(NamedTuple):
    """One call. Its arguments are slots or constants. Its results go to slots in order."""

    name: str
    function: Function
    args: tuple[Any, ...]
    settings: Mapping[str, Any]
    results: tuple[Slot, ...]
    #: Whether the function returns a sequence of results.
    is_multiple: bool
    #: Shape, dtype and strides of the first result.
    layout: tuple[Any, ...]
    #: Whether the function is a user's, which may keep its arguments and results.
    is_users: bool

    @property
    def slots(self) -> list[Slot]:
        """The slots among the arguments, in order."""
        return [x for x in self.args if isinstance(x, Slot)]

    @property
    def reads(self) -> set[int]:
        """The numbers of the slots among the arguments."""
        return slots_in(self.args)

    @property
    def writes(self) -> set[int]:
        """The numbers of the slots of the results."""
        return slots_in(self.results)


def slots_in(values: Iterable[Any]) -> set[int]:
    """Return the numbers of the slots among the values."""
    return {x.number for x in values if isinstance(x, Slot)}


def needed_instructions(
    instructions: Iterable[Instruction], outputs: Iterable[Any]
) -> list[Instruction]:
    """Return the instructions that the outputs depend on, in order."""
    needed = slots_in(outputs)
    kept = []
    for instruction in reversed([*instructions]):
        if not needed.isdisjoint(instruction.writes):
            needed |= instruction.reads
            kept.append(instruction)
    return kept[::-1]


def generate_source(
    instructions: list[Instruction],
    inputs: dict[int, str],
    outputs: list[Any],
) -> tuple[str, dict[str, Any]]:
    """Return the source of a function ``run``, and the values of its global names.

    Args:
        instructions: the calls.
        inputs: the names of the parameters by their slots, in order.
        outputs: slots or constants, which the function returns in a list.

    """
    # No global may have the name of a parameter, which would hide it.
    names: dict[str, Any] = dict.fromkeys(inputs.values()) | {"run": None, "slice": slice}
    slots = dict(inputs)

    def slot(number: int) -> str:
        return slots.setdefault(number, f"v{number}")

    def name(x: object) -> str:
        if isinstance(x, Slot):
            return slot(x.number)
        if isinstance(x, tuple) and not hasattr(x, "_fields"):
            return f"({', '.join(map(name, x))}{',' * (len(x) == 1)})"
        if isinstance(x, slice):
            return f"slice({name(x.start)}, {name(x.stop)}, {name(x.step)})"
        if x is ...:
            return "..."
        if x is None or type(x) in (bool, int, str) or (type(x) is float and math.isfinite(x)):
            return repr(x)
        return free_name(names, "c", x)

    def line(call: Instruction) -> str:
        function = free_name(names, re.sub(r"\W", "_", call.name), call.function)
        settings = [f"{key}={name(value)}" for key, value in call.settings.items()]
        arguments = ", ".join([*map(name, call.args), *settings])
        results = ", ".join(map(name, call.results))
        comma = "," if call.is_multiple and len(call.results) == 1 else ""
        return f"{results}{comma} = {function}({arguments})"

    live = slots_in(outputs) | set(inputs)
    lines = [f"return [{', '.join(map(name, outputs))}]"]
    for call in reversed(instructions):
        # Memory is freed after its last use.
        dead = sorted((call.reads | call.writes) - live)
        if dead:
            lines.append(f"del {', '.join(map(slot, dead))}")
        live |= call.reads
        lines.append(line(call))
    lines.append(f"def run({', '.join(inputs.values())}):")
    return "\n    ".join(reversed(lines)) + "\n", names


#: The number of the next program, for the name of its file.
_next_number = count(1).__next__


def function_of(
    source: str,
    names: dict[str, Any],
    title: str,
) -> ArrayFunction:
    """Return the function ``run`` of a source, whose lines are shown as those of a file.

    The lines are known for as long as the function exists.
    """
    file = f"<compiled {title} {_next_number()}>"
    scope = dict(names)
    exec(compile(source, file, "exec"), scope)  # a function of our own writing
    run: ArrayFunction = scope["run"]
    # Without a time of change, linecache looks for no file.
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    weakref.finalize(run, linecache.cache.pop, file, None).atexit = False
    return run


def input_names(wanted: Iterable[object]) -> list[str]:
    """Return a different parameter name for each name or index."""
    names: dict[str, Any] = {}
    inputs = []
    for x in wanted:
        name = re.sub(r"\W+", "_", str(x)).strip("_") or "x"
        # The source has other uses for these.
        if keyword.iskeyword(name) or re.fullmatch(r"\d.*|[vs]\d+|slice", name):
            name = f"_{name}"
        inputs.append(free_name(names, name, object()))
    return inputs


def free_name(
    names: dict[str, Any],
    wanted: str,
    value: object,
) -> str:
    """Return the name of a value: the wanted one, with a number where it names another value."""
    name = wanted
    tries = count(1)
    while names.setdefault(name, value) is not value:
        name = f"{wanted}{next(tries)}"
    return name
