"""The quantiles of the normal distribution, computed in integers.

Compilers join a product and a sum into one operation, which rounds once in place of twice, and some
divide inexactly. So floating-point formulas give other bits when they are compiled. Integers give
the same on every library and device.
"""

from array import array
from functools import cache
from typing import Any

from anynet.array import Array, array_namespace
from anynet.backend import get_backend
from anynet.tracing.trace import primitive

#: Cells on each side of the median, all of the same probability.
CELLS = 1 << 22

#: Results are multiples of 2⁻²⁸: 31 bits hold the largest one, and two of them never have the same
#: float32.
FRACTION = 28

# A cell is looked up by its distance from the end of the tail. Segments are 1 cell long up to the
# distance _NEAR, 32 cells up to _FAR, 1024 cells from there on: short where quantiles change
# quickly.
_NEAR, _FAR = 1 << 12, 1 << 17
_SHORT, _LONG = 5, 10


@primitive()
def normal_quantile(cells: Array) -> Array:
    """Return Φ⁻¹((c + ½ + 2²²) / 2²³) · 2²⁸ of cells c in -2²² … 2²² - 1, all int32, to 3 units of
    the last place.

    In each segment it is a polynomial of degree two in the position within the segment.
    """
    xp = array_namespace(cells)
    sign = cells >> 31
    distance = CELLS - 1 - (cells ^ sign)
    far = distance >= _FAR
    short = xp.where(
        distance >= _NEAR,
        (distance >> _SHORT) + _row(_NEAR, _SHORT),
        distance,
    )
    row = xp.reshape(xp.where(far, (distance >> _LONG) + _row(_FAR, _LONG), short), (-1,))
    position = xp.where(far, distance & 1023, (distance & 31) << (_LONG - _SHORT))
    table = get_backend(cells).from_host(_table())
    value, slope, curvature = (
        xp.reshape(xp.take(table[i, ...], row), cells.shape) for i in range(3)
    )
    found = value + ((slope + ((curvature * position) >> _LONG)) * position >> _LONG)
    return (found ^ sign) - sign


def _row(start: int, bits: int) -> int:
    """Return what leads from the number of a segment of 2^bits cells to its row, where such
    segments start there.
    """
    before = _NEAR if start == _NEAR else _NEAR + ((_FAR - _NEAR) >> _SHORT)
    return before - (start >> bits)


@cache
def _table() -> Any:
    """Return for each segment its first value, slope and curvature, as a buffer of int32 (3,
    segments).

    They are exact integers made of rounded quantiles, none of which is so near to a tie that
    libraries of mathematics would round it differently.
    """
    from statistics import NormalDist

    inverse = NormalDist().inv_cdf

    def quantile(distance: float) -> int:
        return round(-inverse((distance + 0.5) / (2 * CELLS)) * (1 << FRACTION))

    values = [quantile(distance) for distance in range(_NEAR)]
    slopes, curvatures = [0] * _NEAR, [0] * _NEAR
    for start, stop, length in (
        (_NEAR, _FAR, 1 << _SHORT),
        (_FAR, CELLS, 1 << _LONG),
    ):
        ends = [quantile(distance) for distance in range(start, stop + 1, length)]
        for i, distance in enumerate(range(start, stop, length)):
            first, middle, last = (
                ends[i],
                quantile(distance + length / 2),
                ends[i + 1],
            )
            values.append(first)
            slopes.append(4 * middle - 3 * first - last)
            curvatures.append(2 * (first + last - 2 * middle))
    return (
        memoryview(array("i", [*values, *slopes, *curvatures]))
        .cast("B")
        .cast("i", (3, len(values)))
    )
