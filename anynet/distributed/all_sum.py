"""Sums over all ranks, whose derivatives are such sums too."""

import math
from typing import TYPE_CHECKING, Any

from anynet.array import Array, Namespace, array_namespace, dtype_name, is_complex, widened
from anynet.errors import DTypeError
from anynet.tracing.trace import Primitive, shared

if TYPE_CHECKING:
    from anynet.distributed.group import Group


def _rule(
    xp: Namespace,
    out: tuple[Array, ...],
    *arrays: Array,
    group: "Group",
) -> Any:
    """Each rank has a part of the function that is differentiated, so cotangents add up."""

    @shared
    def pullbacks(g: tuple[Array | None, ...]) -> tuple[Array, ...]:
        whole = [xp.zeros_like(x) if c is None else c for x, c in zip(out, g, strict=True)]
        return all_sum(*whole, group=group)

    return tuple(lambda g, i=i: pullbacks(g)[i] for i in range(len(arrays)))


def _sum(*arrays: Array, group: "Group") -> tuple[Array, ...]:
    """Return the sum of each array over all ranks, in one message for each dtype."""
    messages: dict[Any, list[int]] = {}
    parts = [_parts(x) for x in arrays]
    for i, x in enumerate(parts):
        messages.setdefault(x.dtype, []).append(i)
    sums: dict[int, Array] = {}
    for places in messages.values():
        flat = [array_namespace(parts[i]).reshape(parts[i], (-1,)) for i in places]
        total = group.exchange(flat)
        start = 0
        for i in places:
            stop = start + math.prod(parts[i].shape)
            sums[i] = _joined(total[start:stop], arrays[i])
            start = stop
    return tuple([sums[i] for i in range(len(arrays))])


def _parts(x: Array) -> Array:
    """Return an array of a dtype that adds up: 16 bits become float32, complex numbers pairs."""
    xp = array_namespace(x)
    if xp.isdtype(x.dtype, "bool"):
        raise DTypeError("a sum over all ranks was given booleans: wanted numbers, as astype()")
    if xp.isdtype(x.dtype, "integral") and x.dtype not in (xp.int32, xp.int64):
        raise DTypeError(
            f"a sum over all ranks was given {dtype_name(x.dtype)}: wanted int32 or int64, as "
            "astype()"
        )
    if is_complex(x):
        return xp.stack([xp.real(x), xp.imag(x)])
    return widened(x)


def _joined(total: Array, like: Array) -> Array:
    """Return a part of a message in the form of the array that was sent."""
    xp = array_namespace(total)
    if is_complex(like):
        pairs = xp.reshape(total, (2, *like.shape))
        return xp.astype(pairs[0, ...], like.dtype) + xp.astype(pairs[1, ...], like.dtype) * 1j
    return xp.astype(xp.reshape(total, like.shape), like.dtype, copy=False)


#: Return the sum of each array over all ranks of a group. The calls of all ranks belong together.
#: Opaque, because a call that is repeated or left out on one rank would meet another one.
all_sum: Primitive[..., tuple[Array, ...]] = Primitive("all_sum", _rule, _sum, opaque=True)
