"""The cipher of the random number generator."""

from anynet.array import Array
from anynet.tracing.trace import primitive

#: The number of bits by which each round rotates a word.
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


@primitive()
def threefry(
    key: Array,
    x0: Array,
    x1: Array,
) -> tuple[Array, Array]:
    """Encipher counters x0, x1 (n,) with a key (2,), all int32, by Threefry-2x32 with 20 rounds.

    Sums wrap around. Source: Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1,
    2, 3, SC 2011.
    """
    # Some libraries warn when a scalar wraps around, so these are arrays of one axis.
    k0, k1 = key[0:1], key[1:2]
    schedule = (k0, k1, k0 ^ k1 ^ PARITY)
    x0, x1 = x0 + k0, x1 + k1
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = ((x1 << rotation) | shift_right(x1, 32 - rotation)) ^ x0
        x0 = x0 + schedule[(group + 1) % 3]
        x1 = x1 + schedule[(group + 2) % 3] + (group + 1)
    return x0, x1


def shift_right(x: Array, n: int) -> Array:
    """Return x >> n with zeros on the left, where int32 would repeat the sign."""
    return (x >> n) & ((1 << (32 - n)) - 1)
