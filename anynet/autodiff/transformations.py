"""What else derivatives are good for: products with them, all of them at once, less memory, and rules of one's own."""

from collections.abc import Callable
from functools import wraps
from itertools import count
from typing import Any

from anynet import tree
from anynet.array import Array, array_namespace, conj, device, is_complex, size
from anynet.autodiff.arguments import Argnums, Chosen
from anynet.autodiff.backward import Tape, grad
from anynet.autodiff.reached import Guarded
from anynet.autodiff.trace import Primitive, Traced, lift, lower, shared
from anynet.errors import DifferentiationError, ShapeError


def vjp(f: Callable[..., Any], *args: Any, **named: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return f(*args, **named) and its pullback, from a cotangent to the tuple of those of args, g ↦ gᵀ ∂f/∂x.

    Arguments and value are trees of arrays; the cotangent is a tree like the value. Keyword arguments are constants.
    The pullback can be called again and again. For complex arrays it is the adjoint, gᴴ taken back to ∂f/∂x + i ∂f/∂y.

    Raises:
        DifferentiationError: nothing to differentiate with respect to.
        ShapeError: a cotangent of another shape than the value.

    """
    tape = Tape()
    lifted = tape.begin(args)
    if not tape.variables:
        raise DifferentiationError("nothing to differentiate with respect to: the arguments hold no floating array")
    out = tree.map(lift, Guarded(f)(args, lifted, tree.map(lift, named)))
    tape.finish(args, lifted)
    outputs = [x for _, x in tree.leaves(out)]

    def pullback(g: Any) -> Any:
        given = [x for _, x in tree.leaves(g)]
        shapes = [tuple(x.shape) for x in outputs], [tuple(x.shape) for x in given]
        if shapes[0] != shapes[1]:
            raise ShapeError(f"cotangents of shapes {shapes[1]} were given: wanted those of the value, {shapes[0]}")
        cotangents: dict[int, Array] = {}
        for x, c in zip(outputs, given, strict=True):
            if x.trace is tape:
                # Under another trace all arrays belong to it: not every library's operators take a stranger.
                c = lift(c) if type(x.value) is Traced else c
                cotangents[x.node] = conj(c) if x.node not in cotangents else cotangents[x.node] + conj(c)
        found = tape.backward(cotangents, keep=True)
        return tape.gradient(args, iter(tape.places), found)

    return tree.map(tape.value, out), pullback


def jvp(f: Callable[..., Any], args: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return f(*args) and its derivative along the tangents, ∂f/∂x · v, a tree like the value.

    The pullback is linear in the cotangent; the pullback of that is the derivative forwards (Townsend's trick).

    Raises:
        DifferentiationError: args or tangents is no tuple.
        ShapeError: the tangents are not like the arguments.

    """
    for name, given in (("args", args), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise DifferentiationError(
                f"{name} is a {type(given).__name__}: wanted a tuple with one tree for each argument of the function"
            )
    _check_like("tangents", tangents, args)
    value, _ = vjp(f, *args)
    places = tree.map(lambda x: array_namespace(x).zeros_like(x), value)
    _, forwards = vjp(lambda g: vjp(f, *tree.map(lift, args))[1](g), places)
    return value, forwards(tangents)[0]


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that computes ∂f/∂argument, of shape (*value.shape, *argument.shape).

    For trees: the tree of the value, with the tree of the argument in place of every array, and with a tuple of these
    where ``argnums`` is a tuple. Keyword arguments are constants. For a real value of a complex argument x + iy it is
    ∂f/∂x + i ∂f/∂y, as for `anynet.grad`.

    Raises:
        DifferentiationError: an argument is not there, or the value is complex: then there is no one matrix.

    """
    chosen = Chosen(f, argnums)

    @wraps(f)
    def of_arguments(*args: Any, **named: Any) -> Any:
        keys = chosen.keys(args, {})

        def of_chosen(*variables: Any) -> Any:
            given = dict(zip(keys, variables, strict=True))
            constants = tree.map(lift, named)
            return f(*(given[i] if i in given else tree.map(lift, arg) for i, arg in enumerate(args)), **constants)

        like = [args[key] for key in keys]  # type: ignore[index]  # positions
        value, pullback = vjp(of_chosen, *like)
        outputs = [x for _, x in tree.leaves(value)]
        for x in outputs:
            if is_complex(x):
                raise DifferentiationError(
                    f"jacobian wants real values, and the function returned {x.dtype}: take the real and the imaginary "
                    "part one by one, or use vjp, jvp or hvp"
                )
        place = count()

        def rows(x: Array) -> Any:
            """Pull back a one in every element in turn."""
            at = next(place)
            found = []
            for i in range(size(x)):
                xp = array_namespace(x)
                one = xp.reshape(xp.astype(xp.arange(size(x), device=device(x)) == i, x.dtype), x.shape)
                ones = iter([one if k == at else array_namespace(y).zeros_like(y) for k, y in enumerate(outputs)])
                found.append(pullback(tree.map(lambda _: next(ones), value)))  # noqa: B023 - called at once
            return chosen.structure(list(_stacked(found, x.shape, tuple(like))))

        return tree.map(rows, value)

    return of_arguments


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that computes the second derivatives of a scalar f, (*argument.shape, *argument.shape).

    Where ``argnums`` is a tuple, it is a tuple of tuples. Keyword arguments are constants.

    Raises:
        DifferentiationError: as `jacobian`; for complex arguments there is `hvp`.

    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[[Any], Any], x: Any, v: Any) -> Any:
    """Return the product of the Hessian of the scalar f(x) with v, a tree like x, without ever making the matrix.

    For complex x it is the derivative of the gradient ∂f/∂x + i ∂f/∂y along v.

    Raises:
        ShapeError: v is not like x.

    """
    _check_like("v", v, x)
    along = dict(tree.leaves(v))

    def slope(x: Any) -> Any:
        return sum(_inner(g, lift(along[path])) for path, g in tree.leaves(grad(f)(x)))

    return grad(slope)(x)


def _inner(g: Array, v: Array) -> Array:
    """Return the real inner product of two arrays."""
    xp = array_namespace(g)
    if not is_complex(g):
        return xp.sum(g * v)
    return xp.sum(xp.real(xp.conj(xp.astype(v, g.dtype)) * g))


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function like f that keeps its arguments only, and computes f again on the way back.

    Memory for time: nothing in between is held. What is to be differentiated has to be among the arguments, or in f
    itself where f is a layer. Source: Chen, Xu, Zhang and Guestrin, Training deep nets with sublinear memory cost,
    2016.
    """

    def again(g: Any, out: Any, *args: Any) -> Any:
        return vjp(_call, *args)[1](g)

    return wraps(f)(lambda *args: _step("checkpoint", _call, again)(f, *args))


def custom_vjp(f: Callable[..., Any], pullback: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function like f whose derivative is the one given: pullback(g, out, *args) ↦ one cotangent an argument.

    Arguments, value and cotangents are trees of arrays; None in a cotangent's place says that there is none. The
    pullback is itself differentiated where second derivatives are asked for.
    """
    return wraps(f)(_step(getattr(f, "__name__", "custom_vjp"), f, pullback))


def _call(f: Callable[..., Any], *args: Any) -> Any:
    return f(*args)


def _step(name: str, f: Callable[..., Any], pullback: Callable[..., Any]) -> Callable[..., Any]:
    """Return f as one step of a tape: a primitive of all arrays in its arguments."""

    def step(*args: Any) -> Any:
        made: list[Any] = []

        def flat(*leaves: Array) -> Any:
            values = iter(leaves)
            own = tree.map(lambda _: lift(next(values)), args)
            out = f(*own)
            tree.update_buffers(lambda old, new: new if type(old) is Traced else lower(new), args, own)
            made[:] = [out]
            found = tuple(lift(x) for _, x in tree.leaves(out))
            # None, but where the function is recorded part by part.
            known = {x.trace for x in leaves if type(x) is Traced}
            if any(x.trace is not None and x.trace not in known for x in found):
                raise DifferentiationError(
                    f"{name}: the function uses a traced array that is not among its arguments: pass it as one"
                )
            plain = tuple(x.value if x.trace is None else x for x in found)
            return plain if len(plain) != 1 else plain[0]

        def rule(xp: Any, out: Any, *leaves: Array) -> Any:
            several = out if isinstance(out, tuple) else (out,)

            @shared
            def all_at_once(g: Any) -> list[Any]:
                given = g if isinstance(g, tuple) else (g,)
                parts = [xp.zeros_like(x) if c is None else conj(c) for x, c in zip(several, given, strict=True)]
                values, outs, cotangents = iter(leaves), iter(several), iter(parts)
                arguments = tree.map(lambda _: next(values), args)
                result = tree.map(lambda _: next(outs), made[0])
                found = pullback(tree.map(lambda _: next(cotangents), made[0]), result, *arguments)
                found = found if isinstance(found, tuple) else (found,)
                flattened = [c for argument, c in zip(arguments, found, strict=True) for c in _beside(argument, c)]
                return [None if c is None else conj(c) for c in flattened]

            def of_leaf(i: int) -> Callable[[Any], Array]:
                def pull(g: Any) -> Array:
                    c = all_at_once(g)[i]
                    return xp.zeros_like(leaves[i]) if c is None else c

                return pull

            return tuple(of_leaf(i) for i in range(len(leaves)))

        result = Primitive(name, rule, flat)(*(x for _, x in tree.leaves(args)))
        parts = iter(result if isinstance(result, tuple) else (result,))
        return tree.map(lambda _: next(parts), made[0])

    return step


def _beside(argument: Any, cotangent: Any) -> list[Any]:
    """Return the cotangent of every array in an argument, None where there is none."""
    if cotangent is None:
        return [None for _ in tree.leaves(argument)]
    found = dict(tree.leaves(cotangent))
    return [found.get(path) for path, _ in tree.leaves(argument)]


def _stacked(rows: list[Any], shape: tuple[int, ...], like: Any) -> Any:
    """Return the tree of rows with an array of all of them, shaped like the value, in place of every array."""
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
    shapes = [[(path, tuple(x.shape)) for path, x in tree.leaves(value, buffers=False)] for value in (given, wanted)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"{name} have the arrays {shapes[0]}: wanted those of the arguments, {shapes[1]}")
