"""Boxes in images."""

from collections.abc import Sequence

from anynet.array import Array, array_namespace
from anynet.data.augment.affine import indices


def inside(
    tops: Array,
    bottoms: Array,
    lefts: Array,
    rights: Array,
    shape: Sequence[int],
) -> Array:
    """Return whether each pixel is in the box of its image, booleans (N, 1, height, width).

    Args:
        tops: the first row of each box, (N,) int32.
        bottoms: the row after the last one.
        lefts: the first column.
        rights: the column after the last one.
        shape: the height and width of the images.

    """
    rows = _between(tops, bottoms, shape[0])
    columns = _between(lefts, rights, shape[1])
    return rows[:, None, :, None] & columns[:, None, None, :]


def _between(
    starts: Array,
    ends: Array,
    length: int,
) -> Array:
    places = array_namespace(starts).reshape(indices(length, like=starts), (1, -1))
    return (places >= starts[:, None]) & (places < ends[:, None])
