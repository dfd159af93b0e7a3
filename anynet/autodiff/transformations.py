"""What else derivatives are good for: products with them, all of them at once, less memory, and
rules of one's own.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from anynet import tree
from anynet.array import (
    Array,
    array_namespace,
    conj,
    device,
    is_complex,
    is_floating,
    library_name,
    size,
)
from anynet.autodiff.argnums import Argnums, Chosen
from anynet.autodiff.gradients import grad
from anynet.autodiff.reached import Guarded
from anynet.autodiff.tape import Tape
from anynet.callables import named_like
from anynet.errors import (
    DifferentiationError,
    DTypeError,
    MixedArraysError,
    ShapeError,
)
from anynet.tracing.trace import Traced, wrap


def vjp(f: Callable[..., Any], *args: Any, **named: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return f(*args, **named) and its pullback, from a cotangent to the tuple of those of args, g
    ↦ gᵀ ∂f/∂x.

    Arguments and value are trees of arrays; the cotangent is a tree like the value. Keyword
    arguments are constants. The pullback can be called again and again. For complex arrays it is
    the adjoint, gᴴ taken back to ∂f/∂x + i ∂f/∂y.

    Raises:
        DifferentiationError: nothing to differentiate with respect to.
        ShapeError: cotangents of other shapes, or in other places, than the value's.
        DTypeError: a complex cotangent of a real value.
        MixedArraysError: a cotangent of another library.

    """
    tape = Tape()
    lifted = tape.begin(args)
    if not tape.variables:
        raise DifferentiationError(
            "nothing to differentiate with respect to: the arguments hold no floating array"
        )
    out = tree.map(wrap, Guarded(f)(args, lifted, tree.map(wrap, named)))
    tape.finish(args, lifted)
    outputs: dict[str, Any] = dict(tree.leaves(out))
    shapes = {path: tuple(x.shape) for path, x in outputs.items()}

    def pullback(g: Any) -> Any:
        given = dict(tree.leaves(g))
        found = {path: tuple(x.shape) for path, x in given.items()}
        if shapes != found:
            raise ShapeError(
                f"cotangents of shapes {_shown(found)} were given: wanted those of the value, "
                f"{_shown(shapes)}"
            )
        cotangents: dict[int, Array] = {}
        for path, x in outputs.items():
            if x.trace is tape:
                c = given[path]
                _check_cotangent_of(x, c)
                # Under another trace all arrays belong to it: not every library's operators take a
                # stranger.
                c = wrap(c) if type(x.value) is Traced else c
                cotangents[x.node] = (
                    conj(c) if x.node not in cotangents else cotangents[x.node] + conj(c)
                )
        return tape.gradients((args,), tape.backward(cotangents, keep=True))[0]

    return tree.map(tape.value, out), pullback


def _check_cotangent_of(x: Traced, c: Array) -> None:
    """Look for a cotangent of another library, and for one whose imaginary part would be left
    out.
    """
    given = c.plain if type(c) is Traced else c
    if type(given) is not type(x.plain) and library_name(array_namespace(given)) != library_name(
        x.library
    ):
        raise MixedArraysError(
            f"a cotangent of {library_name(array_namespace(given))} was given: wanted an array of "
            f"the value's library, {library_name(x.library)}, as get_backend(x).asarray(y)"
        )
    if is_complex(c) and not is_complex(x):
        raise DTypeError(
            f"a cotangent of {c.dtype} was given for a value of {x.dtype}: take its real part"
        )


def _shown(shapes: dict[str, tuple[int, ...]]) -> str:
    return (
        ", ".join(f"{shape} ({path})" if path else str(shape) for path, shape in shapes.items())
        or "no array"
    )


def jvp(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    tangents: tuple[Any, ...],
    **named: Any,
) -> tuple[Any, Any]:
    """Return f(*args, **named) and its derivative along the tangents, ∂f/∂x · v, a tree like the
    value.

    Keyword arguments are constants. The pullback is linear in the cotangent; the pullback of that
    is the derivative forwards (Townsend's trick).

    Raises:
        DifferentiationError: args or tangents is no tuple.
        ShapeError: the tangents are not like the arguments.

    """
    for name, given in (("args", args), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise DifferentiationError(
                f"{name} is a {type(given).__name__}: wanted a tuple with one tree for each "
                "argument of the function"
            )
    _check_like("tangents", tangents, args)
    value, _ = vjp(f, *args, **named)
    places = tree.map(lambda x: array_namespace(x).zeros_like(x), value)
    _, forwards = vjp(
        lambda g: vjp(f, *tree.map(wrap, args), **tree.map(wrap, named))[1](g),
        places,
    )
    # The others have no cotangents, and so no place here.
    of, path = (
        dict(tree.leaves(args)),
        iter([path for path, _ in tree.leaves(tangents)]),
    )
    trained = tree.map(lambda v: v if _is_inexact(of[next(path)]) else None, tangents)
    return value, forwards(trained)[0]


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that computes ∂f/∂argument, of shape (*value.shape, *argument.shape).

    For trees: the tree of the value, with the tree of the argument in place of every array, and
    with a tuple of these where ``argnums`` is a tuple. Keyword arguments are constants. For a real
    value of a complex argument x + iy it is ∂f/∂x + i ∂f/∂y, as for `anynet.grad`.

    Raises:
        DifferentiationError: an argument is not there, or the value is complex: then there is no
            one matrix.

    """
    chosen = Chosen(f, argnums)

    @named_like(f)
    def of_arguments(*args: Any, **named: Any) -> Any:
        keys = chosen.keys(args, {})

        def of_chosen(*variables: Any) -> Any:
            given = dict(zip(keys, variables, strict=True))
            constants = tree.map(wrap, named)
            return f(
                *(given[i] if i in given else tree.map(wrap, arg) for i, arg in enumerate(args)),
                **constants,
            )

        like = [args[key] for key in keys]  # type: ignore[index]  # positions
        value, pullback = vjp(of_chosen, *like)
        outputs = [x for _, x in tree.leaves(value)]
        if not outputs:
            raise DifferentiationError(
                f"jacobian wants arrays, and the function returned {value!r}: return what depends "
                "on its arguments"
            )
        for x in outputs:
            if is_complex(x):
                raise DifferentiationError(
                    f"jacobian wants real values, and the function returned {x.dtype}: take the "
                    "real and the imaginary part one by one, or use vjp, jvp or hvp"
                )
        place = count()

        def rows(x: Array) -> Any:
            """Pull back a one in every element in turn."""
            at = next(place)
            found = []
            for i in range(size(x)):
                xp = array_namespace(x)
                one = xp.reshape(
                    xp.astype(xp.arange(size(x), device=device(x)) == i, x.dtype),
                    x.shape,
                )
                ones = iter(
                    [
                        one if k == at else array_namespace(y).zeros_like(y)
                        for k, y in enumerate(outputs)
                    ]
                )
                found.append(pullback(tree.map(lambda _: next(ones), value)))  # noqa: B023 - called at once
            return chosen.structure(list(_stacked(found, x.shape, tuple(like))))

        return tree.map(rows, value)

    return of_arguments


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that computes the second derivatives of a scalar f, (*argument.shape,
    *argument.shape).

    Where ``argnums`` is a tuple, it is a tuple of tuples. Keyword arguments are constants.

    Raises:
        DifferentiationError: as `jacobian`; for complex arguments there is `hvp`.

    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], x: Any, v: Any, **named: Any) -> Any:
    """Return the product of the Hessian of the scalar f(x, **named) with v, a tree like x, without
    making the matrix.

    Keyword arguments are constants. For complex x it is the derivative of the gradient ∂f/∂x + i
    ∂f/∂y along v.

    Raises:
        ShapeError: v is not like x.

    """
    _check_like("v", v, x)
    along = dict(tree.leaves(v))

    def slope(x: Any) -> Any:
        return sum(
            _inner(g, wrap(along[path]))
            for path, g in tree.leaves(grad(f)(x, **tree.map(wrap, named)))
        )

    return grad(slope)(x)


def _inner(g: Array, v: Array) -> Array:
    """Return the real inner product of two arrays."""
    xp = array_namespace(g)
    if not is_complex(g):
        return xp.sum(g * v)
    return xp.sum(xp.real(xp.conj(xp.astype(v, g.dtype)) * g))


def _stacked(rows: list[Any], shape: tuple[int, ...], like: Any) -> Any:
    """Return the tree of rows with an array of all of them, shaped like the value, in place of
    every array.
    """
    columns = [[x for _, x in tree.leaves(row)] for row in rows]
    place = count()

    def stacked(x: Array) -> Array:
        xp = array_namespace(x)
        i = next(place)
        if not rows:
            return xp.zeros((*shape, *x.shape), dtype=x.dtype, device=device(x))
        xp = array_namespace(columns[0][i])
        return xp.reshape(xp.stack([row[i] for row in columns]), (*shape, *x.shape))

    return tree.map(stacked, rows[0] if rows else like)


def _check_like(name: str, given: Any, wanted: Any) -> None:
    shapes = [
        {path: tuple(x.shape) for path, x in tree.leaves(value, buffers=False)}
        for value in (given, wanted)
    ]
    if shapes[0] != shapes[1]:
        raise ShapeError(
            f"{name} has the shapes {_shown(shapes[0])}: wanted those of the arguments, "
            f"{_shown(shapes[1])}"
        )


def _is_inexact(x: Array) -> bool:
    return is_floating(x) or is_complex(x)
