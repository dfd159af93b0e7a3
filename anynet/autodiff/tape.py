"""The tape, and the walk back along it.

While a function runs, a `Tape` notes for each step what it was made from and how cotangents pass
back through it. `Tape.backward` then walks the steps in reverse, once: everything that all rules
have in common happens here.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, TypeVar

from anynet import tree
from anynet.array import (
    RECORDING_TYPES,
    Array,
    array_namespace,
    conj,
    is_array,
    is_complex,
    is_floating,
    unrecorded,
)
from anynet.errors import DifferentiationError
from anynet.primitives.indexing import sum_to
from anynet.tracing.errors import differentiation_error
from anynet.tracing.standard import STANDARD
from anynet.tracing.trace import Primitive, Traced, next_level, wrap

T = TypeVar("T")

# What a step was made from: its place on the tape, its shape and dtype, and the pullback to it.
_Parent = tuple[int, tuple[int, ...], Any, Callable[[Any], Array]]
#: What the modules of a tree that is being differentiated are told.
TRAINING = {"_differentiated": True}

_EMPTY: list[tuple[list[_Parent], int | None]] = [([], 0)]


class Tape:
    """A trace that records: each step holds its parents, never their values beyond what pullbacks
    close over.
    """

    batch_axes = 0
    keeps_decompositions = False
    error = staticmethod(differentiation_error)

    def __init__(self) -> None:
        self.level = next_level()
        # (parents, number of outputs, None for one that is no tuple); those after the first have
        # empty places.
        self.steps: list[tuple[list[_Parent], int | None]] | None = []
        # Only counted: a list of them would be a cycle, and keep every array alive until the
        # collector runs. They take the places 0, 1, 2, …; the steps follow.
        self.variables = 0
        # The place of every array that was to be a variable, in order; -1 for one that is a
        # constant.
        self.places: list[int] = []
        self.complex = False
        # Whether there are buffers among the constants, which may have changed in the end.
        self.buffers = False

    def begin(self, argument: T) -> T:
        """Return the tree with variables for the arrays that are trained; its modules are told of
        the training.
        """
        return tree.map(
            self.variable,
            argument,
            untrained=self.constant,
            defaults=TRAINING,
        )

    def finish(self, argument: Any, begun: Any) -> None:
        """Write the buffers of the tree that was begun back into the argument, as numbers of this
        tape no more.
        """
        if self.buffers:
            tree.update_buffers(lambda _, new: self.value(new), argument, begun)

    def value(self, x: Array) -> Array:
        """Return what a variable or a constant of this tape stands for."""
        return x.value if type(x) is Traced and (x.trace is self or x.trace is None) else x

    def constant(self, x: Array) -> Traced:
        """Begin with an array that is not trained."""
        self.buffers = True
        self.places.append(-1)
        return wrap(x)

    def variable(self, x: Array) -> Traced:
        """Begin with an array to differentiate with respect to; one that is not floating is a
        constant.
        """
        if not is_floating(x):
            if not is_complex(x):
                self.places.append(-1)
                return wrap(x)
            self.complex = True
        node = self.variables
        self.variables = node + 1
        self.places.append(node)
        return Traced(unrecorded(x) if type(x) in RECORDING_TYPES else x, self, node)

    def apply(
        self, step: Primitive[..., Any], args: Sequence[Any], settings: dict[str, Any]
    ) -> Any:
        """Evaluate the primitive and note how cotangents pass back through it."""
        steps = self.steps
        if steps is None:
            raise DifferentiationError(_OUTLIVED)
        values: list[Any] = []
        for arg in args:
            if type(arg) is Traced and (arg.trace is self or arg.trace is None):
                arg = arg.value
            values.append(arg)
        out, xp, _ = step.evaluate(values, settings)
        rule = step.rule
        several = isinstance(out, tuple)
        if rule is None or (several and not out):
            return wrap(out)
        if type(out[0] if several else out) is Traced:
            # Evaluated by a trace further out: then all arrays belong to it, as variables or as
            # constants.
            values = [wrap(value) if is_array(value) else value for value in values]
        pullbacks = rule(xp, out, *values, **settings)
        if type(pullbacks) is not tuple:
            pullbacks = (pullbacks,)
        parents = []
        # Shorter than the arguments where the last ones are settings.
        for pullback, arg, value in zip(pullbacks, args, values, strict=False):
            if pullback is not None and type(arg) is Traced and arg.trace is self:
                parents.append((arg.node, value.shape, value.dtype, pullback))
        if not parents:
            return wrap(out)
        node = self.variables + len(steps)
        if several:
            steps.append((parents, len(out)))
            steps.extend(_EMPTY * (len(out) - 1))
            return tuple(map(Traced, out, repeat(self), range(node, node + len(out))))
        steps.append((parents, None))
        return Traced(out, self, node)

    def backward(self, cotangents: dict[int, Array], *, keep: bool = False) -> list[Array | None]:
        """Walk back from cotangents by their places; return those of the variables, None for zero.

        A step is forgotten as soon as it is passed, and with it what its pullbacks held, unless it
        is to be kept for another walk.
        """
        steps = self.steps
        if steps is None:
            raise DifferentiationError(_OUTLIVED)
        if keep:
            steps = steps.copy()
        else:
            self.steps = None
        inputs = self.variables
        for place in range(inputs + len(steps) - 1, inputs - 1, -1):
            parents, outputs = steps.pop()
            g: Any
            if outputs is None:
                g = cotangents.pop(place, None)
            elif outputs:
                several = tuple(
                    map(
                        cotangents.pop,
                        range(place, place + outputs),
                        repeat(None),
                    )
                )
                g = several if any(map(is_array, several)) else None
            else:
                continue
            if g is None:
                continue
            for node, shape, dtype, pullback in parents:
                c = pullback(g)
                if c is None:
                    continue
                if c.shape != shape:
                    c = sum_to(c, shape)
                if c.dtype is not dtype and c.dtype != dtype:
                    c = _cast(c, dtype)
                before = cotangents.get(node)
                cotangents[node] = c if before is None else c + before
        return [cotangents.get(i) for i in range(inputs)]

    def gradients(self, trees: T, cotangents: list[Array | None]) -> T:
        """Return trees like those that were begun, in a list or tuple: each array's cotangent, None
        for constants.
        """
        identities = set(map(id, cotangents))
        if len(identities) < len(cotangents):
            cotangents = _apart(cotangents)
        if self.complex:
            # On the way back no rule conjugates, so that one formula serves real and complex
            # arrays.
            cotangents = [None if g is None else conj(g) for g in cotangents]
        # The place of a constant is -1, which is that of the last one here.
        found = map([*cotangents, None].__getitem__, self.places)
        if id(None) not in identities:
            return tree.unflatten(trees, found)
        places = iter(self.places)

        def of_leaf(x: Array) -> Array | None:
            g = next(found)
            return array_namespace(x).zeros_like(x) if next(places) >= 0 and g is None else g

        return tree.map(of_leaf, trees)


def _apart(cotangents: list[Array | None]) -> list[Array | None]:
    """Return each cotangent as an array of its own.

    Two parameters may have the very same one, as those of a sum; in a module that would tie them.
    """
    first = {id(g): i for i, g in reversed([*enumerate(cotangents)])}
    return [
        g if g is None or first[id(g)] == i else STANDARD["multiply"](g, 1)
        for i, g in enumerate(cotangents)
    ]


_OUTLIVED = (
    "a traced array outlived the call it was traced in; "
    "return it from the differentiated function, or keep anynet.stop_gradient(x) of it"
)


def _cast(c: Array, dtype: Any) -> Array:
    """Bring a cotangent to the dtype of its array; that of a real one, met by complex ones, is the
    real part.
    """
    xp = array_namespace(c)
    if xp.isdtype(c.dtype, "complex floating") and not xp.isdtype(dtype, "complex floating"):
        c = xp.real(c)
    return xp.astype(c, dtype)
