"""Histograms of the values of arrays of any library."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from anynet.array import Array, is_complex, unrecorded
from anynet.backend import get_backend

#: The least width of a bin, of which the largest value is up to 1.
_NARROWEST = 2.0**-50


class Histogram(NamedTuple):
    """How many values are in each bin, and the edges of the bins, one more.

    >>> from anynet.histogram import Histogram
    >>> Histogram([3, 1], [0.0, 0.5, 1.0]).counts
    [3, 1]

    """

    counts: list[int]
    edges: list[float]


def histogram(values: Any, bins: int) -> Histogram:
    """Return the histogram of finite values in main memory, see `host_values`.

    The bins have one width and reach from the smallest to the largest value.

    >>> from anynet.histogram import histogram
    >>> histogram(np.asarray([0.0, 1.0, 1.0, 2.0]), 2)
    Histogram(counts=[1, 3], edges=[0.0, 1.0, 2.0])

    """
    host: Any = get_backend("numpy").xp
    if not len(values):
        counts, edges = host.histogram(values, bins=bins)
        return Histogram(counts.tolist(), edges.tolist())
    # A power of two is exact. The difference of the largest values would overflow.
    exponent = int(host.frexp(abs(values).max())[1])
    scaled = host.ldexp(values, -exponent)
    low, high = float(scaled.min()), float(scaled.max())
    if high - low < bins * _NARROWEST:
        # As wide as NumPy's bins of equal values, or wide enough for edges that differ.
        half = float(host.ldexp(0.5, -exponent)) if high == low else 0.0
        half = max(half, bins * _NARROWEST)
        low, high = low - half, high + half
    counts, edges = host.histogram(scaled, bins=bins, range=(low, high))
    with host.errstate(over="ignore"):
        edges = host.ldexp(edges, exponent)
    return Histogram(counts.tolist(), host.nan_to_num(edges).tolist())


def host_values(arrays: Iterable[Array]) -> Any:
    """Return all values of arrays as float64 in main memory, in one axis.

    A complex value counts by its modulus.

    >>> from anynet.histogram import host_values
    >>> host_values([np.asarray([[1, 2]]), np.asarray([3 + 4j])])
    array([1., 2., 5.])

    """
    host: Any = get_backend("numpy").xp
    parts = [_on_host(x) for x in arrays]
    return host.concatenate(parts) if parts else host.zeros(0)


def _on_host(x: Array) -> Any:
    values = get_backend(x).to_host(unrecorded(x)).reshape(-1)
    return (abs(values) if is_complex(x) else values).astype("float64")
