"""The mean and the variance of a batch over the rows of all ranks."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace, widened
from anynet.distributed.all_sum import all_sum
from anynet.distributed.share import Share
from anynet.errors import ShapeError
from anynet.primitives.precision import REAL
from anynet.tracing.trace import Primitive, shared


def count_of(x: Array, share: Share) -> int:
    """Return over how many values of all ranks `moments` takes the mean of each feature.

    Args:
        x: the rows of this rank, (N, features, …).
        share: of this rank.

    Raises:
        ShapeError: x has no axis of the rows.

    """
    own = math.prod(x.shape) // x.shape[1]
    each, rest = divmod(own, share.stop - share.start)
    if rest:
        raise ShapeError(
            f"input of shape {tuple(x.shape)} was given for {share.stop - share.start} rows of a "
            "batch: wanted a number of values that the rows divide, which a group adds up"
        )
    return each * share.total


def _rule(
    xp: Namespace,
    out: tuple[Array, Array],
    x: Array,
    *,
    share: Share,
) -> Any:
    mean, _ = out

    @shared
    def pullback(g: tuple[Array | None, Array | None]) -> Array:
        of_mean, of_variance = [xp.zeros_like(mean) if c is None else c for c in g]
        of_mean, of_variance = all_sum(of_mean, of_variance, group=share.group)
        n = count_of(x, share)
        centred = widened(x) - _like(x, mean)
        return _like(x, of_mean / n) + _like(x, of_variance * (2 / n)) * centred

    return pullback


def _moments(x: Array, *, share: Share) -> tuple[Array, Array]:
    """Return the mean and the variance of each feature, (features,), float32 at least."""
    n, axes = count_of(x, share), (0, *range(2, x.ndim))
    xp, wide = array_namespace(x), widened(x)
    (total,) = all_sum(xp.sum(wide, axis=axes), group=share.group)
    mean = total / n
    centred = wide - _like(x, mean)
    (squares,) = all_sum(xp.sum(centred * centred, axis=axes), group=share.group)
    return mean, squares / n


def _like(x: Array, of_features: Array) -> Array:
    """Return an array (features,) in a shape that broadcasts to x."""
    return array_namespace(of_features).reshape(of_features, (-1,) + (1,) * (x.ndim - 2))


#: Return the mean and the variance of each feature over the rows of all ranks. The gradient is that
#: of the function of all ranks, in one message.
moments: Primitive[..., tuple[Array, Array]] = Primitive(
    "moments", _rule, _moments, kind=REAL, opaque=True
)
