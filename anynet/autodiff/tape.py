"""The tape, and the walk back along it.

While a function runs, a `Tape` records the parents and the pullbacks of each step.
`Tape.backward` then walks the steps in reverse, once. It does the work that all rules have in
common: it sums over broadcast axes, keeps dtypes, and accumulates cotangents.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, TypeVar

from anynet import tree
from anynet.array import (
    RECORDING_TYPES,
    Array,
    DType,
    Shape,
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

#: A parent of a step: its index on the tape, its shape and dtype, and the pullback to it.
_Parent = tuple[int, Shape, DType, Callable[[Any], Array | None]]
#: Attributes of the modules in a tree that is being differentiated.
TRAINING = {"_differentiated": True}

_EMPTY: list[tuple[list[_Parent], int | None]] = [([], 0)]


class Tape:
    """A trace that records steps. A step holds pullbacks, and no values beside their closures."""

    batch_axes = 0
    keeps_decompositions = False
    error = staticmethod(differentiation_error)

    def __init__(self, share: Any = None) -> None:
        self.level = next_level()
        #: The rows of this rank, see `anynet.distributed.Share`. None outside of a group.
        self.share = share
        # (parents, number of outputs). The number is None for an output that is not a tuple. Each
        # further output of a tuple has an empty step.
        self.steps: list[tuple[list[_Parent], int | None]] | None = []
        # The number of variables. A list of them would be a cycle, which would keep every array
        # alive until the garbage collector runs. They have the indices 0, 1, 2, …, then the steps.
        self.variables = 0
        # The index of each array of the trees that began, in order, -1 for a constant.
        self.places: list[int] = []
        self.complex = False
        # Whether there are buffers among the constants, which the function may update.
        self.buffers = False

    def begin(self, argument: T) -> T:
        """Return the tree with its trained arrays as variables and its modules in training mode."""
        return tree.map(
            self.variable,
            argument,
            untrained=self.constant,
            defaults=TRAINING if self.share is None else TRAINING | {"_share": self.share},
        )

    def finish(
        self,
        argument: Any,
        begun: Any,
        finite: Array | None = None,
    ) -> None:
        """Write the updated buffers of a tree that began into the argument, detached.

        Args:
            argument: the tree.
            begun: from `begin`.
            finite: if given, the buffers are updated where it is true.

        """
        if not self.buffers:
            return

        def updated(old: Array, new: Array) -> Array:
            new = self.value(new)
            if finite is None or new is old:
                return new
            return array_namespace(finite, new).where(finite, new, old)

        tree.update_buffers(updated, argument, begun)

    def value(self, x: Array) -> Array:
        """Return the value of a variable or a constant of this tape."""
        return x.value if type(x) is Traced and (x.trace is self or x.trace is None) else x

    def constant(self, x: Array) -> Traced:
        """Return a constant for an array that is not trained."""
        self.buffers = True
        self.places.append(-1)
        return wrap(x)

    def variable(self, x: Array) -> Traced:
        """Return a variable for a floating array. Other arrays become constants."""
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
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Evaluate the primitive and record its pullbacks."""
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
            # A trace further out evaluated it, and its rule takes arrays of that trace.
            values = [wrap(value) if is_array(value) else value for value in values]
        pullbacks = rule(xp, out, *values, **settings)
        if type(pullbacks) is not tuple:
            pullbacks = (pullbacks,)
        parents = []
        # There are fewer pullbacks than arguments where the last arguments are settings.
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
        """Return the cotangents of the variables, None for zero.

        Each step is dropped when the walk has passed it, and with it the arrays in its pullbacks.

        Args:
            cotangents: by index on the tape.
            keep: whether to keep the steps for another walk.

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
        """Return the list or tuple of trees that began, with cotangents, and None for constants."""
        identities = set(map(id, cotangents))
        if len(identities) < len(cotangents):
            cotangents = _apart(cotangents)
        if self.complex:
            # No rule conjugates, so that one formula serves real and complex arrays.
            cotangents = [None if g is None else conj(g) for g in cotangents]
        # The index of a constant is -1, the last element of this list.
        leaves = map([*cotangents, None].__getitem__, self.places)
        if id(None) not in identities:
            return tree.unflatten(trees, leaves)
        places = iter(self.places)

        def of_leaf(x: Array) -> Array | None:
            g = next(leaves)
            return array_namespace(x).zeros_like(x) if next(places) >= 0 and g is None else g

        return tree.map(of_leaf, trees)


def _apart(cotangents: list[Array | None]) -> list[Array | None]:
    """Return the cotangents with a copy of each array that comes a second time.

    The two terms of a sum have the same cotangent. In a module that would tie two parameters.
    """
    multiply = STANDARD["multiply"]
    first = {id(g): i for i, g in reversed([*enumerate(cotangents)])}
    return [
        g if g is None or first[id(g)] == i else multiply(g, 1) for i, g in enumerate(cotangents)
    ]


_OUTLIVED = (
    "a traced array was used after the call that traced it: "
    "return it from the differentiated function, or keep anynet.stop_gradient(x) of it"
)


def _cast(c: Array, dtype: DType) -> Array:
    """Return a cotangent in the dtype of its array. For a real array that is the real part."""
    xp = array_namespace(c)
    if xp.isdtype(c.dtype, "complex floating") and not xp.isdtype(dtype, "complex floating"):
        c = xp.real(c)
    return xp.astype(c, dtype)
