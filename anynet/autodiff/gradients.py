"""Gradients of scalar functions of trees of arrays, with or without the value."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from anynet import tree
from anynet.arguments import check_group
from anynet.array import (
    Array,
    is_array,
    is_complex,
    is_floating,
)
from anynet.autodiff.argnums import Argnames, Argnums, Chosen
from anynet.autodiff.reached import Guarded
from anynet.autodiff.tape import Tape
from anynet.callables import named_like
from anynet.errors import DifferentiationError
from anynet.precision import MixedPrecision, check_precision
from anynet.primitives.indexing import one
from anynet.tracing.trace import Primitive, Trace, Traced, wrap
from anynet.tracing.views import note

if TYPE_CHECKING:
    from anynet.distributed.group import Group

T = TypeVar("T")


def value_and_grad(
    f: Callable[..., Any],
    argnums: Argnums = None,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
    precision: MixedPrecision | None = None,
    group: "Group | None" = None,
) -> Callable[..., tuple[Any, Any]]:
    """Return a function that computes the value of ``f`` and its gradient, ∂f/∂argument.

    The chosen arguments are trees (arrays, lists, dicts, modules). The gradient is a tree like
    them, with None for arrays that are not floating or not trained. For a complex x + iy it is
    ∂f/∂x + i ∂f/∂y, the direction of steepest ascent. All other arrays are constants.

    A network among the arguments is in training mode while ``f`` runs, and its buffers are updated
    after the call. A write of ``f`` into an argument changes the value and the gradient, and not
    the caller's array. An array that is passed twice counts as two arrays.

    Args:
        f: a function that returns a real floating scalar.
        argnums: the position of the argument to differentiate, by default 0, or a tuple of
            positions. For a tuple the gradient is a tuple. Negative positions count from the end.
        argnames: the name of the argument, or a tuple of names. For a tuple the gradient is a dict
            by name. With ``argnums`` too, it is a pair of both.
        has_aux: whether ``f`` returns a pair of the scalar and a tree that is not differentiated.
            The value is then this pair.
        precision: computes ``f`` in mixed precision. Value and gradient are float32.
        group: the ranks that compute the gradient together, see `anynet.open_group`. All other
            positional arguments are then rows of one batch, the same on all ranks. ``f`` gets the
            rows of this rank, and returns a mean over rows. Value and gradient are those of the
            whole batch, the same on all ranks. The tree of ``has_aux`` is that of this rank. If one
            of these arguments is an `anynet.distributed.Share`, the others are the rows of this
            rank already.

    Raises:
        ArgumentTypeError: the precision is no policy, or the group is no group.
        DifferentiationError: ``f`` does not return a floating scalar that depends on the arguments,
            or there is nothing to differentiate with respect to, or there is no such argument, or
            ``f`` uses a parameter of the network that is not from its arguments.

    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 3 (reverse mode); Deep
    Learning from Scratch, chapter 5.

    >>> import numpy as np
    >>> loss = lambda w, x: ((w * x).__array_namespace__().sum(w * x), {"rows": 2})
    >>> anynet.value_and_grad(loss, argnames="w", has_aux=True)(np.ones(2), np.array([3.0, 4.0]))
    ((np.float64(7.0), {'rows': 2}), array([3., 4.]))

    """
    check_precision(precision)
    check_group(group)
    chosen = Chosen(f, argnums, argnames)
    guarded = Guarded(f if precision is None else precision.apply(f))

    @named_like(f)
    def value_and_gradient(*args: Any, **named: Any) -> tuple[Any, Any]:
        share = None
        if group is not None:
            share, args = group.split(args, lambda others: chosen.keys(others, named))
        keys = chosen.keys(args, named)
        tape = Tape(share)
        arguments: list[Any] = []
        begun: dict[Any, Any] = {}
        for key in keys:
            argument = args[key] if type(key) is int else named[key]  # type: ignore[index]
            arguments.append(argument)
            begun[key] = tape.begin(argument)
        if not tape.variables:
            raise DifferentiationError(_nothing(arguments))
        in_order = [begun[i] if i in begun else _constant(arg) for i, arg in enumerate(args)]
        by_name = named and {
            name: begun[name] if name in begun else _constant(arg) for name, arg in named.items()
        }
        out = guarded(arguments, in_order, by_name)
        aux = None
        if has_aux:
            out, aux = _with_aux(out)
        _check_output(out, tape)
        seed = None if precision is None else precision.seed(out.value)
        seed = _one(out.value) if seed is None else seed
        if share is None:
            result, cotangents = out.value, tape.backward({out.node: seed})
        else:
            # The weight comes before the walk: layers may sum cotangents over all ranks.
            cotangents = tape.backward({out.node: seed * share.weight})
            result, *cotangents = share.sum_of_parts(out.value * share.weight, *cotangents)
        finite = None
        if precision is not None:
            cotangents, finite = precision.unscale(cotangents)
        gradients = tape.gradients(arguments, cotangents)
        if tape.buffers:
            for argument, copy in zip(arguments, begun.values(), strict=True):
                tape.finish(argument, copy, finite)
        value = (result, tree.map(tape.value, aux)) if has_aux else result
        return value, chosen.structure(gradients)

    return value_and_gradient


def _constant(argument: Any) -> Any:
    return wrap(argument) if is_array(argument) else tree.map(wrap, argument)


def _one(x: Array) -> Array:
    """Return the scalar 1 of the dtype of x."""
    if type(x) is not Traced:
        return x**0
    if x.trace is not None and x.trace.keeps_decompositions:
        # A compiled step keeps it as a constant.
        return x.__array_namespace__().ones_like(x)
    return one(x)


def grad(
    f: Callable[..., Any],
    argnums: Argnums = None,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """Return a function that computes the gradient of ``f``, ∂f/∂argument.

    With ``has_aux`` it returns a pair of the gradient and the second result of ``f``. See
    `value_and_grad` for the arguments and the errors.

    >>> import numpy as np
    >>> anynet.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])

    """
    both = value_and_grad(f, argnums, argnames=argnames, has_aux=has_aux)

    @named_like(f)
    def gradient(*args: Any, **named: Any) -> Any:
        value, gradients = both(*args, **named)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def stop_gradient(x: T) -> T:
    """Return the tree with the same values as constants, through which no cotangent passes.

    >>> import numpy as np
    >>> anynet.grad(lambda x: np.sum(x * anynet.stop_gradient(x)))(np.array([1.0, 2.0]))
    array([1., 2.])

    """

    def stop(leaf: Array) -> Array:
        if type(leaf) is not Traced:
            return leaf
        return note(leaf, _identity(leaf), _identity.name, _identity)

    return tree.map(stop, x)


# Without a rule it has no derivative.
_identity = Primitive("stop_gradient", None, lambda x: x)


def _with_aux(out: Any) -> tuple[Any, Any]:
    """Return the scalar and the second result."""
    if not isinstance(out, tuple) or len(out) != 2:
        length = f" of {len(out)}" if isinstance(out, tuple) else ""
        raise DifferentiationError(
            "has_aux needs a function that returns a pair, (scalar, anything else); this one "
            f"returned a {type(out).__name__}{length}"
        )
    return out


def _nothing(arguments: list[Any]) -> str:
    given = " and ".join(type(argument).__name__ for argument in arguments)
    leaves = [x for argument in arguments for _, x in tree.leaves(argument, buffers=False)]
    if any(is_floating(x) for x in leaves):
        return (
            f"nothing to differentiate with respect to: all parameters of {given} are frozen; "
            "call its unfreeze(path)"
        )
    return (
        f"nothing to differentiate with respect to: {given} holds no floating array; "
        "pass an array, as backend.asarray(2.0), or an initialized network"
    )


def _check_output(out: Any, tape: Trace) -> None:
    wanted = "a function to differentiate returns a floating scalar, such as a loss"
    if isinstance(out, tuple | list | dict):
        raise DifferentiationError(
            f"{wanted}; this one returned a {type(out).__name__}: return the scalar alone, or say "
            "has_aux=True"
        )
    if type(out) is not Traced:
        given = f"{type(out).__name__}{tuple(out.shape)}" if is_array(out) else repr(out)
        raise DifferentiationError(
            f"{wanted}; this one returned {given}, which depends on no argument"
        )
    if out.shape != ():
        raise DifferentiationError(
            f"{wanted}; this one returned shape {tuple(out.shape)} of {out.dtype}: reduce it with "
            "sum() or mean()"
        )
    if not is_floating(out):
        remedy = (
            "take its abs(), real() or imag()"
            if is_complex(out)
            else "integers and booleans have no derivative"
        )
        raise DifferentiationError(f"{wanted}; this one returned a scalar of {out.dtype}: {remedy}")
    if out.trace is not tape:
        raise DifferentiationError(
            f"{wanted} that depends on its arguments; this one does not: "
            "is an argument unused, or wrapped in stop_gradient?"
        )
