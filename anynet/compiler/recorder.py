"""The recorder: a trace that notes what a function of arrays calls."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from anynet.array import Array, array_namespace, is_array, unrecorded
from anynet.compiler.program import Instruction, Slot
from anynet.compiler.prologue import Prologue
from anynet.compiler.target import target_of
from anynet.errors import CompilationError
from anynet.kernel import Kernels
from anynet.tracing.dynamic_scalars import DynamicValue
from anynet.tracing.trace import Primitive, Traced, next_level


class CalledError(Exception):
    """An error of a user's own code that a recording calls: what it did it is not to do a second
    time.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Recorder:
    """A trace that evaluates, and notes what was called: arrays are places, whatever their numbers
    are now.
    """

    batch_axes = 0
    keeps_decompositions = True

    def __init__(self, home: Sequence[Any] = ()) -> None:
        self.level = next_level()
        self.calls: list[Instruction] = []
        #: What each replay computes in Python before the calls, and the places of its scalars.
        self.prologue = Prologue()
        self.scalars: list[Slot] = []
        #: The dynamic values that the step reaches.
        self.dynamic: set[DynamicValue] = set()
        #: Any array of the library that computes.
        self.home: Any = None
        self._places = 0
        self._closed = False
        self._thread = threading.get_ident()
        #: The kernels of that library.
        self.kernels = Kernels()
        self._strides: Callable[[Array], Any] = lambda x: None
        self.target = target_of(None)
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
        self.target = target_of(x)
        backend = self.target.backend
        self.kernels, self._strides = Kernels(backend.kernels), backend.strides

    def records(self, values: tuple[DynamicValue, ...]) -> bool:
        """Return whether replays compute again the scalars that depend on these values.

        Those of a value that the step itself creates are constants.

        Raises:
            CompilationError: a value was there before and the step does not reach it.

        """
        for x in values:
            if x not in self.dynamic:
                if x.level > self.level:
                    return False
                raise CompilationError(
                    f"a scalar depends on {x.name}, which the step does not reach in its arguments "
                    "or its own code: pass the object that holds it as an argument"
                )
        return True

    def dynamic_scalars(
        self, compute: Callable[..., tuple[float, ...]], values: tuple[DynamicValue, ...]
    ) -> tuple[Any, ...]:
        """Return the scalars that a function computes, which each replay calls again."""
        scalars = tuple(map(self.variable, self.prologue.scalars(compute, values)))
        self.scalars += [Slot(x.node) for x in scalars]
        return scalars

    def advance(self, value: DynamicValue, function: Callable[[Any], Any]) -> None:
        """Replace a dynamic value, now and after each replay that succeeds."""
        self.prologue.advance(value, function)

    def close(self) -> None:
        """End the recording; arrays that were kept from it are of no use any more."""
        self.calls = []
        self._closed = True

    def error(self, what: str) -> CompilationError:
        """Return the error for a number that is taken out of an array while it is recorded."""
        return CompilationError(
            f"{what} is not settled while a step is recorded, and may be another when it runs "
            "again: use the functions of its namespace (where() for a choice), or leave this part "
            "out of what is compiled"
        )

    def place(self, x: Any) -> Any:
        """Return the place of a traced array, the array of a constant; anything else is as it
        is.
        """
        if type(x) is not Traced:
            return x
        if x.trace is self:
            return Slot(x.node)
        if x.trace is not None:
            raise CompilationError(
                f"{x!r} belongs to another trace: what is compiled cannot be differentiated"
            )
        return x.value

    def apply(
        self, step: Primitive[..., Any], args: Sequence[Any], settings: dict[str, Any]
    ) -> Any:
        """Evaluate the primitive and note the call."""
        if self._closed:
            raise CompilationError(
                f"{step.name}: an array of a compiled step was kept from when it was recorded: "
                "return it, or hand what it is kept in (a network, an optimizer) to the step as an "
                "argument"
            )
        if threading.get_ident() != self._thread:
            raise CompilationError(
                f"{step.name}: another thread is recording a compiled step, and this is an array of "
                "it: call the step once before threads share what it uses, and use no threads "
                "inside a step"
            )
        if step.name in _OPEN_ENDED or (step.name == "getitem_at" and any(map(_is_mask, args[1:]))):
            raise CompilationError(
                f"{step.name}: how many elements come out depends on the numbers, and a compiled "
                "step has fixed shapes: use where(), or leave this part out of what is compiled"
            )
        given = [value_of(arg) for arg in args]
        out, _, function = step.evaluate(given, settings)
        lowering = self.kernels.lowerings.get(function)
        if lowering is not None:
            # The kernel's result is not to take memory beside the results of its lowering.
            del out
            found = lowering(self.emit, *args, **settings)
            if found is not NotImplemented:
                return found
            out, _, _ = step.evaluate(given, settings)
        if step.opaque:
            return self._opaque(step, args, settings, given, out)
        if function is step.reference and step.inlined:
            # Its parts may be done in place, and what it leaves in buffers is seen.
            return step.reference(*args, **settings)
        return self._noted(step.name, function, args, settings, out)

    def _opaque(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
        given: list[Any],
        out: Any,
    ) -> Any:
        """Note a user's own code as one call; where the device's steps call no Python, note its
        parts.
        """
        assert step.reference is not None
        if self.target.calls_python(step.reference, given):
            return self._noted(
                step.name,
                partial(_call, step.reference),
                args,
                settings,
                out,
                own=True,
            )
        try:
            return step.reference(*args, **settings)
        except Exception as error:
            raise CompilationError(
                f"{step.name} is code that a compiled step cannot call on this device, which runs "
                f"steps without Python ({error!r}): write it in the functions of its arrays' "
                "namespace, or leave this part out of what is compiled"
            ) from error

    def emit(self, function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        """Call one of the library's own functions and note the call."""
        # maximum.reduce calls itself reduce.
        owner: Any = getattr(function, "__self__", None)
        name = f"{owner.__name__}_{function.__name__}" if callable(owner) else function.__name__
        return self._noted(
            name,
            function,
            args,
            settings,
            function(*map(value_of, args), **settings),
        )

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
        results = tuple([Slot(x.node) for x in parts])
        first = parts[0].value
        kind = first.shape, first.dtype, self._strides(first)
        self.calls.append(
            Instruction(
                name,
                function,
                places,
                settings,
                results,
                several,
                kind,
                own,
            )
        )
        if not several:
            return parts[0]
        return type(out)(*parts) if hasattr(out, "_fields") else tuple(parts)


def _call(function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """Call a user's own code; its errors are raised as they are, see `CalledError`."""
    try:
        return function(*args, **settings)
    except Exception as error:
        raise CalledError(error) from error


def value_of(x: Any) -> Any:
    """Return what a traced array stands for, anything else as it is."""
    return x.value if type(x) is Traced else x


#: Functions whose results have as many elements as the numbers say.
_OPEN_ENDED = frozenset(
    [
        "nonzero",
        "repeat",
        "unique_all",
        "unique_counts",
        "unique_inverse",
        "unique_values",
    ]
)


def _is_mask(x: Any) -> bool:
    return is_array(x) and bool(array_namespace(x).isdtype(x.dtype, "bool"))
