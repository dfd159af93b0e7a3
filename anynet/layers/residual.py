"""The residual connection."""

from anynet.array import Array, array_namespace
from anynet.layers.module import Module
from anynet.layers.sequential import Sequential


class Residual(Module):
    """Return x + f(x), where f applies the layers one after the other.

    The output of the layers has the shape of x.

    Args:
        layers: one or more.

    >>> net = layers.Residual(layers.Identity())
    >>> net(np.asarray([1.0, 2.0]))
    array([2., 4.])

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition, CVPR 2016.

    """

    def __init__(self, *layers: Module) -> None:
        self.inner = layers[0] if len(layers) == 1 else Sequential(*layers)

    def forward(self, x: Array) -> Array:
        """Return x + f(x)."""
        y = self.inner(x)
        return array_namespace(x, y).add(x, y)
