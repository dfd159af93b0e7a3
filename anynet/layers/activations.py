"""Activations as layers, by class and by name."""

from anynet import functions
from anynet.arguments import check_flag
from anynet.array import Array, number
from anynet.errors import ArgumentError
from anynet.layers.module import Module


class Identity(Module):
    """Return x as it is."""

    def forward(self, x: Array) -> Array:
        """Return x."""
        return x


class ReLU(Module):
    """Return max(x, 0); see `anynet.functions.relu`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.relu(x)


class LeakyReLU(Module):
    """Return x where x > 0 and negative_slope · x elsewhere; see `anynet.functions.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        negative_slope = number("negative_slope", negative_slope)
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """Return x where x > 0 and alpha · (exp(x) - 1) elsewhere; see `anynet.functions.elu`."""

    def __init__(self, alpha: float = 1.0) -> None:
        alpha = number("alpha", alpha)
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.elu(x, self.alpha)


class SELU(Module):
    """Return the exponential linear unit that keeps mean and variance; see
    `anynet.functions.selu`.
    """

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.selu(x)


class GELU(Module):
    """Return x · Φ(x), exactly or by tanh; see `anynet.functions.gelu`."""

    def __init__(self, approximate: bool = False) -> None:
        check_flag("approximate", approximate)
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.gelu(x, self.approximate)


class SiLU(Module):
    """Return x / (1 + exp(-x)); see `anynet.functions.silu`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.silu(x)


class Mish(Module):
    """Return x · tanh(log(1 + exp(x))); see `anynet.functions.mish`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.mish(x)


class Softplus(Module):
    """Return log(1 + exp(x)); see `anynet.functions.softplus`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.softplus(x)


class Sigmoid(Module):
    """Return 1 / (1 + exp(-x)); see `anynet.functions.sigmoid`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.sigmoid(x)


class HardSigmoid(Module):
    """Return x/6 + ½, cut off at 0 and 1; see `anynet.functions.hard_sigmoid`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.hard_sigmoid(x)


class Softmax(Module):
    """Return exp(x) / sum(exp(x)) over the last axis; see `anynet.functions.softmax`."""

    def forward(self, x: Array) -> Array:
        """Apply it to the last axis."""
        return functions.softmax(x)


class LogSoftmax(Module):
    """Return log(softmax(x)) over the last axis; see `anynet.functions.log_softmax`."""

    def forward(self, x: Array) -> Array:
        """Apply it to the last axis."""
        return functions.log_softmax(x)


class Step(Module):
    """Return 1 where x > 0 and 0 elsewhere; it has no derivative; see `anynet.functions.step`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.step(x)


class Tanh(Module):
    """Return the hyperbolic tangent; see `anynet.functions.tanh`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.tanh(x)


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
    """Return a new activation layer by its name, such as ``"relu"``.

    Raises:
        ArgumentError: no activation has that name; the message lists those there are.

    """
    if name not in ACTIVATIONS:
        raise ArgumentError(f"unknown activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()
