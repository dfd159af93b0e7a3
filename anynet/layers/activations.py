"""Activations as layers, by class and by name."""

from anynet import functions
from anynet.array import Array
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


class Sigmoid(Module):
    """Return 1 / (1 + exp(-x)); see `anynet.functions.sigmoid`."""

    def forward(self, x: Array) -> Array:
        """Apply it to every element."""
        return functions.sigmoid(x)


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
    "identity": Identity,
    "log_softmax": LogSoftmax,
    "relu": ReLU,
    "sigmoid": Sigmoid,
    "softmax": Softmax,
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
