"""The share of one rank: its own rows of a batch of all ranks."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from anynet.array import Array, is_array
from anynet.data.rows import map_rows, named_parts
from anynet.distributed.all_sum import all_sum
from anynet.errors import ArgumentError, ShapeError
from anynet.tracing.trace import Traced

if TYPE_CHECKING:
    from anynet.distributed.group import Group


class Share(NamedTuple):
    """The rows start … stop of a batch, which one rank computes with.

    Layers and losses find it with `share_of`.

    >>> from anynet.distributed import Share
    >>> share = Share(anynet.open_group(), start=2, stop=4, total=8)
    >>> share.rows, share.weight
    (slice(2, 4, None), 0.25)

    """

    #: The group of all ranks.
    group: "Group"
    start: int
    stop: int
    #: The number of rows of all ranks.
    total: int

    @property
    def rows(self) -> slice:
        """The rows of this rank."""
        return slice(self.start, self.stop)

    @property
    def weight(self) -> float:
        """The part of the batch that is here, above 0 and at most 1."""
        return (self.stop - self.start) / self.total

    def all_sum(self, *arrays: Array) -> tuple[Array, ...]:
        """Return the sum of each array over all ranks, in one message for each dtype."""
        return all_sum(*arrays, group=self.group)

    def divisor(self, count: Array) -> Array:
        """Return what a sum over the own rows is divided by, so that the weighted mean of all ranks
        is the sum over all rows divided by the count of all.

        Args:
            count: of the own rows, such as the sum of their weights.

        """
        return self.all_sum(count)[0] * self.weight

    def sum_of_parts(self, *parts: Array | None) -> list[Array | None]:
        """Return the sums of arrays over all ranks in one message for each dtype, None for None."""
        sums = iter(self.all_sum(*[x for x in parts if x is not None]))
        return [None if x is None else next(sums) for x in parts]

    def whole(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], slice]:
        """Return the shape of an array of all ranks, and the rows of it that are here.

        Args:
            shape: of the part of this rank. Its first axis is that of the rows, or one in which
                each row has as many places, as after a reshape.

        Raises:
            ShapeError: the first axis is another one.

        """
        first = shape[0] if shape else 0
        each, rest = divmod(first, self.stop - self.start)
        if rest or not each:
            raise ShapeError(
                f"an array of shape {tuple(shape)} was given for {self.stop - self.start} rows of "
                "a batch: wanted the rows along the first axis, which a group splits"
            )
        return (each * self.total, *shape[1:]), slice(each * self.start, each * self.stop)

    def part_of(self, rows: Any) -> Any:
        """Return the rows of this rank, of an array or of a tuple or dict of arrays.

        Scalars, networks and anything else that has no rows stay as they are.

        Raises:
            ShapeError: an array has another number of rows than the batch.

        """
        return map_rows(self._part_of, rows)

    def _part_of(self, x: Any) -> Any:
        if not _has_rows(x):
            return x
        if x.shape[0] != self.total:
            raise ShapeError(
                f"an array of shape {tuple(x.shape)} was given with a batch of {self.total} rows: "
                "in a group all positional arguments are rows of one batch; pass another array by "
                "name, or let the function reach it"
            )
        return x[self.rows, ...]


def share_of(x: Any) -> Share | None:
    """Return the share that a layer or an array is computed with, None outside of a group.

    A layer has one while it is differentiated by `anynet.value_and_grad` with a group. A layer of
    your own needs it if it computes with several rows at once, as batch normalization does.

    Args:
        x: a layer, as ``self`` in its ``forward``, or an array, as the outputs that a loss gets.

    """
    while type(x) is Traced:
        share: Share | None = getattr(x.trace, "share", None)
        if share is not None:
            return share
        x = x.value
    return getattr(x, "_share", None)


def split(
    group: "Group",
    args: tuple[Any, ...],
    whole: Callable[[tuple[Any, ...]], Collection[Any]],
) -> tuple[Share | None, tuple[Any, ...]]:
    """Return the share of this rank in the batch of a call, and the arguments with its rows.

    Args:
        group: of all ranks. A group of one has no shares.
        args: the arguments, the same on all ranks. With a `Share` among them, they have the rows of
            this rank already.
        whole: returns the positions of those that are no rows.

    Raises:
        ArgumentError: no argument has rows, or there are fewer rows than ranks.
        ShapeError: the arguments have different numbers of rows.

    """
    share = next((x for x in args if isinstance(x, Share)), None)
    if share is not None:
        args = tuple([x for x in args if x is not share])
    if group.size == 1 or share is not None:
        return share, args
    unsplit = whole(args)
    batch = {i: x for i, x in enumerate(args) if i not in unsplit}
    parts = (part for x in batch.values() for _, part in named_parts("", x))
    first = next(filter(_has_rows, parts), None)
    if first is None:
        raise ArgumentError(
            "a gradient in a group was given no batch: wanted the rows of all ranks as positional "
            "arguments, such as gradient(net, x, t)"
        )
    share = share_in(group, first.shape[0])
    return share, tuple([share.part_of(x) if i in batch else x for i, x in enumerate(args)])


def share_in(group: "Group", total: int) -> Share:
    """Return the share of this rank in a batch of ``total`` rows.

    The shares are consecutive, and differ by one row at most.

    Raises:
        ArgumentError: there are fewer rows than ranks.

    """
    if total < group.size:
        raise ArgumentError(
            f"a batch has {total} rows and the group {group.size} ranks: wanted one row or more "
            "for each rank; take larger batches, or leave out a short last one, as "
            "Loader(…, drop_last=True)"
        )
    return Share(group, *bounds_in(group, total), total)


def bounds_in(group: "Group", total: int) -> tuple[int, int]:
    """Return where the rows of this rank begin and end among all rows, none if there are few."""
    start, stop = [total * rank // group.size for rank in (group.rank, group.rank + 1)]
    return start, stop


def _has_rows(x: Any) -> bool:
    return is_array(x) and x.ndim > 0
