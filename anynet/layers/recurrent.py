"""Recurrent layers: a state that goes through a sequence, one step at a time.

Sequences are (N, length, in_features), outputs (N, length, hidden_features): the state after every
step. The state begins with zeros unless one is given to `run`, which returns the last one too.
"""

from typing import Any, ClassVar

from anynet import initializers
from anynet.arguments import sizes
from anynet.array import Array, array_namespace
from anynet.errors import ShapeError
from anynet.functions import sigmoid, tanh
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import affine


class _Recurrent(Module):
    """The loop that the recurrent layers share; each has its own step.

    Input weights are (in_features, gates · hidden_features), hidden weights (hidden_features, gates
    · hidden_features), both biases (gates · hidden_features,).
    """

    #: How many maps a step is made of.
    GATES: ClassVar[int]

    def __init__(self, in_features: int, hidden_features: int) -> None:
        in_features, hidden_features = sizes(
            in_features=in_features, hidden_features=hidden_features
        )
        width = self.GATES * hidden_features
        draw = initializers.normal(hidden_features**-0.5)
        self.input_weight = parameter((in_features, width), draw)
        self.hidden_weight = parameter((hidden_features, width), draw)
        self.input_bias = parameter((width,), initializers.zeros)
        self.hidden_bias = parameter((width,), initializers.zeros)

    def forward(self, x: Array) -> Array:
        """Return the outputs of all steps."""
        return self.run(x)[0]

    def run(self, x: Array, state: Any = None) -> tuple[Array, Any]:
        """Return the outputs of all steps and the last state."""
        if x.ndim != 3 or x.shape[1] == 0:
            raise ShapeError(
                f"sequences of shape {tuple(x.shape)}: wanted (N, length, features), length 1 or "
                "more"
            )
        # The part of all steps that needs no state, in one product.
        inputs = affine(x, self.input_weight, self.input_bias)
        xp = array_namespace(inputs)
        if state is None:
            state = self.start(xp.zeros_like(inputs[:, 0, : self.hidden_weight.shape[0]]))
        outputs = []
        for at_step in xp.unstack(inputs, axis=1):
            out, state = self.step(at_step, state)
            outputs.append(out)
        return xp.stack(outputs, axis=1), state

    def start(self, zeros: Array) -> Any:
        """Return the state at the beginning."""
        return zeros

    def step(self, inputs: Array, state: Any) -> tuple[Array, Any]:
        """Return a step's output and the next state; inputs are the input map of that step."""
        raise NotImplementedError(f"{type(self).__name__} defines no step()")

    def _hidden(self, h: Array) -> Array:
        return affine(h, self.hidden_weight, self.hidden_bias)

    def _parts(self, x: Array) -> tuple[Array, ...]:
        xp = array_namespace(x)
        parts: tuple[Array, ...] = xp.unstack(
            xp.reshape(x, (-1, self.GATES, self.hidden_weight.shape[0])),
            axis=1,
        )
        return parts


class RNN(_Recurrent):
    """Return h ← tanh(x Wᵢ + bᵢ + h Wₕ + bₕ) for every step. Source: Elman, Finding structure in
    time, 1990.
    """

    GATES: ClassVar[int] = 1

    def step(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Return the new state twice, as output too."""
        h = tanh(inputs + self._hidden(state))
        return h, h


class LSTM(_Recurrent):
    """Return h ← o · tanh(c), c ← f · c + i · g for every step; i, f, g, o are the gates, in this
    order, of x and h.

    The state is (h, c). Source: Hochreiter and Schmidhuber, Long short-term memory, 1997; Gers,
    Schmidhuber and Cummins, Learning to forget, 2000.
    """

    GATES: ClassVar[int] = 4

    def start(self, zeros: Array) -> tuple[Array, Array]:
        """Return zeros for both parts."""
        return zeros, zeros

    def step(self, inputs: Array, state: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        """Return the new h, and both parts."""
        h, c = state
        i, f, g, o = self._parts(inputs + self._hidden(h))
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        return h, (h, c)


class GRU(_Recurrent):
    """Return h ← (1 - z) · n + z · h for every step, n = tanh(of x + r · (of h)); r, z, n are the
    gates, in this order.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014.
    """

    GATES: ClassVar[int] = 3

    def step(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Return the new state twice, as output too."""
        (r_x, z_x, n_x), (r_h, z_h, n_h) = (
            self._parts(inputs),
            self._parts(self._hidden(state)),
        )
        z = sigmoid(z_x + z_h)
        n = tanh(n_x + sigmoid(r_x + r_h) * n_h)
        h = n + z * (state - n)
        return h, h
