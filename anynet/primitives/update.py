"""The update of all parameters of a network in one call.

An optimizer defines the update of one parameter. The primitive of its ``KERNEL`` updates many, and
a backend can have a kernel of that name, in its ``kernels/update.py``.

The primitive is called as ``update(*scalars, *arrays, **settings)``. The arrays are a parameter,
its gradient and its slots, then those of the next parameter. The results are the new parameter and
the new slots, then those of the next one. No array is written into. The arrays of one parameter
have one shape and dtype. The slots of a parameter narrower than float32 are float32, because small
steps would be lost in it.
"""

from collections.abc import Callable, Sequence

from anynet.array import Array, widened
from anynet.errors import ArgumentError, ShapeError
from anynet.primitives.precision import rounded

Scalars = tuple[float, ...]
Slots = tuple[Array, ...]

#: The update of one parameter, called as ``apply(parameter, gradient, slots, scalars)``. It returns
#: the new parameter and the new slots.
Apply = Callable[[Array, Array, Slots, Scalars], tuple[Array, Slots]]


def apply_to_each(
    apply: Apply,
    slots: int,
    scalars: Scalars,
    arrays: Sequence[Array],
) -> Slots:
    """Return the new parameter and slots of each parameter in turn.

    Args:
        apply: the update of one parameter, computed in float32 or wider.
        slots: how many slots each parameter has.
        scalars: the scalars of the update.
        arrays: the parameter, gradient and slots of each parameter in turn.

    Raises:
        ArgumentError: ``apply`` returns another number of slots.
        ShapeError: ``apply`` returns an array of another shape.

    """
    results: list[Array] = []
    for i in range(0, len(arrays), 2 + slots):
        parameter, gradient, *old = arrays[i : i + 2 + slots]
        new, kept = apply(widened(parameter), widened(gradient), tuple(old), scalars)
        if len(kept) != slots:
            raise ArgumentError(
                f"{apply.__qualname__} returned {len(kept)} slots: wanted {slots}, as in "
                "(new_parameter, (new_slot,))"
            )
        for before, after in zip((parameter, *old), (new, *kept), strict=True):
            if after.shape != before.shape:
                raise ShapeError(
                    f"{apply.__qualname__} returned an array of shape {tuple(after.shape)}: wanted "
                    f"{tuple(before.shape)}, the shape of the parameter"
                )
            results.append(rounded(after, before))
    return tuple(results)
