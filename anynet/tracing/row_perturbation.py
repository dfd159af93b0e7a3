"""An array with a few rows that differ from point to point, as numerical gradients perturb it."""

from anynet.array import Array, Namespace, array_namespace, device


class RowPerturbation:
    """An array that at every point has another change in the same few rows: what differences are
    taken of.

    ``base`` is (…, columns) and counts as (rows, columns); ``change`` is (points, moving rows,
    columns) and moves the rows from ``first`` on. A product with it costs the moving rows only; all
    else sees it `whole`.
    """

    def __init__(self, base: Array, first: int, change: Array) -> None:
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
        before, after = (
            base[:, : self.first, :],
            base[:, self.rows.stop :, :],
        )
        parts = [xp.broadcast_to(part, (points, *part.shape[1:])) for part in (before, after)]
        return xp.reshape(
            xp.concat(
                [parts[0], base[:, self.rows, :] + self.change, parts[1]],
                axis=1,
            ),
            self.shape,
        )
