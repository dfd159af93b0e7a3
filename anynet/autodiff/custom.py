"""Steps with a derivative of their own: custom_vjp, and remat, which computes a function again."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from anynet import tree
from anynet.arguments import check_function
from anynet.array import (
    Array,
    array_namespace,
    conj,
    device,
    is_array,
    is_complex,
    is_floating,
    library_name,
)
from anynet.autodiff.transformations import vjp
from anynet.callables import name_of, named_like, signature_of
from anynet.errors import (
    AnynetError,
    DifferentiationError,
    MixedArraysError,
    ShapeError,
)
from anynet.tracing.trace import Primitive, Traced, shared, unwrap, wrap


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function like f that keeps its arguments only, and computes f again on the way back.

    Memory for time: nothing in between is held. What is to be differentiated has to be among the
    arguments, in order or by name, or in f itself where f is a layer. Source: Chen, Xu, Zhang and
    Guestrin, Training deep nets with sublinear memory cost, 2016.
    """

    def again(g: Any, out: Any, args: Any, named: Any) -> Any:
        return vjp(_call, args, named)[1](g)

    return named_like(f)(
        lambda *args, **named: _step("remat", _call, again, (f, *args), named, plain=False)
    )


def _call(args: Any, named: Any) -> Any:
    f, *args = args
    return f(*args, **named)


def custom_vjp(f: Callable[..., Any], pullback: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function like f whose derivative is the one given: pullback(g, out, *args) ↦ one
    cotangent an argument.

    Arguments, value and cotangents are trees of arrays; None in a cotangent's place says that there
    is none. Both functions get plain arrays of the library, so that they may be compiled code,
    which may be of any kind but does not write into its arguments. Where second derivatives are
    asked for, the pullback is differentiated: then it gets traced arrays, and has to be written in
    the functions of their namespace. Arguments that are given by name take their place in the
    order; those that can only be given by name are passed to the pullback by name, and have no
    cotangents.

    Raises:
        DifferentiationError: the pullback returns another number of cotangents than there are
            arguments, or f or the pullback uses a traced array that is not among its arguments.
        ShapeError: a cotangent has another shape than its argument.
        MixedArraysError: f or the pullback returns an array of another library than it is given.
        CompilationError: f is compiled code, and a step that calls it is compiled for a device by
            XLA or as a graph.

    >>> import numpy as np
    >>> exp = anynet.custom_vjp(lambda x: np.exp(x), lambda g, out, x: g * out)
    >>> anynet.grad(lambda x: np.sum(2 * exp(x)))(np.zeros(2))
    array([2., 2.])

    """
    name = f"custom_vjp({name_of(f)})"
    check_function(
        "pullback",
        pullback,
        "a function pullback(g, out, *args), which returns a cotangent an argument",
    )

    def cotangents(g: Any, out: Any, args: Any, named: Any) -> Any:
        found = pullback(g, out, *args, **named)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(args):
            raise DifferentiationError(
                f"{name}: the pullback returned {len(found)} cotangents for {len(args)} arguments: "
                "wanted one for each, None for an argument that has none"
            )
        for argument, c in zip(args, found, strict=True):
            _check_cotangent(name, argument, c)
        return found, None

    def step(*args: Any, **named: Any) -> Any:
        if named:
            args, named = _in_order(f, args, named)
        return _step(
            name,
            lambda args, named: f(*args, **named),
            cotangents,
            args,
            named,
            plain=True,
        )

    return named_like(f)(step)


def _in_order(f: Callable[..., Any], args: Any, named: Any) -> tuple[Any, Any]:
    """Return the arguments with those that can be given in order in their place."""
    signature = signature_of(f)
    if signature is None:
        return args, named
    try:
        bound = signature.bind(*args, **named)
    except TypeError:
        # A call that f itself says what is wrong with.
        return args, named
    return bound.args, bound.kwargs


def _step(
    name: str,
    f: Callable[[Any, Any], Any],
    pullback: Callable[[Any, Any, Any, Any], Any],
    args: tuple[Any, ...],
    named: dict[str, Any],
    *,
    plain: bool,
) -> Any:
    """Return f(args, named) as one step of a tape: a primitive of all arrays in the arguments.

    The pullback is called with the cotangent, the value, args and named, and returns the cotangents
    of args and named. Plain arrays stay so if so told, and are constants otherwise.
    """
    given = (args, named)
    arrays = [x for _, x in tree.leaves(given)]
    if not arrays:
        return f(args, named)
    # What changes the buffers of a network has to be seen in its parts.
    opaque = plain and not _holds_node(given)
    # What is recorded of this step holds the structure of the arguments and values, and no arrays.
    structure, networks = tree.map(_slot, given), None if opaque else given
    by_name = range(
        len([*tree.leaves(args)]) if plain and named else len(arrays),
        len(arrays),
    )
    of_value: list[Any] = []

    def flat(*leaves: Array) -> Any:
        own = _filled(
            structure,
            leaves if plain and not _any_traced(leaves) else map(wrap, leaves),
        )
        out = f(*own)
        if plain:
            out = _with_array(name, out, leaves)
        if networks is not None:
            tree.update_buffers(_kept, networks, own)
        of_value[:] = [tree.map(_slot, out)]
        _check_library(name, "the function", out, leaves)
        found = tuple(wrap(x) for _, x in tree.leaves(out))
        # None, but where the function is recorded part by part.
        known = {x.trace for x in leaves if type(x) is Traced}
        if any(x.trace is not None and x.trace not in known for x in found):
            raise DifferentiationError(
                f"{name}: the function uses a traced array that is not among its arguments: pass it "
                "as one"
            )
        values = tuple(x.value if x.trace is None else x for x in found)
        return values if len(values) != 1 else values[0]

    def rule(xp: Any, out: Any, *leaves: Array) -> Any:
        several = out if isinstance(out, tuple) else (out,)
        value, values, count = of_value[0], len(several), len(leaves)
        trained = [i for i, x in enumerate(leaves) if is_floating(x) or is_complex(x)]

        def back(*arrays: Array) -> tuple[Array, ...]:
            """Return the cotangents of all floating arrays, from those of the values, the values
            and the arguments.
            """
            parts, outs, own = (
                arrays[:values],
                arrays[values:-count],
                arrays[-count:],
            )
            arguments = _filled(structure, own)
            found = pullback(
                _filled(value, map(conj, parts)),
                _filled(value, outs),
                *arguments,
            )
            cotangents = [
                c
                for argument, c in zip(arguments, found, strict=True)
                for c in _beside(argument, c)
            ]
            _check_library(name, "the pullback", cotangents, own)
            return tuple([_checked(name, own[i], cotangents[i]) for i in trained])

        def through(xp: Any, *arrays: Array) -> tuple[Array, ...]:
            try:
                return back(*arrays)
            except AnynetError:
                raise
            except Exception as error:
                raise DifferentiationError(
                    f"{name}: the pullback cannot be differentiated, as a second derivative needs: "
                    f"{error!r}. Write it in the functions of its arrays' namespace, or give it a "
                    "derivative with anynet.custom_vjp"
                ) from error

        step = (
            Primitive(
                f"pullback of {name}",
                None,
                back,
                decomposition=through,
                opaque=True,
            )
            if opaque
            else back
        )

        @shared
        def all_at_once(g: Any) -> dict[int, Array]:
            given = g if isinstance(g, tuple) else (g,)
            parts = [
                xp.zeros_like(x) if c is None else c for x, c in zip(several, given, strict=True)
            ]
            return dict(zip(trained, step(*parts, *several, *leaves), strict=True))

        def of_leaf(i: int) -> Callable[[Any], Array] | None:
            if i in by_name:
                return refused
            return (lambda g: all_at_once(g)[i]) if i in trained else None

        def refused(g: Any) -> Array:
            raise DifferentiationError(
                f"{name}: an array that is differentiated was given by name, and the pullback "
                "returns cotangents of arguments in order: let the function take it in order"
            )

        return tuple(map(of_leaf, range(count)))

    result = Primitive(name, rule, flat, opaque=opaque, own_rule=plain)(*arrays)
    return _filled(of_value[0], result if isinstance(result, tuple) else (result,))


def _slot(x: Array) -> Traced:
    return Traced(None)


def _filled(structure: Any, arrays: Iterable[Array]) -> Any:
    """Return the tree with these arrays in its slots."""
    return tree.unflatten(structure, arrays)


def _any_traced(arrays: Iterable[Any]) -> bool:
    return any(type(x) is Traced for x in arrays)


def _holds_node(x: Any) -> bool:
    """Tell whether there is a module, or the like, in a tree."""
    if isinstance(x, dict):
        return any(map(_holds_node, x.values()))
    return any(map(_holds_node, x)) if isinstance(x, list | tuple) else tree.is_node(x)


def _kept(old: Any, new: Any) -> Any:
    """Return what a buffer has become, traced as it was."""
    return wrap(new) if type(old) is Traced else unwrap(new)


def _with_array(name: str, out: Any, leaves: Sequence[Array]) -> Any:
    """Return a float of Python's, as compiled code returns for a scalar, as an array: it has a
    derivative.
    """
    if type(out) is not float:
        if _holds_float(out):
            raise DifferentiationError(
                f"{name}: the function returned {out!r}: wanted arrays in place of floats"
            )
        return out
    like = next((x for x in leaves if is_floating(x)), leaves[0])
    return array_namespace(like).asarray(
        out,
        dtype=like.dtype if is_floating(like) else None,
        device=device(like),
    )


def _holds_float(out: Any) -> bool:
    children = (
        out.values() if isinstance(out, dict) else out if isinstance(out, list | tuple) else ()
    )
    return type(out) is float or any(map(_holds_float, children))


def _check_library(name: str, which: str, out: Any, leaves: Sequence[Array]) -> None:
    """Compare the library of what was returned with that of what was given."""
    known = set(map(type, leaves)) | {Traced}
    for _, x in tree.leaves(out):
        if type(x) not in known:
            wanted, given = (library_name(array_namespace(array)) for array in (leaves[0], x))
            if wanted != given:
                raise MixedArraysError(
                    f"{name}: {which} was given arrays of {wanted} and returned one of {given}: "
                    "convert it back, as get_backend(x).asarray(y)"
                )


def _check_cotangent(name: str, argument: Any, cotangent: Any) -> None:
    """Look for what would be taken for zero: a number, or an array where the argument has none."""
    if cotangent is None or (is_array(argument) and is_array(cotangent)):
        return
    places = {path for path, _ in tree.leaves(argument)}
    if not places:
        return
    found = {path for path, _ in tree.leaves(cotangent)}
    if not found <= places or _holds_float(cotangent) or (places == {""} and not found):
        raise DifferentiationError(
            f"{name}: the pullback returned {cotangent!r:.200} as the cotangent of a "
            f"{type(argument).__name__}: wanted an array for each array of the argument, in a tree "
            "like it, or None"
        )


def _beside(argument: Any, cotangent: Any) -> list[Any]:
    """Return the cotangent of every array in an argument, None where there is none."""
    if cotangent is None:
        return [None for _ in tree.leaves(argument)]
    found = dict(tree.leaves(cotangent))
    return [found.get(path) for path, _ in tree.leaves(argument)]


def _checked(name: str, x: Array, c: Array | None) -> Array:
    """Return the cotangent of an array, zeros where there is none; it may have more axes, which are
    summed over.
    """
    if c is None:
        return array_namespace(x).zeros_like(x)
    shape, given = tuple(x.shape), tuple(c.shape)
    fits = len(given) >= len(shape) and all(
        n in (1, m) for n, m in zip(shape[::-1], given[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(
            f"{name}: the pullback returned a cotangent of shape {given} for an array of shape "
            f"{shape}"
        )
    return conj(c)
