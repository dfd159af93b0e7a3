"""Layers in a row."""

from anynet.array import Array, DType
from anynet.backend import Backend
from anynet.layers.module import Module


class Sequential(Module):
    """Hand x through the layers in order.

    With a seed the parameters are drawn at once, as by `initialize(seed, backend, dtype)`; without one they stay open,
    as for a part of a larger network.
    """

    def __init__(
        self,
        *layers: Module,
        seed: int | None = None,
        backend: Backend | str | None = None,
        dtype: DType = None,
    ) -> None:
        for i, layer in enumerate(layers):
            if not callable(layer):
                raise TypeError(f"layers.{i} is {layer!r}: wanted a layer, such as Linear(784, 50) or ReLU()")
        self.layers = layers
        if seed is not None:
            self.initialize(seed, backend, dtype)

    def forward(self, x: Array) -> Array:
        """Apply one layer after the other."""
        for layer in self.layers:
            x = layer(x)
        return x
