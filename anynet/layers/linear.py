"""The fully connected layer."""

from collections.abc import Callable

from anynet import initializers
from anynet.array import Array
from anynet.errors import ShapeError
from anynet.layers.module import Module, Parameter
from anynet.primitives import affine


class Linear(Module):
    """Return x @ weight + bias, for x (…, in_features); the result is (…, out_features).

    Weight is (in_features, out_features), drawn by the initializer; bias is (out_features,), zeros at first, or None.
    Source: Deep Learning from Scratch, chapter 5.6.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        initializer: Callable[..., Array] = initializers.he,
    ) -> None:
        self.weight: Array = Parameter((in_features, out_features), initializer)
        self.bias: Array | None = Parameter((out_features,), initializers.zeros) if bias else None

    def forward(self, x: Array) -> Array:
        """Apply the map to the last axis of x."""
        if x.shape[-1:] != self.weight.shape[:1]:
            raise ShapeError(_misfit(x.shape, self.weight.shape))
        return affine(x, self.weight, self.bias)


def _misfit(given: tuple[int, ...], weight: tuple[int, ...]) -> str:
    wanted, product = weight[0], 1
    message = (
        f"input of shape {tuple(given)} does not fit a Linear whose weight is {tuple(weight)}: wanted (…, {wanted})"
    )
    for axis in range(len(given) - 1, -1, -1):
        product *= given[axis]
        if product == wanted:
            return f"{message}; flattened to {(*given[:axis], wanted)} it would"
    return message
