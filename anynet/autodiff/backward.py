"""The tape, the walk back along it, and the derivatives that users ask for.

While a function runs, a `Tape` notes for each step what it was made from and how cotangents pass back through it.
`Tape.backward` then walks the steps in reverse, once: everything that all rules have in common happens here.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from anynet import tree
from anynet.array import Array, array_namespace, device, is_array, is_floating
from anynet.autodiff.trace import Primitive, Trace, Traced, lift, next_level
from anynet.errors import DifferentiationError

T = TypeVar("T")

# What a step was made from: its place on the tape, its shape and dtype, and the pullback to it.
_Parent = tuple[int, tuple[int, ...], Any, Callable[[Any], Array]]


class Tape:
    """A trace that records: each step holds its parents, never their values beyond what pullbacks close over."""

    hidden_axes = 0

    def __init__(self) -> None:
        self.level = next_level()
        # (parents, number of outputs); a step with several outputs is followed by empty places for the others.
        self.steps: list[tuple[list[_Parent], int]] | None = []
        self.variables: list[Traced] = []

    def variable(self, x: Array) -> Traced:
        """Begin with an array to differentiate with respect to."""
        traced = Traced(x, self, len(self.variables))
        self.variables.append(traced)
        self._steps().append(([], 1))
        return traced

    def apply(self, primitive: Primitive, args: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Evaluate the primitive and note how cotangents pass back through it."""
        steps = self._steps()
        values = [
            arg.value if type(arg) is Traced and (arg.trace is self or arg.trace is None) else arg for arg in args
        ]
        out, xp = primitive.evaluate(values, settings)
        rule = primitive.rule
        if rule is None:
            return lift(out)
        pullbacks = rule(xp, out, *values, **settings)
        if type(pullbacks) is not tuple:
            pullbacks = (pullbacks,)
        parents = [
            (arg.node, value.shape, value.dtype, pullback)
            for arg, value, pullback in zip(args, values, pullbacks, strict=False)
            if type(arg) is Traced and arg.trace is self and pullback is not None
        ]
        if not parents:
            return lift(out)
        node = len(steps)
        if not isinstance(out, tuple):
            steps.append((parents, 1))
            return Traced(out, self, node)
        steps.append((parents, len(out)))
        steps.extend([([], 0)] * (len(out) - 1))
        return tuple(Traced(part, self, node + i) for i, part in enumerate(out))

    def backward(self, out: Traced, g: Array) -> list[Array | None]:
        """Walk back from ``out`` with its cotangent ``g``; return the cotangents of the variables, None for zero.

        A step is forgotten as soon as it is passed, and with it what its pullbacks held.
        """
        steps, self.steps = self._steps(), None
        cotangents: dict[int, Array] = {out.node: g}
        inputs = len(self.variables)
        while len(steps) > inputs:
            parents, outputs = steps.pop()
            if outputs == 1:
                g = cotangents.pop(len(steps), None)
                if g is None:
                    continue
            elif outputs == 0:
                continue
            else:
                g = tuple(cotangents.pop(len(steps) + i, None) for i in range(outputs))
                if all(part is None for part in g):
                    continue
            for node, shape, dtype, pullback in parents:
                c = pullback(g)
                if c.shape != shape:
                    c = unbroadcast(c, shape)
                if c.dtype != dtype:
                    c = array_namespace(c).astype(c, dtype)
                before = cotangents.get(node)
                cotangents[node] = c if before is None else c + before
        return [cotangents.get(i) for i in range(inputs)]

    def _steps(self) -> list[tuple[list[_Parent], int]]:
        if self.steps is None:
            raise DifferentiationError(
                "a traced array outlived the call it was traced in; "
                "return it from the differentiated function, or keep anynet.stop_gradient(x) of it"
            )
        return self.steps


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a cotangent over the axes along which an argument of this shape was broadcast."""
    xp = array_namespace(g)
    extra = g.ndim - len(shape)
    stretched = (extra + i for i, length in enumerate(shape) if length == 1 and g.shape[extra + i] != 1)
    return xp.reshape(xp.sum(g, axis=(*range(extra), *stretched)), shape)


def value_and_grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., tuple[Array, Any]]:
    """Return a function that computes ``f``'s value and its gradient, ∂f/∂argument for every array in the argument.

    ``f`` returns a real floating scalar. The arguments at ``argnums`` are trees (arrays, lists, dicts, modules): the
    gradient is a like tree, with None for arrays that are not floating. All other arrays are constants. Reverse mode
    (Griewank and Walther, Evaluating Derivatives, 2008; Deep Learning from Scratch, chapter 5).

    Raises:
        DifferentiationError: ``f`` returns something other than a floating scalar, or one that does not depend on
            the arguments; or there is nothing to differentiate with respect to.
    """

    @wraps(f)
    def value_and_gradient(*args: Any, **settings: Any) -> tuple[Array, Any]:
        tape = Tape()
        chosen = (argnums,) if isinstance(argnums, int) else argnums
        places = {_position(i, len(args)) for i in chosen}
        lifted = [
            tree.map(lambda x: tape.variable(x) if is_floating(x) else lift(x), arg) if i in places else _lift_all(arg)
            for i, arg in enumerate(args)
        ]
        if not tape.variables:
            given = ", ".join(type(args[i]).__name__ for i in sorted(places))
            raise DifferentiationError(
                f"nothing to differentiate with respect to: argument {argnums} is {given} and holds no floating array; "
                "give an array, as backend.asarray(2.0)"
            )
        out = f(*lifted, **{name: _lift_all(value) for name, value in settings.items()})
        _check_output(out, tape)
        xp = array_namespace(out.value)
        one = xp.ones((), dtype=out.value.dtype, device=device(out.value))
        cotangents = iter(tape.backward(out, one))

        def gradient(x: Array) -> Array | None:
            if not is_floating(x):
                return None
            g = next(cotangents)
            return array_namespace(x).zeros_like(x) if g is None else g

        # In the order in which the variables were made: that of the arguments.
        gradients = {i: tree.map(gradient, arg) for i, arg in enumerate(args) if i in places}
        if isinstance(argnums, int):
            return out.value, gradients.popitem()[1]
        return out.value, tuple(gradients[_position(i, len(args))] for i in argnums)

    return value_and_gradient


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Return a function that computes the gradient of ``f``; see `value_and_grad`."""
    both = value_and_grad(f, argnums)

    @wraps(f)
    def gradient(*args: Any, **settings: Any) -> Any:
        return both(*args, **settings)[1]

    return gradient


def stop_gradient(x: T) -> T:
    """Return the tree with the same numbers, as constants: no cotangent goes further back than this."""
    return tree.map(lambda leaf: _identity(leaf) if type(leaf) is Traced else leaf, x)


# No rule: it has no derivative. And no kernel: it has nothing to do.
_identity = Primitive("stop_gradient", None, lambda x: x)


def _lift_all(arg: T) -> T:
    return tree.map(lift, arg)


def _position(index: int, count: int) -> int:
    if not -count <= index < count:
        raise DifferentiationError(f"argnums says argument {index}, the function was called with {count} in order")
    return index % count


def _check_output(out: Any, tape: Trace) -> None:
    wanted = "a function to differentiate returns a floating scalar, such as a loss"
    if type(out) is not Traced:
        given = f"{type(out).__name__}{tuple(out.shape)}" if is_array(out) else repr(out)
        raise DifferentiationError(f"{wanted}; this one returned {given}, which depends on no argument")
    if out.shape != () or not is_floating(out):
        raise DifferentiationError(
            f"{wanted}; this one returned shape {out.shape} of {out.dtype}: reduce it with sum() or mean()"
        )
    if out.trace is not tape:
        raise DifferentiationError(
            f"{wanted} that depends on its arguments; this one does not: "
            "is an argument unused, or wrapped in stop_gradient?"
        )
