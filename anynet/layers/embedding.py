"""Vectors for words, characters and other indices."""

from anynet import initializers
from anynet.arguments import sizes
from anynet.array import Array
from anynet.initializers import Initializer
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import embedding

_STANDARD = initializers.normal(1.0)


class Embedding(Module):
    """Return weight[index], a row of the weight for each index.

    Input is integers (…) in 0 … rows - 1, of any integer dtype. Output is (…, features).

    Args:
        rows: the number of indices, 1 or more.
        features: the length of a row, 1 or more.
        initializer: of the weight. The default draws from N(0, 1).

    Attributes:
        weight: (rows, features).

    Raises:
        DataError: when called, an index out of range, or indices that are not integers. A device
            that would have to be waited for does not raise for an index.

    >>> layer = layers.Embedding(10, 4).initialize(seed=0, backend="numpy")
    >>> layer(np.asarray([[1, 2, 3]])).shape
    (1, 3, 4)

    """

    def __init__(
        self,
        rows: int,
        features: int,
        *,
        initializer: Initializer = _STANDARD,
    ) -> None:
        self.weight = parameter(sizes(rows=rows, features=features), initializer)

    def forward(self, indices: Array) -> Array:
        """Return the row of each index."""
        return embedding(self.weight, indices)
