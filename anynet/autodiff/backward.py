"""The tape, the walk back along it, and the derivatives that users ask for.

While a function runs, a `Tape` notes for each step what it was made from and how cotangents pass back through it.
`Tape.backward` then walks the steps in reverse, once: everything that all rules have in common happens here.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, TypeVar

from anynet import tree
from anynet.array import (
    RECORDING_TYPES,
    Array,
    Namespace,
    array_namespace,
    conj,
    is_array,
    is_complex,
    is_floating,
    is_narrow,
    unrecorded,
)
from anynet.autodiff.arguments import Argnames, Argnums, Chosen
from anynet.autodiff.reached import Guarded
from anynet.autodiff.trace import STANDARD, Primitive, Trace, Traced, lift, next_level, primitive, refused
from anynet.autodiff.views import note
from anynet.callables import named_like
from anynet.errors import DifferentiationError

T = TypeVar("T")

# What a step was made from: its place on the tape, its shape and dtype, and the pullback to it.
_Parent = tuple[int, tuple[int, ...], Any, Callable[[Any], Array]]
#: What the modules of a tree that is being differentiated are told.
TRAINING = {"_differentiated": True}

_EMPTY: list[tuple[list[_Parent], int | None]] = [([], 0)]


def _sum_to_rule(xp: Namespace, out: Array, g: Array, shape: tuple[int, ...]) -> Any:
    given = g.shape
    return lambda h: STANDARD["broadcast_to"](h, given), None


@primitive(_sum_to_rule)
def sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a cotangent over the axes along which an argument of this shape was broadcast."""
    xp = array_namespace(g)
    extra = g.ndim - len(shape)
    stretched = (extra + i for i, length in enumerate(shape) if length == 1 and g.shape[extra + i] != 1)
    # In float32 where it would overflow or lose its digits; the walker rounds it.
    dtype = xp.float32 if is_narrow(g) else None
    return xp.reshape(xp.sum(g, axis=(*range(extra), *stretched), dtype=dtype), shape)


class Tape:
    """A trace that records: each step holds its parents, never their values beyond what pullbacks close over."""

    hidden_axes = 0
    whole = False
    refused = staticmethod(refused)

    def __init__(self) -> None:
        self.level = next_level()
        # (parents, number of outputs, None for one that is no tuple); those after the first have empty places.
        self.steps: list[tuple[list[_Parent], int | None]] | None = []
        # Only counted: a list of them would be a cycle, and keep every array alive until the collector runs. They
        # take the places 0, 1, 2, …; the steps follow.
        self.variables = 0
        # The place of every array that was to be a variable, in order; -1 for one that is a constant.
        self.places: list[int] = []
        self.complex = False
        # Whether there are buffers among the constants, which may have changed in the end.
        self.buffers = False

    def begin(self, argument: T) -> T:
        """Return the tree with variables for the arrays that are trained; its modules are told of the training."""
        return tree.map(self.variable, argument, untrained=self.constant, defaults=TRAINING)

    def finish(self, argument: Any, begun: Any) -> None:
        """Write the buffers of the tree that was begun back into the argument, as numbers of this tape no more."""
        if self.buffers:
            tree.update_buffers(lambda _, new: self.value(new), argument, begun)

    def value(self, x: Array) -> Array:
        """Return what a variable or a constant of this tape stands for."""
        return x.value if type(x) is Traced and (x.trace is self or x.trace is None) else x

    def constant(self, x: Array) -> Traced:
        """Begin with an array that is not trained."""
        self.buffers = True
        self.places.append(-1)
        return lift(x)  # type: ignore[no-any-return]

    def variable(self, x: Array) -> Traced:
        """Begin with an array to differentiate with respect to; one that is not floating is a constant."""
        if not is_floating(x):
            if not is_complex(x):
                self.places.append(-1)
                return lift(x)  # type: ignore[no-any-return]
            self.complex = True
        node = self.variables
        self.variables = node + 1
        self.places.append(node)
        return Traced(unrecorded(x) if type(x) in RECORDING_TYPES else x, self, node)

    def apply(self, step: Primitive, args: Sequence[Any], settings: dict[str, Any]) -> Any:
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
            return lift(out)
        if type(out[0] if several else out) is Traced:
            # Evaluated by a trace further out: then all arrays belong to it, as variables or as constants.
            values = [lift(value) if is_array(value) else value for value in values]
        pullbacks = rule(xp, out, *values, **settings)
        if type(pullbacks) is not tuple:
            pullbacks = (pullbacks,)
        parents = []
        # Shorter than the arguments where the last ones are settings.
        for pullback, arg, value in zip(pullbacks, args, values, strict=False):
            if pullback is not None and type(arg) is Traced and arg.trace is self:
                parents.append((arg.node, value.shape, value.dtype, pullback))
        if not parents:
            return lift(out)
        node = self.variables + len(steps)
        if several:
            steps.append((parents, len(out)))
            steps.extend(_EMPTY * (len(out) - 1))
            return tuple(map(Traced, out, repeat(self), range(node, node + len(out))))
        steps.append((parents, None))
        return Traced(out, self, node)

    def backward(self, cotangents: dict[int, Array], *, keep: bool = False) -> list[Array | None]:
        """Walk back from cotangents by their places; return those of the variables, None for zero.

        A step is forgotten as soon as it is passed, and with it what its pullbacks held, unless it is to be kept for
        another walk.
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
                several = tuple(map(cotangents.pop, range(place, place + outputs), repeat(None)))
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
        """Return trees like those that were begun, in a list or tuple: each array's cotangent, None for constants."""
        identities = set(map(id, cotangents))
        if len(identities) < len(cotangents):
            cotangents = _apart(cotangents)
        if self.complex:
            # On the way back no rule conjugates, so that one formula serves real and complex arrays.
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
    return [g if g is None or first[id(g)] == i else STANDARD["multiply"](g, 1) for i, g in enumerate(cotangents)]


_OUTLIVED = (
    "a traced array outlived the call it was traced in; "
    "return it from the differentiated function, or keep anynet.stop_gradient(x) of it"
)


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = None, *, argnames: Argnames = None, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """Return a function that computes ``f``'s value and its gradient, ∂f/∂argument for every array in the argument.

    ``f`` returns a real floating scalar. The chosen arguments are trees (arrays, lists, dicts, modules): the
    gradient is a like tree, with None for arrays that are not floating or not trained; for a complex x + iy it is
    ∂f/∂x + i ∂f/∂y, the direction of steepest ascent. All other arrays are constants. A network among the arguments
    is in training while ``f`` runs, and its buffers have their new numbers in the end. Writes of ``f`` into its
    arguments show in what it computes, and never in the caller's own arrays; an array that is passed twice is two
    arrays. Reverse mode (Griewank and Walther, Evaluating Derivatives, 2008; Deep Learning from Scratch, chapter
    5).

    Args:
        f: the function.
        argnums: the position of the argument to differentiate, the first one by default, or a tuple of positions; the
            gradient is then a tuple. Negative positions count from the last argument.
        argnames: the name of the argument, or a tuple of names; the gradient is then a dict by name. With ``argnums``
            too, it is the pair of both.
        has_aux: whether ``f`` returns a pair of the scalar and a tree of anything else, which is not differentiated;
            the value is then this pair.

    Raises:
        DifferentiationError: ``f`` returns something other than a floating scalar, or one that does not depend on
            the arguments; or there is nothing to differentiate with respect to; or an argument is not there; or
            ``f`` uses a parameter of the network that it reaches by another way than its arguments.

    >>> import numpy as np
    >>> loss = lambda w, x: ((w * x).__array_namespace__().sum(w * x), {"rows": 2})
    >>> anynet.value_and_grad(loss, argnames="w", has_aux=True)(np.ones(2), np.array([3.0, 4.0]))
    ((np.float64(7.0), {'rows': 2}), array([3., 4.]))

    """
    chosen, guarded = Chosen(f, argnums, argnames), Guarded(f)

    @named_like(f)
    def value_and_gradient(*args: Any, **named: Any) -> tuple[Any, Any]:
        tape = Tape()
        given: list[Any] = []
        begun: dict[Any, Any] = {}
        for key in chosen.keys(args, named):
            argument = args[key] if type(key) is int else named[key]  # type: ignore[index]
            given.append(argument)
            begun[key] = tape.begin(argument)
        if not tape.variables:
            raise DifferentiationError(_nothing(given))
        in_order = [begun[i] if i in begun else _constant(arg) for i, arg in enumerate(args)]
        by_name = named and {name: begun[name] if name in begun else _constant(arg) for name, arg in named.items()}
        out = guarded(given, in_order, by_name)
        aux = None
        if has_aux:
            out, aux = _with_aux(out)
        _check_output(out, tape)
        cotangents = tape.backward({out.node: _one(out.value)})
        gradients = tape.gradients(given, cotangents)
        if tape.buffers:
            for argument, copy in zip(given, begun.values(), strict=True):
                tape.finish(argument, copy)
        value = (out.value, tree.map(tape.value, aux)) if has_aux else out.value
        return value, chosen.structure(gradients)

    return value_and_gradient


def _constant(argument: Any) -> Any:
    return lift(argument) if is_array(argument) else tree.map(lift, argument)


def _one(x: Array) -> Array:
    """Return a one of this dtype, where x is."""
    if type(x) is not Traced:
        return x**0
    if x.trace is not None and x.trace.whole:
        # In a recording, one that is known.
        return x.__array_namespace__().ones_like(x)
    return one(x)


def _one_rule(xp: Namespace, out: Array, x: Array) -> Any:
    return lambda g: None


@primitive(_one_rule)
def one(x: Array) -> Array:
    """Return ones like x, which a tape takes to depend on x, though no cotangent goes back.

    So the derivative of a derivative that does not change is 0, and no error. A cotangent of zeros would become NaN
    where x was made by a function whose derivative is infinite.
    """
    # Any number to the power of 0 is 1, NaN too.
    return x**0


def grad(
    f: Callable[..., Any], argnums: Argnums = None, *, argnames: Argnames = None, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes the gradient of ``f``, or the pair of it and aux; see `value_and_grad`."""
    both = value_and_grad(f, argnums, argnames=argnames, has_aux=has_aux)

    @named_like(f)
    def gradient(*args: Any, **named: Any) -> Any:
        value, gradients = both(*args, **named)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def stop_gradient(x: T) -> T:
    """Return the tree with the same numbers, as constants: no cotangent goes further back than this."""
    return tree.map(
        lambda leaf: note(leaf, _identity(leaf), _identity.name, _identity) if type(leaf) is Traced else leaf, x
    )


# No rule: it has no derivative. And no kernel: it has nothing to do.
_identity = Primitive("stop_gradient", None, lambda x: x)


def _cast(c: Array, dtype: Any) -> Array:
    """Bring a cotangent to the dtype of its array; that of a real one, met by complex ones, is the real part."""
    xp = array_namespace(c)
    if xp.isdtype(c.dtype, "complex floating") and not xp.isdtype(dtype, "complex floating"):
        c = xp.real(c)
    return xp.astype(c, dtype)


def _with_aux(out: Any) -> tuple[Any, Any]:
    """Return the scalar and what goes with it."""
    if not isinstance(out, tuple) or len(out) != 2:
        raise DifferentiationError(
            f"has_aux wants a function that returns a pair, (scalar, anything else); this one returned a "
            f"{type(out).__name__}{f' of {len(out)}' if isinstance(out, tuple) else ''}"
        )
    return out


def _nothing(arguments: list[Any]) -> str:
    given = " and ".join(type(argument).__name__ for argument in arguments)
    return (
        f"nothing to differentiate with respect to: {given} holds no floating array; "
        "give an array, as backend.asarray(2.0), or a network with its numbers"
    )


def _check_output(out: Any, tape: Trace) -> None:
    wanted = "a function to differentiate returns a floating scalar, such as a loss"
    if isinstance(out, tuple | list | dict):
        raise DifferentiationError(
            f"{wanted}; this one returned a {type(out).__name__}: return the scalar alone, or say has_aux=True"
        )
    if type(out) is not Traced:
        given = f"{type(out).__name__}{tuple(out.shape)}" if is_array(out) else repr(out)
        raise DifferentiationError(f"{wanted}; this one returned {given}, which depends on no argument")
    if out.shape != ():
        raise DifferentiationError(
            f"{wanted}; this one returned shape {tuple(out.shape)} of {out.dtype}: reduce it with sum() or mean()"
        )
    if not is_floating(out):
        remedy = "take its abs(), real() or imag()" if is_complex(out) else "integers and booleans have no derivative"
        raise DifferentiationError(f"{wanted}; this one returned a number of {out.dtype}: {remedy}")
    if out.trace is not tape:
        raise DifferentiationError(
            f"{wanted} that depends on its arguments; this one does not: "
            "is an argument unused, or wrapped in stop_gradient?"
        )
