"""The residual connection."""

from anynet.array import Array, array_namespace
from anynet.layers.module import Module
from anynet.layers.sequential import Sequential


class Residual(Module):
    """Return x + the layers' output for x, one after the other; both have x's shape.

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition, CVPR 2016.
    """

    def __init__(self, *layers: Module) -> None:
        self.inner = layers[0] if len(layers) == 1 else Sequential(*layers)

    def forward(self, x: Array) -> Array:
        """Add."""
        y = self.inner(x)
        return array_namespace(x, y).add(x, y)
