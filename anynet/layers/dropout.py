"""Dropout: random elements set to zero in training, so that no unit relies on another."""

from typing import ClassVar

from anynet import random
from anynet.array import Array, DType, array_namespace, check_floating, number
from anynet.distributed.share import share_of
from anynet.errors import ArgumentError
from anynet.layers.initialization import parameter
from anynet.layers.module import Module


def random_key(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    """Return the key itself, as the first state of a layer that draws random numbers."""
    return key


class Dropout(Module):
    """Return x / (1 - rate) with random elements set to 0 in training, and x itself otherwise.

    Input is floating, of any shape. Each element is set to 0 with the probability ``rate``.

    Args:
        rate: in 0 ≤ rate < 1.

    Attributes:
        key: a random key, a buffer that every use in training replaces.

    Raises:
        ArgumentError: a rate out of range.

    >>> layer = layers.Dropout(0.5).initialize(seed=0, backend="numpy")
    >>> layer(np.ones(4))
    array([1., 1., 1., 1.])
    >>> layer.set_training(True)(np.ones(4))
    array([2., 2., 2., 0.])

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, Dropout, JMLR 2014; Deep
    Learning from Scratch, chapter 6.4.3.

    """

    BUFFERS: ClassVar[tuple[str, ...]] = ("key",)

    def __init__(self, rate: float = 0.5) -> None:
        rate = number("rate", rate)
        if not 0 <= rate < 1:
            raise ArgumentError(
                f"rate is {rate}: wanted a number from 0 up to but not 1, the part to leave out"
            )
        self.rate = rate
        self.key = parameter((2,), random_key)

    def forward(self, x: Array) -> Array:
        """Return x with a random mask applied, or x itself in inference."""
        if not self.training or not self.rate:
            return x
        check_floating("Dropout", x)
        keys = random.split(self.key, 2)
        self.key = keys[0, ...]
        probability = 1 - self.rate
        kept = self._kept(keys[1, ...], x, probability)
        xp = array_namespace(x, kept)
        mask = xp.astype(kept, x.dtype) * (1 / probability)
        return xp.multiply(x, mask)

    def _kept(
        self,
        key: Array,
        x: Array,
        probability: float,
    ) -> Array:
        """Return which elements are kept. In a group they are those of the rows of this rank."""
        share = share_of(self)
        if share is None:
            return random.bernoulli(key, probability, x.shape, coarse=True)
        shape, rows = share.whole(x.shape)
        return random.bernoulli(key, probability, shape, coarse=True)[rows, ...]
