"""The recorder: a trace that computes and records each call."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from anynet.array import Array, array_namespace, is_array, unrecorded
from anynet.compiler.prologue import Prologue
from anynet.compiler.source import Instruction, Slot
from anynet.compiler.target import target_of
from anynet.errors import CompilationError
from anynet.kernel import Function, Kernels
from anynet.tracing.dynamic_scalars import DynamicValue
from anynet.tracing.trace import Primitive, Traced, next_level


class Recorder:
    """A trace whose traced arrays stand for slots, whatever their values are now.

    Args:
        like: an array of the library that computes, if one is known already.

    """

    batch_axes = 0
    keeps_decompositions = True

    def __init__(self, like: Array | None = None) -> None:
        self.level = next_level()
        self.instructions: list[Instruction] = []
        #: The computations of each replay before its calls, and the slots of their scalars.
        self.prologue = Prologue()
        self.scalars: list[Slot] = []
        #: The dynamic values that the step reaches.
        self.dynamic: set[DynamicValue] = set()
        #: Whether the updates of a step are made, as flags of the device.
        self.flags: list[Slot] = []
        self._flag: int | None = None
        #: Whether no update was left out in this call.
        self.is_complete = True
        self._slots = 0
        self._closed = False
        self._thread = threading.get_ident()
        self._has_library = False
        self._use_library(like)

    def _use_library(self, like: Array | None) -> None:
        self._has_library = like is not None
        self.target = target_of(like)
        self.kernels = Kernels(self.target.backend.kernels)

    def variable(self, x: Any) -> Traced:
        """Return a traced array for an array or a scalar that may differ in the next call."""
        if not self._has_library and is_array(x):
            self._use_library(x)
        self._slots += 1
        return Traced(unrecorded(x), self, self._slots - 1)

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
        self, compute: Callable[..., Sequence[float]], values: tuple[DynamicValue, ...]
    ) -> tuple[Any, ...]:
        """Return the scalars that a function computes, which each replay calls again."""
        scalars = tuple(map(self.variable, self.prologue.scalars(compute, values)))
        self.scalars += [Slot(x.node) for x in scalars]
        return scalars

    def branch(self, value: DynamicValue, function: Callable[[Any], Any]) -> Any:
        """Return function(value), on which replays of the program depend."""
        return self.prologue.branch(value, function)

    def advance(self, value: DynamicValue, function: Callable[[Any], Any]) -> None:
        """Replace a dynamic value, now and after each replay that succeeds."""
        self.prologue.advance(value, function, self._flag)

    def makes_update(self, flag: Array) -> bool:
        """Return whether a flag is true in this call. Otherwise no later call uses the recording.

        An update that is recorded is then one that was made.
        """
        made = bool(value_of(flag))
        self.is_complete = self.is_complete and made
        return made

    @contextmanager
    def advancing_if(self, flag: Array) -> Iterator[None]:
        """Let dynamic values advance only in replays where the flag is true. It is true now.

        Args:
            flag: an array of no axes, which this recorder records.

        """
        outer = self._flag
        self._flag = len(self.flags)
        self.flags.append(self.slot(flag))
        try:
            yield
        finally:
            self._flag = outer

    def close(self) -> None:
        """End the recording. Traced arrays that are left raise when they are used."""
        self.instructions = []
        self._closed = True

    def error(self, what: str) -> CompilationError:
        """Return the error for a value that is read while the step is recorded."""
        return CompilationError(
            f"{what} is unknown while a step is recorded, because later calls may have another "
            "value: use the functions of its namespace (where() for a choice), or leave this part "
            "out of the compiled step"
        )

    def slot(self, x: Any) -> Any:
        """Return the slot of a variable, the array of a constant, and anything else as it is."""
        if type(x) is not Traced:
            return x
        if x.trace is self:
            return Slot(x.node)
        if x.trace is not None:
            raise CompilationError(
                f"{x!r} belongs to another trace: a compiled step cannot be differentiated"
            )
        return x.value

    def apply(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Compute the primitive and record the calls of its kernel's lowering, those of an inlined
        reference, or one call.
        """
        self._check(step, args)
        values = [value_of(x) for x in args]
        reference: Any = step.reference
        if step.opaque and not self.target.calls_python(partial(reference, **settings), values):
            return self._inline_users_code(step, args, settings)
        out, _, function = step.evaluate(values, settings)
        lowering = self.kernels.lowerings.get(function)
        if lowering is not None:
            # Its memory would add to that of the lowering's results.
            del out
            lowered = lowering(self.emit, *args, **settings)
            if lowered is not NotImplemented:
                return lowered
            out, _, _ = step.evaluate(values, settings)
        if function is reference and step.inlined:
            # Its calls can be computed in place, and its writes into buffers are recorded.
            return reference(*args, **settings)
        return self._record(step.name, function, args, settings, out, is_users=step.opaque)

    def _check(self, step: Primitive[..., Any], args: Sequence[Any]) -> None:
        if self._closed:
            raise CompilationError(
                f"{step.name}: an array of a compiled step was kept from when it was recorded: "
                "return it, or pass the object that keeps it (a network, an optimizer) to the step "
                "as an argument"
            )
        if threading.get_ident() != self._thread:
            raise CompilationError(
                f"{step.name}: another thread is recording a compiled step, and this is an array "
                "of it: call the step once before threads share what it uses, and use no threads "
                "inside a step"
            )
        if step.name in _OPEN_ENDED or (step.name == "getitem_at" and any(map(_is_mask, args[1:]))):
            raise CompilationError(
                f"{step.name}: the number of resulting elements depends on the values, and a "
                "compiled step has fixed shapes: use where(), or leave this part out of the "
                "compiled step"
            )

    def _inline_users_code(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Record the calls of a user's own code, for a device that runs steps without Python."""
        before = len(self.instructions)
        reference: Any = step.reference
        try:
            return reference(*args, **settings)
        except Exception as error:
            del self.instructions[before:]
            raise CompilationError(
                f"{step.name} is code that a compiled step cannot call on this device, which runs "
                f"steps without Python ({error!r}): write it in the functions of its arrays' "
                "namespace, or leave this part out of the compiled step"
            ) from error

    def emit(
        self,
        function: Function,
        *args: Any,
        **settings: Any,
    ) -> Any:
        """Call a function of the library and record the call."""
        # The name of maximum.reduce is reduce.
        owner: Any = getattr(function, "__self__", None)
        name = f"{owner.__name__}_{function.__name__}" if callable(owner) else function.__name__
        out = function(*map(value_of, args), **settings)
        return self._record(name, function, args, settings, out)

    def _record(
        self,
        name: str,
        function: Function,
        args: Sequence[Any],
        settings: dict[str, Any],
        out: Any,
        *,
        is_users: bool = False,
    ) -> Any:
        is_multiple = isinstance(out, tuple | list)
        if is_multiple and not out:
            return out
        slots = tuple(map(self.slot, args))
        variables = [self.variable(x) for x in (out if is_multiple else (out,))]
        results = tuple([Slot(x.node) for x in variables])
        first = variables[0].value
        layout = first.shape, first.dtype, self.target.backend.strides(first)
        self.instructions.append(
            Instruction(name, function, slots, settings, results, is_multiple, layout, is_users)
        )
        if not is_multiple:
            return variables[0]
        return type(out)(*variables) if hasattr(out, "_fields") else tuple(variables)


def value_of(x: object) -> Any:
    """Return the array that a traced one stands for, and anything else as it is."""
    return x.value if type(x) is Traced else x


#: Functions whose results have as many elements as the values say.
_OPEN_ENDED = frozenset(
    ["nonzero", "repeat", "unique_all", "unique_counts", "unique_inverse", "unique_values"]
)


def _is_mask(x: object) -> bool:
    return is_array(x) and bool(array_namespace(x).isdtype(x.dtype, "bool"))
