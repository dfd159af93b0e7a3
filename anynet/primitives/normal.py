"""The quantiles of the normal distribution, computed in integers.

Compilers fuse a product and a sum into one operation, which rounds once in place of twice. Some
also divide inexactly. So a floating-point formula may give other bits when it is compiled. Integers
give the same bits on every library and device.
"""

from array import array
from functools import cache
from typing import Any

from anynet.array import Array, array_namespace
from anynet.backend import get_backend
from anynet.tracing.trace import primitive

#: The number of cells on each side of the median. All have the same probability.
CELLS = 1 << 22

#: Results are multiples of 2⁻²⁸. The largest needs 31 bits, and no two are the same float32.
FRACTION = 28

# The distance of a cell from the end of the tail selects a segment. Segments are short where
# quantiles change quickly: 1 cell up to the distance _NEAR, 32 cells up to _FAR, and 1024 cells
# after that.
_NEAR, _FAR = 1 << 12, 1 << 17
_SHORT, _LONG = 5, 10


@primitive()
def normal_quantile(cells: Array) -> Array:
    """Return Φ⁻¹((c + ½ + 2²²) / 2²³) · 2²⁸ of cells c in -2²² … 2²² - 1, all int32.

    The error is at most 3 units in the last place. In each segment the result is a polynomial of
    degree two in the position in the segment.
    """
    xp = array_namespace(cells)
    sign = cells >> 31
    distance = CELLS - 1 - (cells ^ sign)
    far = distance >= _FAR
    in_short = (distance >> _SHORT) + _row(_NEAR, _SHORT)
    short = xp.where(distance >= _NEAR, in_short, distance)
    row = xp.reshape(xp.where(far, (distance >> _LONG) + _row(_FAR, _LONG), short), (-1,))
    position = xp.where(far, distance & 1023, (distance & 31) << (_LONG - _SHORT))
    table = get_backend(cells).from_host(_table())
    value, slope, curvature = (
        xp.reshape(xp.take(table[i, ...], row), cells.shape) for i in range(3)
    )
    quantile = value + ((slope + ((curvature * position) >> _LONG)) * position >> _LONG)
    return (quantile ^ sign) - sign


def _row(start: int, bits: int) -> int:
    """Return the difference between the row and the index of a segment of 2^bits cells.

    Segments of this length begin at the distance ``start``.
    """
    before = _NEAR if start == _NEAR else _NEAR + ((_FAR - _NEAR) >> _SHORT)
    return before - (start >> bits)


@cache
def _table() -> Any:
    """Return the first value, the slope and the curvature of each segment, int32 (3, segments).

    They are integers from rounded quantiles. No quantile is so close to a tie that two mathematical
    libraries could round it differently.
    """
    from statistics import NormalDist

    inverse = NormalDist().inv_cdf

    def quantile(distance: float) -> int:
        return round(-inverse((distance + 0.5) / (2 * CELLS)) * (1 << FRACTION))

    values = [quantile(distance) for distance in range(_NEAR)]
    slopes, curvatures = [0] * _NEAR, [0] * _NEAR
    for start, stop, length in ((_NEAR, _FAR, 1 << _SHORT), (_FAR, CELLS, 1 << _LONG)):
        ends = [quantile(distance) for distance in range(start, stop + 1, length)]
        for i, distance in enumerate(range(start, stop, length)):
            first, last = ends[i], ends[i + 1]
            middle = quantile(distance + length / 2)
            values.append(first)
            slopes.append(4 * middle - 3 * first - last)
            curvatures.append(2 * (first + last - 2 * middle))
    rows = memoryview(array("i", [*values, *slopes, *curvatures]))
    return rows.cast("B").cast("i", (3, len(values)))
