"""An array with a few rows that differ from point to point, for numerical gradients."""

from anynet.array import Array, Namespace, array_namespace, device


class RowPerturbation:
    """An array in which the same few rows change from point to point.

    ``base`` is (…, columns) and counts as (rows, columns). ``change`` is (points, changed rows,
    columns) and is added to the rows from ``first`` on. A product with it computes the changed rows
    only. Other functions take the `whole` array.
    """

    def __init__(
        self,
        base: Array,
        first: int,
        change: Array,
    ) -> None:
        self.base = base
        self.first = first
        self.change = change
        self.rows = slice(first, first + change.shape[1])
        self.shape = (change.shape[0], *base.shape)
        self.ndim = base.ndim + 1
        self.dtype = base.dtype
        self.device = device(base)

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        return array_namespace(self.base)

    def whole(self) -> Array:
        """Return the array at all points, (points, …)."""
        xp = array_namespace(self.base)
        points, _, columns = self.change.shape
        base = xp.reshape(self.base, (1, -1, columns))
        before, after = base[:, : self.first, :], base[:, self.rows.stop :, :]
        changed = base[:, self.rows, :] + self.change
        before = xp.broadcast_to(before, (points, *before.shape[1:]))
        after = xp.broadcast_to(after, (points, *after.shape[1:]))
        return xp.reshape(xp.concat([before, changed, after], axis=1), self.shape)
