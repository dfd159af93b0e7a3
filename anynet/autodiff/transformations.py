"""Products with derivatives, and matrices of derivatives: vjp, jvp, hvp, jacobian, hessian."""

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


def vjp(
    f: Callable[..., Any],
    *args: Any,
    **named: Any,
) -> tuple[Any, Callable[[Any], Any]]:
    """Return f(*args, **named) and its pullback, g ↦ gᵀ ∂f/∂x.

    The pullback takes a cotangent, a tree like the value, and returns the tuple of the cotangents
    of ``args``. It can be called more than once. For complex arrays it is the adjoint, gᴴ (∂f/∂x +
    i ∂f/∂y).

    Args:
        f: a function of trees of arrays that returns a tree of arrays.
        *args: the trees to differentiate with respect to.
        **named: arguments that are constants.

    Raises:
        DifferentiationError: there is nothing to differentiate with respect to.
        ShapeError: the cotangent is not a tree like the value, of the same shapes.
        DTypeError: the cotangent of a real value is complex.
        MixedArraysError: the cotangent is of another library.

    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 3.

    >>> import numpy as np
    >>> value, pullback = anynet.vjp(lambda x: x**2, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)

    """
    tape = Tape()
    begun = tape.begin(args)
    if not tape.variables:
        raise DifferentiationError(
            "nothing to differentiate with respect to: the arguments hold no floating array"
        )
    out = tree.map(wrap, Guarded(f)(args, begun, tree.map(wrap, named)))
    tape.finish(args, begun)
    outputs: dict[str, Any] = dict(tree.leaves(out))
    shapes = {path: tuple(x.shape) for path, x in outputs.items()}

    def pullback(g: Any) -> Any:
        leaves = dict(tree.leaves(g))
        given = {path: tuple(c.shape) for path, c in leaves.items()}
        if shapes != given:
            raise ShapeError(
                f"cotangents of shapes {_shown(given)} were given: wanted those of the value, "
                f"{_shown(shapes)}"
            )
        cotangents: dict[int, Array] = {}
        for path, x in outputs.items():
            if x.trace is not tape:
                continue
            c = leaves[path]
            _check_cotangent_of(x, c)
            # Inside another trace all arrays belong to it, because not every library's operators
            # take an array of another type.
            c = conj(wrap(c) if type(x.value) is Traced else c)
            cotangents[x.node] = cotangents[x.node] + c if x.node in cotangents else c
        return tape.gradients((args,), tape.backward(cotangents, keep=True))[0]

    return tree.map(tape.value, out), pullback


def _check_cotangent_of(x: Traced, c: Array) -> None:
    """Check that a cotangent is of the library of x, and that it is not complex where x is real."""
    plain = c.plain if type(c) is Traced else c
    if type(plain) is not type(x.plain):
        given, wanted = library_name(array_namespace(plain)), library_name(x.library)
        if given != wanted:
            raise MixedArraysError(
                f"a cotangent of {given} was given: wanted an array of the value's library, "
                f"{wanted}, as get_backend(x).asarray(y)"
            )
    if is_complex(c) and not is_complex(x):
        raise DTypeError(
            f"a cotangent of {c.dtype} was given for a value of {x.dtype}: take its real part"
        )


def _shown(shapes: dict[str, tuple[int, ...]]) -> str:
    shown = [f"{shape} ({path})" if path else str(shape) for path, shape in shapes.items()]
    return ", ".join(shown) or "no array"


def jvp(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    tangents: tuple[Any, ...],
    **named: Any,
) -> tuple[Any, Any]:
    """Return f(*args, **named) and its derivative along the tangents, ∂f/∂x · v.

    The derivative is a tree like the value. The pullback is linear in the cotangent, and the
    pullback of the pullback is the derivative along the tangents (Townsend's trick).

    Args:
        f: a function of trees of arrays that returns a tree of arrays.
        args: a tuple with one tree for each argument.
        tangents: a tuple of trees like ``args``.
        **named: arguments that are constants.

    Raises:
        DifferentiationError: ``args`` or ``tangents`` is not a tuple.
        ShapeError: the tangents are not trees like the arguments, of the same shapes.

    Source: Townsend, A new trick for calculating Jacobian vector products, 2017.

    >>> import numpy as np
    >>> anynet.jvp(lambda x: x**2, (np.array([1.0, 2.0]),), (np.array([1.0, 10.0]),))
    (array([1., 4.]), array([ 2., 40.]))

    """
    for name, given in (("args", args), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise DifferentiationError(
                f"{name} is a {type(given).__name__}: wanted a tuple with one tree for each "
                "argument of the function"
            )
    _check_like("tangents", tangents, args)
    value, _ = vjp(f, *args, **named)
    zeros = tree.map(lambda x: array_namespace(x).zeros_like(x), value)

    def transpose(g: Any) -> Any:
        _, pullback = vjp(
            f,
            *tree.map(wrap, args),
            **tree.map(wrap, named),
        )
        return pullback(g)

    _, forwards = vjp(transpose, zeros)
    # Integers and booleans have no cotangents.
    leaves = dict(tree.leaves(args))
    paths = iter([path for path, _ in tree.leaves(tangents)])
    floating = tree.map(lambda v: v if _is_inexact(leaves[next(paths)]) else None, tangents)
    return value, forwards(floating)[0]


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that computes ∂f/∂argument, of shape (*value.shape, *argument.shape).

    For trees it is the tree of the value, with the tree of the argument in place of every array.
    For a real value of a complex argument x + iy it is ∂f/∂x + i ∂f/∂y, as for `anynet.grad`.

    Args:
        f: a function of trees of arrays that returns a tree of real arrays. Keyword arguments are
            constants.
        argnums: the position of the argument, or a tuple of positions. For a tuple, a tuple of
            derivatives is in place of every array.

    Raises:
        DifferentiationError: there is no such argument, or the value is complex, which has no
            single matrix of derivatives.

    >>> import numpy as np
    >>> anynet.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])

    """
    chosen = Chosen(f, argnums)

    @named_like(f)
    def of_arguments(*args: Any, **named: Any) -> Any:
        keys = chosen.keys(args, {})

        def of_chosen(*variables: Any) -> Any:
            chosen_args = dict(zip(keys, variables, strict=True))
            in_order = [
                chosen_args[i] if i in chosen_args else tree.map(wrap, arg)
                for i, arg in enumerate(args)
            ]
            return f(*in_order, **tree.map(wrap, named))

        like = [args[key] for key in keys]  # type: ignore[index]  # positions
        value, pullback = vjp(of_chosen, *like)
        outputs = [x for _, x in tree.leaves(value)]
        if not outputs:
            raise DifferentiationError(
                f"jacobian needs arrays, and the function returned {value!r}: return an array that "
                "depends on the arguments"
            )
        for x in outputs:
            if is_complex(x):
                raise DifferentiationError(
                    f"jacobian needs real values, and the function returned {x.dtype}: return the "
                    "real and the imaginary part as two arrays, or use vjp, jvp or hvp"
                )
        position = count()

        def rows(x: Array) -> Any:
            """Return the derivatives of each element of x, an array of the value."""
            zeros = [array_namespace(y).zeros_like(y) for y in outputs]
            at = next(position)
            pulled_back = []
            for i in range(size(x)):
                zeros[at] = _one_at(x, i)
                pulled_back.append(pullback(tree.unflatten(value, zeros)))
            return chosen.structure(list(_stacked(pulled_back, x.shape, tuple(like))))

        return tree.map(rows, value)

    return of_arguments


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that computes ∂²f/∂argument², (*argument.shape, *argument.shape).

    Args:
        f: a function of trees of arrays that returns a real scalar. Keyword arguments are
            constants.
        argnums: the position of the argument, or a tuple of positions. For a tuple the result is a
            tuple of tuples.

    Raises:
        DifferentiationError: as `jacobian`. For complex arguments use `hvp`.

    >>> import numpy as np
    >>> anynet.hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])

    """
    return jacobian(grad(f, argnums), argnums)


def hvp(
    f: Callable[..., Any],
    x: Any,
    v: Any,
    **named: Any,
) -> Any:
    """Return the product of the Hessian of f with v, ∂²f/∂x² · v, without computing the matrix.

    For complex x it is the derivative of the gradient ∂f/∂x + i ∂f/∂y along v.

    Args:
        f: a function that returns a real scalar.
        x: a tree of arrays.
        v: a tree like x, of the same shapes.
        **named: arguments of f that are constants.

    Raises:
        ShapeError: v is not a tree like x.

    Source: Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6, 1994.

    >>> import numpy as np
    >>> anynet.hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([  6., 120.])

    """
    _check_like("v", v, x)
    direction = dict(tree.leaves(v))

    def slope(x: Any) -> Any:
        gradient = grad(f)(x, **tree.map(wrap, named))
        return sum(_inner(g, wrap(direction[path])) for path, g in tree.leaves(gradient))

    return grad(slope)(x)


def _one_at(x: Array, i: int) -> Array:
    """Return zeros like x, with a one at the i-th element."""
    xp = array_namespace(x)
    is_i = xp.arange(size(x), device=device(x)) == i
    return xp.reshape(xp.astype(is_i, x.dtype), x.shape)


def _inner(g: Array, v: Array) -> Array:
    """Return the real inner product of two arrays."""
    xp = array_namespace(g)
    if not is_complex(g):
        return xp.sum(g * v)
    return xp.sum(xp.real(xp.conj(xp.astype(v, g.dtype)) * g))


def _stacked(
    rows: list[Any],
    shape: tuple[int, ...],
    like: Any,
) -> Any:
    """Return a tree like a row, with each array stacked over all rows, (*shape, *x.shape).

    Without rows, the tree ``like`` has the shapes.
    """
    columns = [[x for _, x in tree.leaves(row)] for row in rows]
    position = count()

    def stacked(x: Array) -> Array:
        i = next(position)
        if not rows:
            xp = array_namespace(x)
            return xp.zeros(
                (*shape, *x.shape),
                dtype=x.dtype,
                device=device(x),
            )
        xp = array_namespace(columns[0][i])
        return xp.reshape(xp.stack([row[i] for row in columns]), (*shape, *x.shape))

    return tree.map(stacked, rows[0] if rows else like)


def _check_like(
    name: str,
    given: Any,
    wanted: Any,
) -> None:
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
