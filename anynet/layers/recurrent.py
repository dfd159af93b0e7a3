"""Recurrent layers: a state that goes through a sequence, one step at a time.

Sequences are (N, length, in_features), outputs (N, length, hidden_features): the state after every
step. The state begins with zeros by default. `run` takes another one, and returns the last state.
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

#: The state of an LSTM, (h, c).
Pair = tuple[Array, Array]


class _Recurrent(Module):
    """The loop of the recurrent layers. Each layer defines its step."""

    #: The number of linear maps in a step.
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

    def run(
        self,
        x: Array,
        state: Any = None,
    ) -> tuple[Array, Any]:
        """Return the outputs of all steps and the last state.

        Args:
            x: sequences (N, length, in_features).
            state: the first one, (N, hidden_features), for an LSTM a pair of these. The default is
                zeros.

        Raises:
            ShapeError: x has other than three axes, or no steps.

        """
        if x.ndim != 3 or x.shape[1] == 0:
            raise ShapeError(
                f"sequences of shape {tuple(x.shape)}: wanted (N, length, features), length 1 or "
                "more"
            )
        # The inputs of all steps are mapped in one product, which needs no state.
        inputs = affine(x, self.input_weight, self.input_bias)
        xp = array_namespace(inputs)
        if state is None:
            first = inputs[:, 0, : self.hidden_weight.shape[0]]
            state = self.start(xp.zeros_like(first))
        outputs = []
        for mapped in xp.unstack(inputs, axis=1):
            out, state = self.step(mapped, state)
            outputs.append(out)
        return xp.stack(outputs, axis=1), state

    def start(self, zeros: Array) -> Any:
        """Return the first state."""
        return zeros

    def step(
        self,
        inputs: Array,
        state: Any,
    ) -> tuple[Array, Any]:
        """Return a step's output and the next state, from the mapped inputs of that step."""
        raise NotImplementedError(f"{type(self).__name__} defines no step()")

    def _hidden(self, h: Array) -> Array:
        return affine(h, self.hidden_weight, self.hidden_bias)

    def _gates(self, x: Array) -> tuple[Array, ...]:
        """Return the results of the maps, each (N, hidden_features)."""
        xp = array_namespace(x)
        features = self.hidden_weight.shape[0]
        gates = xp.reshape(x, (-1, self.GATES, features))
        return xp.unstack(gates, axis=1)


class RNN(_Recurrent):
    """Return h ← tanh(x Wᵢ + bᵢ + h Wₕ + bₕ) for every step.

    Input is (N, length, in_features), output (N, length, hidden_features).

    Args:
        in_features: of the input, 1 or more.
        hidden_features: of the state h, 1 or more.

    Attributes:
        input_weight: Wᵢ, (in_features, hidden_features).
        hidden_weight: Wₕ, (hidden_features, hidden_features).
        input_bias, hidden_bias: bᵢ and bₕ, (hidden_features,).

    Raises:
        ShapeError: when called, an input of other than three axes, or of no steps.

    >>> layer = layers.RNN(3, 5).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((2, 7, 3), dtype="float32")).shape
    (2, 7, 5)

    Source: Elman, Finding structure in time, 1990.

    """

    GATES: ClassVar[int] = 1

    def step(
        self,
        inputs: Array,
        state: Array,
    ) -> tuple[Array, Array]:
        """Return the new h, as output and as state."""
        h = tanh(inputs + self._hidden(state))
        return h, h


class LSTM(_Recurrent):
    """Return h ← o · tanh(c) for every step, with c ← f · c + i · g.

    The gates i, f, g, o are linear maps of x and h, in this order, with a sigmoid, for g a tanh.
    Input is (N, length, in_features), output (N, length, hidden_features). The state is (h, c).

    Args:
        in_features: of the input, 1 or more.
        hidden_features: of h and c, 1 or more.

    Attributes:
        input_weight: (in_features, 4 · hidden_features).
        hidden_weight: (hidden_features, 4 · hidden_features).
        input_bias, hidden_bias: (4 · hidden_features,).

    Raises:
        ShapeError: when called, an input of other than three axes, or of no steps.

    >>> layer = layers.LSTM(3, 5).initialize(seed=0, backend="numpy")
    >>> outputs, (h, c) = layer.run(np.zeros((2, 7, 3), dtype="float32"))
    >>> outputs.shape, c.shape
    ((2, 7, 5), (2, 5))

    Source: Hochreiter and Schmidhuber, Long short-term memory, 1997; Gers, Schmidhuber and Cummins,
    Learning to forget, 2000.

    """

    GATES: ClassVar[int] = 4

    def start(self, zeros: Array) -> Pair:
        """Return zeros for h and c."""
        return zeros, zeros

    def step(
        self,
        inputs: Array,
        state: Pair,
    ) -> tuple[Array, Pair]:
        """Return the new h, and (h, c)."""
        h, c = state
        i, f, g, o = self._gates(inputs + self._hidden(h))
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        return h, (h, c)


class GRU(_Recurrent):
    """Return h ← (1 - z) · n + z · h for every step, with n = tanh(x Wₙ + bₙ + r · (h Uₙ + cₙ)).

    The gates r, z, n are linear maps of x and h, in this order, r and z with a sigmoid. Input is
    (N, length, in_features), output (N, length, hidden_features).

    Args:
        in_features: of the input, 1 or more.
        hidden_features: of the state h, 1 or more.

    Attributes:
        input_weight: (in_features, 3 · hidden_features).
        hidden_weight: (hidden_features, 3 · hidden_features).
        input_bias, hidden_bias: (3 · hidden_features,).

    Raises:
        ShapeError: when called, an input of other than three axes, or of no steps.

    >>> layer = layers.GRU(3, 5).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((2, 7, 3), dtype="float32")).shape
    (2, 7, 5)

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014.

    """

    GATES: ClassVar[int] = 3

    def step(
        self,
        inputs: Array,
        state: Array,
    ) -> tuple[Array, Array]:
        """Return the new h, as output and as state."""
        r_x, z_x, n_x = self._gates(inputs)
        r_h, z_h, n_h = self._gates(self._hidden(state))
        z = sigmoid(z_x + z_h)
        n = tanh(n_x + sigmoid(r_x + r_h) * n_h)
        h = n + z * (state - n)
        return h, h
