"""Steps with their own derivative: custom_vjp, and remat, which computes a function again."""

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
from anynet.tracing.mixed import mixed_like
from anynet.tracing.trace import Primitive, Traced, shared, unwrap, wrap


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function like f that keeps only its arguments, and computes f again for gradients.

    It saves memory and takes more time. The arrays to differentiate must be among the arguments, or
    in f if f is a layer. Source: Chen, Xu, Zhang and Guestrin, Training deep nets with sublinear
    memory cost, 2016.

    >>> import numpy as np
    >>> square = anynet.autodiff.remat(lambda x: x * x)
    >>> anynet.grad(lambda x: np.sum(square(x)))(np.array([1.0, 2.0]))
    array([2., 4.])

    """

    @named_like(f)
    def step(*args: Any, **named: Any) -> Any:
        args = (f, *args)
        call = mixed_like(_call, (args, named))

        def again(
            g: Any,
            out: Any,
            args: Any,
            named: Any,
        ) -> Any:
            return vjp(call, args, named)[1](g)

        return _step("remat", call, again, args, named, plain=False)

    return step


def _call(args: Any, named: Any) -> Any:
    f, *args = args
    return f(*args, **named)


def custom_vjp(
    f: Callable[..., Any],
    pullback: Callable[..., Any],
    *,
    vectorized: bool = False,
) -> Callable[..., Any]:
    """Return a function like f with the derivative pullback(g, out, *args).

    Both functions take plain arrays of the library, so they may be compiled code. They must not
    write into their arguments. For a second derivative the pullback is differentiated. It then
    takes traced arrays, and must use the functions of their namespace.

    Args:
        f: a function of trees of arrays that returns a tree of arrays.
        pullback: called with the cotangent of the value, the value, and the arguments of f. It
            returns one cotangent for each argument, a tree like it, or None for no cotangent.
            Keyword arguments become positional if they can. The others are passed by name, and have
            no cotangents.
        vectorized: whether f and the pullback also take traced arrays, because they use only the
            functions of their namespace. `vmap` then calls each once for all points. Otherwise it
            calls each at every point with plain arrays.

    Raises:
        DifferentiationError: the pullback does not return one cotangent for each argument, or f or
            the pullback uses a traced array that is not among its arguments.
        ShapeError: the shape of a cotangent differs from that of its argument.
        MixedArraysError: f or the pullback returns an array of another library.
        CompilationError: f is compiled code, and a step that calls it is compiled by XLA or as a
            device graph.

    >>> import numpy as np
    >>> exp = anynet.custom_vjp(lambda x: np.exp(x), lambda g, out, x: g * out)
    >>> anynet.grad(lambda x: np.sum(2 * exp(x)))(np.zeros(2))
    array([2., 2.])

    """
    name = f"custom_vjp({name_of(f)})"
    check_function(
        "pullback",
        pullback,
        "a function pullback(g, out, *args), which returns a cotangent for each argument",
    )

    def cotangents(
        g: Any,
        out: Any,
        args: Any,
        named: Any,
    ) -> Any:
        result = pullback(g, out, *args, **named)
        several = result if isinstance(result, tuple) else (result,)
        if len(several) != len(args):
            raise DifferentiationError(
                f"{name}: the pullback returned {len(several)} cotangents for {len(args)} "
                "arguments: wanted one for each, None for an argument that has none"
            )
        for argument, c in zip(args, several, strict=True):
            _check_cotangent(name, argument, c)
        return several, None

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
            vectorized=vectorized,
        )

    return named_like(f)(step)


def _in_order(
    f: Callable[..., Any],
    args: Any,
    named: Any,
) -> tuple[Any, Any]:
    """Return the arguments with the keyword arguments that can be positional in their place."""
    signature = signature_of(f)
    if signature is None:
        return args, named
    try:
        bound = signature.bind(*args, **named)
    except TypeError:
        # f raises the error for this call.
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
    vectorized: bool = False,
) -> Any:
    """Return f(args, named) as one step of a tape, a primitive of all arrays in the arguments.

    The pullback is called with the cotangent, the value, args and named, and returns the cotangents
    of args and named. With ``plain``, f takes plain arrays. Otherwise it takes traced arrays.
    """
    given = (args, named)
    arrays = [x for _, x in tree.leaves(given)]
    if not arrays:
        return f(args, named)
    # A function that may update the buffers of a network is traced.
    opaque = plain and not _holds_node(given)
    # The step keeps the structure of the arguments and of the value, and no arrays.
    structure, networks = tree.map(_slot, given), None if opaque else given
    by_name = range(
        len([*tree.leaves(args)]) if plain and named else len(arrays),
        len(arrays),
    )
    of_value: list[Any] = []

    def flat(*leaves: Array) -> Any:
        as_plain = plain and not _any_traced(leaves)
        own = _filled(structure, leaves if as_plain else map(wrap, leaves))
        out = f(*own)
        if plain:
            out = _with_array(name, out, leaves)
        if networks is not None:
            tree.update_buffers(_kept, networks, own)
        of_value[:] = [tree.map(_slot, out)]
        _check_library(name, "the function", out, leaves)
        outputs = tuple(wrap(x) for _, x in tree.leaves(out))
        # The traces of the arguments. There is none where the arguments are plain.
        known = {x.trace for x in leaves if type(x) is Traced}
        if any(x.trace is not None and x.trace not in known for x in outputs):
            raise DifferentiationError(
                f"{name}: the function uses a traced array that is not among its arguments: pass "
                "it as one"
            )
        values = tuple(x.value if x.trace is None else x for x in outputs)
        return values if len(values) != 1 else values[0]

    def rule(
        xp: Any,
        out: Any,
        *leaves: Array,
    ) -> Any:
        several = out if isinstance(out, tuple) else (out,)
        value, values, count = of_value[0], len(several), len(leaves)
        trained = [i for i, x in enumerate(leaves) if is_floating(x) or is_complex(x)]

        def back(*arrays: Array) -> tuple[Array, ...]:
            """Return the cotangents of all floating arrays.

            The arguments are the cotangents of the value, the value, and the arguments.
            """
            parts, outs, own = arrays[:values], arrays[values:-count], arrays[-count:]
            arguments = _filled(structure, own)
            g, out = _filled(value, map(conj, parts)), _filled(value, outs)
            trees = pullback(g, out, *arguments)
            cotangents: list[Any] = []
            for argument, c in zip(arguments, trees, strict=True):
                cotangents += _beside(argument, c)
            _check_library(name, "the pullback", cotangents, own)
            return tuple([_checked(name, own[i], cotangents[i]) for i in trained])

        def through(xp: Any, *arrays: Array) -> tuple[Array, ...]:
            try:
                return back(*arrays)
            except AnynetError:
                raise
            except Exception as error:
                raise DifferentiationError(
                    f"{name}: the pullback cannot be differentiated for a second derivative: "
                    f"{error!r}. Write it in the functions of its arrays' namespace, or give it a "
                    "derivative with anynet.custom_vjp"
                ) from error

        step: Callable[..., tuple[Array, ...]] = back
        if opaque:
            pullback_name = f"pullback of {name}"
            step = Primitive(
                pullback_name,
                None,
                back,
                decomposition=through,
                opaque=True,
                vectorized=vectorized,
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
                return by_name_error
            return (lambda g: all_at_once(g)[i]) if i in trained else None

        def by_name_error(g: Any) -> Array:
            raise DifferentiationError(
                f"{name}: an array that is differentiated was passed by name, and the pullback "
                "returns cotangents of positional arguments: pass it by position"
            )

        return tuple(map(of_leaf, range(count)))

    whole = Primitive(
        name,
        rule,
        flat,
        opaque=opaque,
        vectorized=vectorized,
        own_rule=plain,
    )
    result = whole(*arrays)
    return _filled(of_value[0], result if isinstance(result, tuple) else (result,))


def _slot(x: Array) -> Traced:
    return Traced(None)


def _filled(structure: Any, arrays: Iterable[Array]) -> Any:
    """Return the tree with these arrays as its leaves."""
    return tree.unflatten(structure, arrays)


def _any_traced(arrays: Iterable[Any]) -> bool:
    return any(type(x) is Traced for x in arrays)


def _holds_node(x: Any) -> bool:
    """Return whether a tree contains a module or another node."""
    if isinstance(x, dict | list | tuple):
        return any(map(_holds_node, x.values() if isinstance(x, dict) else x))
    return tree.is_node(x)


def _kept(old: Any, new: Any) -> Any:
    """Return the new value of a buffer, traced if the old value was."""
    return wrap(new) if type(old) is Traced else unwrap(new)


def _with_array(
    name: str,
    out: Any,
    leaves: Sequence[Array],
) -> Any:
    """Return a float, as compiled code may return for a scalar, as an array."""
    if type(out) is not float:
        if _holds_float(out):
            raise DifferentiationError(
                f"{name}: the function returned {out!r}: wanted arrays in place of floats"
            )
        return out
    like = next((x for x in leaves if is_floating(x)), leaves[0])
    dtype = like.dtype if is_floating(like) else None
    return array_namespace(like).asarray(out, dtype=dtype, device=device(like))


def _holds_float(out: Any) -> bool:
    if isinstance(out, dict | list | tuple):
        return any(map(_holds_float, out.values() if isinstance(out, dict) else out))
    return type(out) is float


def _check_library(
    name: str,
    which: str,
    out: Any,
    leaves: Sequence[Array],
) -> None:
    """Check that the returned arrays are of the library of the arguments."""
    known = set(map(type, leaves)) | {Traced}
    for _, x in tree.leaves(out):
        if type(x) not in known:
            wanted, given = (library_name(array_namespace(array)) for array in (leaves[0], x))
            if wanted != given:
                raise MixedArraysError(
                    f"{name}: {which} was given arrays of {wanted} and returned one of {given}: "
                    "convert it back, as get_backend(x).asarray(y)"
                )


def _check_cotangent(
    name: str,
    argument: Any,
    cotangent: Any,
) -> None:
    """Check that a cotangent has no scalar, and no array where the argument has none.

    Either would count as zero.
    """
    if cotangent is None or (is_array(argument) and is_array(cotangent)):
        return
    places = {path for path, _ in tree.leaves(argument)}
    if not places:
        return
    paths = {path for path, _ in tree.leaves(cotangent)}
    if not paths <= places or _holds_float(cotangent) or (places == {""} and not paths):
        raise DifferentiationError(
            f"{name}: the pullback returned {cotangent!r:.200} as the cotangent of a "
            f"{type(argument).__name__}: wanted an array for each array of the argument, in a tree "
            "like it, or None"
        )


def _beside(argument: Any, cotangent: Any) -> list[Any]:
    """Return the cotangent of every array in an argument, None where there is none."""
    if cotangent is None:
        return [None for _ in tree.leaves(argument)]
    by_path = dict(tree.leaves(cotangent))
    return [by_path.get(path) for path, _ in tree.leaves(argument)]


def _checked(
    name: str,
    x: Array,
    c: Array | None,
) -> Array:
    """Return the cotangent of an array, zeros for None.

    It may have more axes than the array. The walker sums over these.
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
