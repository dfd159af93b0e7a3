"""Vectors for words, characters, or whatever is counted."""

from collections.abc import Callable

from anynet import initializers
from anynet.arguments import sizes
from anynet.array import Array
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import embedding

_STANDARD = initializers.normal(1.0)


class Embedding(Module):
    """Return the row of each index: indices are integers (…) in 0 … rows - 1, the result is (…,
    features).

    Weight is (rows, features), drawn from N(0, 1) unless told otherwise.
    """

    def __init__(
        self,
        rows: int,
        features: int,
        *,
        initializer: Callable[..., Array] = _STANDARD,
    ) -> None:
        self.weight = parameter(sizes(rows=rows, features=features), initializer)

    def forward(self, indices: Array) -> Array:
        """Look the rows up."""
        return embedding(self.weight, indices)
