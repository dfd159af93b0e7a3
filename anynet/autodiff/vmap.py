"""vmap: a function of one example, evaluated for a whole batch at once."""

from collections.abc import Callable
from itertools import chain
from typing import Any

from anynet import tree
from anynet.array import Array, array_namespace
from anynet.callables import named_like
from anynet.errors import ArgumentError, DifferentiationError, ShapeError
from anynet.tracing.trace import Traced, wrap
from anynet.tracing.vectorize import Vectorizer


def vmap(
    f: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
) -> Callable[..., Any]:
    """Return a function that evaluates ``f`` for all entries along an axis of its arguments.

    The result is the same as the stacked results of a loop over the entries. `vmap` and
    `anynet.grad` nest in any order: ``vmap(grad(loss), in_axes=(None, 0, 0))(net, x, t)`` returns
    the gradient of every example. Random values are the same for every entry, unless their key is
    among the arguments that are mapped.

    Args:
        f: a function of trees of arrays that returns a tree of arrays. It uses functions of the
            standard.
        in_axes: the axis over the entries in the arguments. None means that an argument is the same
            for all entries. A tuple has one part for each argument, which may be a tree like the
            argument. Keyword arguments are the same for all entries.
        out_axes: the axis over the entries in the result, or a tree of axes like the result. None
            means that an array is the same for all entries.

    Raises:
        ShapeError: the arguments have different numbers of entries, or an array has no such axis.
        ArgumentError: ``in_axes`` or ``out_axes`` does not match the arguments or the result, or no
            argument is mapped.
        DifferentiationError: ``f`` uses the value of an array, as ``if x > 0`` does, or a buffer of
            a network that is the same for all entries would differ from entry to entry.
        NoRuleError: ``f`` uses a function that cannot be evaluated for many entries at once.

    >>> import numpy as np
    >>> rows = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> anynet.vmap(lambda x, y: x @ y)(np.ones((3, 2)), rows)
    array([ 3.,  7., 11.])

    """

    @named_like(f)
    def of_all(*args: Any, **named: Any) -> Any:
        if isinstance(in_axes, tuple | list) and len(in_axes) != len(args):
            raise ArgumentError(
                f"in_axes has {len(in_axes)} parts: wanted one for each of {len(args)} arguments"
            )
        axes = _of_leaves("in_axes", in_axes, args)
        leaves = [(f"argument {path}", x) for path, x in tree.leaves(args)]
        mapped = [
            (path, x, _place(path, axis, x.ndim))
            for (path, x), axis in zip(leaves, axes, strict=True)
        ]
        batch = Vectorizer(_entries(mapped))
        # Inside another trace, an array that is the same for all entries stays a constant of it.
        traced = any(type(x) is Traced for _, x in leaves)
        places = iter(mapped)

        def begin(x: Array) -> Traced:
            _, _, axis = next(places)
            return wrap(x) if axis is None else batch.variable(_moved(x, axis, 0))

        begun = tree.map(begin, args)
        out = f(*begun, **tree.map(wrap, named))
        known = {id(x): axis for _, x, axis in mapped}
        tree.update_buffers(
            lambda old, new: _buffer(batch, new, known.get(id(old))),
            args,
            begun,
        )
        axes_of_out = iter(_of_leaves("out_axes", out_axes, out))

        def end(array: Array) -> Array:
            axis = next(axes_of_out)
            x = wrap(array)
            if x.trace is batch:
                if axis is None:
                    raise ArgumentError(
                        f"out_axes is None for an array of shape {tuple(x.shape)} that differs "
                        "from entry to entry: wanted the axis that runs over the entries"
                    )
                return _moved(x.value, 0, _place("the result", axis, x.ndim + 1))
            out = x if traced or x.trace is not None else x.value
            if axis is None:
                return out
            return _repeated(out, _place("the result", axis, out.ndim + 1), batch.points)

        return tree.map(end, out)

    return of_all


def _of_leaves(
    name: str,
    axes: Any,
    argument: Any,
) -> list[int | None]:
    """Return the axis of every leaf of a tree.

    The axes are one axis, or a tree of axes in which one axis may stand for a whole branch.
    """
    if axes is None or (isinstance(axes, int) and not isinstance(axes, bool)):
        return [axes for _ in tree.leaves(argument)]
    if isinstance(axes, dict) and isinstance(argument, dict) and axes.keys() == argument.keys():
        children = [(axes[key], child) for key, child in argument.items()]
    elif (
        isinstance(axes, tuple | list)
        and isinstance(argument, tuple | list)
        and len(axes) == len(argument)
    ):
        children = list(zip(axes, argument, strict=True))
    else:
        raise ArgumentError(
            f"{name} has {axes!r} for a {type(argument).__name__}: wanted an integer, None, or a "
            "tree like it"
        )
    return list(chain.from_iterable(_of_leaves(name, axis, child) for axis, child in children))


def _place(
    name: str,
    axis: int | None,
    ndim: int,
) -> int | None:
    """Return a non-negative axis."""
    if axis is None:
        return None
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{name} has {ndim} axes: it has no axis {axis} to run over the entries")
    return axis % ndim


def _entries(mapped: list[tuple[str, Array, int | None]]) -> int:
    lengths: dict[str, int] = {path: x.shape[axis] for path, x, axis in mapped if axis is not None}
    if not lengths:
        raise ArgumentError(
            "in_axes is None for every array: wanted an axis over the entries for one or more"
        )
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{length} ({path})" for path, length in lengths.items())
        raise ShapeError(
            f"the arguments have different numbers of entries: {given}; wanted the same for all"
        )
    return next(iter(lengths.values()))


def _moved(
    x: Array,
    source: int,
    destination: int | None,
) -> Array:
    return x if source == destination else array_namespace(x).moveaxis(x, source, destination)


def _repeated(
    x: Array,
    axis: int | None,
    entries: int,
) -> Array:
    xp = array_namespace(x)
    wide = xp.expand_dims(x, axis=axis)
    shape = tuple(entries if i == axis else n for i, n in enumerate(wide.shape))
    return xp.broadcast_to(wide, shape)


def _buffer(
    batch: Vectorizer,
    new: Any,
    axis: int | None,
) -> Any:
    """Return the new value of a buffer, with the axis over the entries where it was."""
    if type(new) is not Traced:
        return new
    if new.trace is not batch:
        new = new.value if new.trace is None else new
        return new if axis is None else _repeated(new, axis, batch.points)
    if axis is None:
        raise DifferentiationError(
            f"a buffer of shape {tuple(new.shape)} would differ between the {batch.points} "
            "entries, as the running statistics of BatchNorm do: freeze the layer, or map the "
            "buffers over an axis too"
        )
    return _moved(new.value, 0, axis)
