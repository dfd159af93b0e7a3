"""The fully connected layer."""

from collections.abc import Callable

from anynet import initializers
from anynet.arguments import check_flag, sizes
from anynet.array import Array
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import affine


class Linear(Module):
    """Return x @ weight + bias, for x (…, in_features); the result is (…, out_features).

    Weight is (in_features, out_features), drawn by the initializer; bias is (out_features,), zeros
    at first, or None. Source: Deep Learning from Scratch, chapter 5.6.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        initializer: Callable[..., Array] = initializers.he,
    ) -> None:
        in_features, out_features = sizes(in_features=in_features, out_features=out_features)
        check_flag("bias", bias)
        self.weight = parameter((in_features, out_features), initializer)
        self.bias = parameter((out_features,), initializers.zeros) if bias else None

    def forward(self, x: Array) -> Array:
        """Apply the map to the last axis of x."""
        return affine(x, self.weight, self.bias)
