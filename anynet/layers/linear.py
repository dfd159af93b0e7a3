"""The fully connected layer."""

from anynet import initializers
from anynet.arguments import check_flag, sizes
from anynet.array import Array
from anynet.initializers import Initializer
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import affine


class Linear(Module):
    """Return x @ weight + bias, a linear map of the last axis of x.

    Input is (…, in_features), output (…, out_features).

    Args:
        in_features: the length of the last axis of x, 1 or more.
        out_features: the length of the last axis of the output, 1 or more.
        bias: whether there is a bias.
        initializer: of the weight. The bias begins with zeros.

    Attributes:
        weight: (in_features, out_features).
        bias: (out_features,), or None.

    Raises:
        ShapeError: when called, an input whose last axis has another length.

    >>> layer = layers.Linear(784, 50).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((100, 784), dtype="float32")).shape
    (100, 50)

    Source: Deep Learning from Scratch, chapter 5.6.

    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        initializer: Initializer = initializers.he,
    ) -> None:
        in_features, out_features = sizes(in_features=in_features, out_features=out_features)
        check_flag("bias", bias)
        self.weight = parameter((in_features, out_features), initializer)
        self.bias = parameter((out_features,), initializers.zeros) if bias else None

    def forward(self, x: Array) -> Array:
        """Return x @ weight + bias."""
        return affine(x, self.weight, self.bias)
