"""Activations as layers, by class and by name.

Each takes a floating array of any shape and returns one of the same shape and dtype.
"""

from anynet import functions, initializers
from anynet.arguments import check_flag, sizes
from anynet.array import Array, array_namespace, check_floating, number
from anynet.errors import ArgumentError, ShapeError
from anynet.layers.initialization import parameter
from anynet.layers.module import Module


class Identity(Module):
    """Return x itself.

    >>> layers.Identity()(np.asarray([-1.0, 2.0]))
    array([-1.,  2.])

    See `anynet.functions.identity`.
    """

    def forward(self, x: Array) -> Array:
        """Return x."""
        return x


class ReLU(Module):
    """Return max(x, 0).

    >>> layers.ReLU()(np.asarray([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])

    See `anynet.functions.relu`.
    """

    def forward(self, x: Array) -> Array:
        """Return max(x, 0)."""
        return functions.relu(x)


class LeakyReLU(Module):
    """Return x where x > 0 and negative_slope · x elsewhere.

    Args:
        negative_slope: a number.

    >>> layers.LeakyReLU(0.1)(np.asarray([-1.0, 0.0, 2.0]))
    array([-0.1,  0. ,  2. ])

    See `anynet.functions.leaky_relu`.

    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = number("negative_slope", negative_slope)

    def forward(self, x: Array) -> Array:
        """Return x with the negative elements scaled."""
        return functions.leaky_relu(x, self.negative_slope)


class PReLU(Module):
    """Return x where x > 0 and weight · x elsewhere. Training changes the weight.

    Input is (N, features, …) with a weight for each feature, or of any shape with one weight.

    Args:
        features: the number of weights, 1 or more. One weight is that of all elements.
        negative_slope: the first value of the weights.

    Attributes:
        weight: (features,).

    Raises:
        ArgumentError: a setting out of range.
        ShapeError: when called, an input of other features.
        DTypeError: when called, an input that is not floating.

    >>> layer = layers.PReLU().initialize(seed=0, backend="numpy")
    >>> layer(np.asarray([-1.0, 0.0, 2.0], dtype="float32"))
    array([-0.25,  0.  ,  2.  ], dtype=float32)

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015; PyTorch's PReLU.

    """

    def __init__(self, features: int = 1, *, negative_slope: float = 0.25) -> None:
        (features,) = sizes(features=features)
        slope = number("negative_slope", negative_slope)
        self.weight = parameter((features,), initializers.constant(slope))

    def forward(self, x: Array) -> Array:
        """Return x with the negative elements scaled."""
        check_floating("PReLU", x)
        weight, features = self.weight, self.weight.shape[0]
        xp = array_namespace(x, weight)
        if features > 1:
            if x.ndim < 2 or x.shape[1] != features:
                raise ShapeError(
                    f"input of shape {tuple(x.shape)}: wanted {features} features, (N, "
                    f"{features}, …)"
                )
            weight = xp.reshape(weight, (features,) + (1,) * (x.ndim - 2))
        elif x.ndim == 0:
            weight = xp.reshape(weight, ())
        return xp.multiply(x, xp.where(x > 0, xp.ones_like(weight), weight))


class ELU(Module):
    """Return x where x > 0 and alpha · (exp(x) - 1) elsewhere.

    Args:
        alpha: a number.

    >>> layers.ELU()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-0.6321,  0.    ,  2.    ])

    See `anynet.functions.elu`.

    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number("alpha", alpha)

    def forward(self, x: Array) -> Array:
        """Return the exponential linear unit of x."""
        return functions.elu(x, self.alpha)


class SELU(Module):
    """Return the exponential linear unit that keeps mean 0 and variance 1.

    >>> layers.SELU()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-1.1113,  0.    ,  2.1014])

    See `anynet.functions.selu`.
    """

    def forward(self, x: Array) -> Array:
        """Return the scaled exponential linear unit of x."""
        return functions.selu(x)


class GELU(Module):
    """Return x · Φ(x), where Φ is the distribution function of N(0, 1).

    Args:
        approximate: use the approximation by tanh.

    >>> layers.GELU()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-0.1587,  0.    ,  1.9545])

    See `anynet.functions.gelu`.

    """

    def __init__(self, approximate: bool = False) -> None:
        check_flag("approximate", approximate)
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        """Return x · Φ(x)."""
        return functions.gelu(x, self.approximate)


class SiLU(Module):
    """Return x / (1 + exp(-x)).

    >>> layers.SiLU()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-0.2689,  0.    ,  1.7616])

    See `anynet.functions.silu`.
    """

    def forward(self, x: Array) -> Array:
        """Return x · sigmoid(x)."""
        return functions.silu(x)


class Mish(Module):
    """Return x · tanh(log(1 + exp(x))).

    >>> layers.Mish()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-0.3034,  0.    ,  1.944 ])

    See `anynet.functions.mish`.
    """

    def forward(self, x: Array) -> Array:
        """Return x · tanh(softplus(x))."""
        return functions.mish(x)


class Softplus(Module):
    """Return log(1 + exp(x)).

    >>> layers.Softplus()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([0.3133, 0.6931, 2.1269])

    See `anynet.functions.softplus`.
    """

    def forward(self, x: Array) -> Array:
        """Return log(1 + exp(x))."""
        return functions.softplus(x)


class Sigmoid(Module):
    """Return 1 / (1 + exp(-x)).

    >>> layers.Sigmoid()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([0.2689, 0.5   , 0.8808])

    See `anynet.functions.sigmoid`.
    """

    def forward(self, x: Array) -> Array:
        """Return 1 / (1 + exp(-x))."""
        return functions.sigmoid(x)


class HardSigmoid(Module):
    """Return x/6 + ½, limited to 0 … 1.

    >>> layers.HardSigmoid()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([0.3333, 0.5   , 0.8333])

    See `anynet.functions.hard_sigmoid`.
    """

    def forward(self, x: Array) -> Array:
        """Return x/6 + ½, limited to 0 … 1."""
        return functions.hard_sigmoid(x)


class Softmax(Module):
    """Return exp(x) / sum(exp(x)) over the last axis.

    >>> layers.Softmax()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([0.042 , 0.1142, 0.8438])

    See `anynet.functions.softmax`.
    """

    def forward(self, x: Array) -> Array:
        """Return the softmax over the last axis."""
        return functions.softmax(x)


class LogSoftmax(Module):
    """Return log(softmax(x)) over the last axis.

    >>> layers.LogSoftmax()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-3.1698, -2.1698, -0.1698])

    See `anynet.functions.log_softmax`.
    """

    def forward(self, x: Array) -> Array:
        """Return the logarithm of softmax over the last axis."""
        return functions.log_softmax(x)


class Step(Module):
    """Return 1 where x > 0 and 0 elsewhere. It has no derivative.

    >>> layers.Step()(np.asarray([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])

    See `anynet.functions.step`.
    """

    def forward(self, x: Array) -> Array:
        """Return 1 where x > 0 and 0 elsewhere."""
        return functions.step(x)


class Tanh(Module):
    """Return the hyperbolic tangent.

    >>> layers.Tanh()(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-0.7616,  0.    ,  0.964 ])

    See `anynet.functions.tanh`.
    """

    def forward(self, x: Array) -> Array:
        """Return the hyperbolic tangent of x."""
        return functions.tanh(x)


#: The layers that `activation` makes, by name.
ACTIVATIONS: dict[str, type[Module]] = {
    "elu": ELU,
    "gelu": GELU,
    "hard_sigmoid": HardSigmoid,
    "identity": Identity,
    "leaky_relu": LeakyReLU,
    "log_softmax": LogSoftmax,
    "mish": Mish,
    "relu": ReLU,
    "selu": SELU,
    "sigmoid": Sigmoid,
    "silu": SiLU,
    "softmax": Softmax,
    "softplus": Softplus,
    "step": Step,
    "tanh": Tanh,
}


def activation(name: str) -> Module:
    """Return a new activation layer by its name.

    Args:
        name: one of `ACTIVATIONS`, such as "relu".

    Raises:
        ArgumentError: no activation has that name. The message lists the names.

    >>> layers.activation("relu")
    ReLU()

    """
    if name not in ACTIVATIONS:
        raise ArgumentError(f"unknown activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()
