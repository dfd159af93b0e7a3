"""Recurrent layers: a state that goes through a sequence, one step at a time.

Sequences are (N, length, in_features), outputs (N, length, hidden_features): the state after every
step. With ``bidirectional`` outputs are (N, length, 2 · hidden_features): the states of a second
network, which reads the sequence from its end, follow those of the first one.

The state begins with zeros by default. `run` takes another one, and returns the last state. A state
is (N, hidden_features), or (layers · directions, N, hidden_features) if there are several layers or
two directions, with the directions of one layer side by side.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from anynet import initializers, tree
from anynet.arguments import check_flag, describe, sizes
from anynet.array import Array, array_namespace, is_array, number
from anynet.errors import ArgumentError, ArgumentTypeError, ShapeError
from anynet.functions import relu, sigmoid, tanh
from anynet.layers.dropout import Dropout
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import affine

#: The state of an LSTM, (h, c).
Pair = tuple[Array, Array]


class _Cell(Module):
    """One layer in one direction. Each cell defines its step."""

    #: The number of linear maps in a step.
    GATES: ClassVar[int]

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        bias: bool = True,
    ) -> None:
        width = self.GATES * hidden_features
        draw = initializers.normal(hidden_features**-0.5)
        self.input_weight = parameter((in_features, width), draw)
        self.hidden_weight = parameter((hidden_features, width), draw)
        self.input_bias = parameter((width,), initializers.zeros) if bias else None
        self.hidden_bias = parameter((width,), initializers.zeros) if bias else None

    def forward(
        self,
        x: Array,
        state: Any = None,
        *,
        reverse: bool = False,
    ) -> tuple[Array, Any]:
        """Return the outputs of all steps and the last state."""
        # The inputs of all steps are mapped in one product, which needs no state.
        inputs = affine(x, self.input_weight, self.input_bias)
        xp = array_namespace(inputs)
        if state is None:
            first = inputs[:, 0, : self.hidden_weight.shape[0]]
            state = self.start(xp.zeros_like(first))
        steps = xp.unstack(inputs, axis=1)
        outputs = []
        for mapped in reversed(steps) if reverse else steps:
            out, state = self.step(mapped, state)
            outputs.append(out)
        if reverse:
            outputs.reverse()
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


class RNNCell(_Cell):
    """One layer of an `RNN` in one direction."""

    GATES: ClassVar[int] = 1

    nonlinearity: str = "tanh"

    def step(
        self,
        inputs: Array,
        state: Array,
    ) -> tuple[Array, Array]:
        """Return the new h, as output and as state."""
        function = tanh if self.nonlinearity == "tanh" else relu
        h = function(inputs + self._hidden(state))
        return h, h


class LSTMCell(_Cell):
    """One layer of an `LSTM` in one direction."""

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


class GRUCell(_Cell):
    """One layer of a `GRU` in one direction."""

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


class _Recurrent(Module):
    """Layers of cells, each reading the outputs of the one before."""

    CELL: ClassVar[type[_Cell]]
    #: Whether the state is a pair of arrays.
    HAS_PAIR: ClassVar[bool] = False
    cells: Sequence[_Cell]
    reverse_cells: Sequence[_Cell]

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        in_features, hidden_features, layers = sizes(
            in_features=in_features,
            hidden_features=hidden_features,
            layers=layers,
        )
        check_flag("bidirectional", bidirectional)
        check_flag("bias", bias)
        directions = 2 if bidirectional else 1
        widths = [in_features] + [directions * hidden_features] * (layers - 1)

        def cells() -> list[_Cell]:
            return [self.CELL(n, hidden_features, bias=bias) for n in widths]

        self.cells = cells()
        self.reverse_cells = cells() if bidirectional else []
        self.dropouts = _dropouts(dropout, layers)

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
            state: the first one, (N, hidden_features), or (layers · directions, N,
                hidden_features) if there are several layers or two directions. For an LSTM it is a
                pair of these. The default is zeros.

        Raises:
            ShapeError: x has other than three axes, or no steps, or a state has another shape.
            ArgumentTypeError: the state is no array, or for an LSTM no pair of arrays.

        """
        if x.ndim != 3 or x.shape[1] == 0:
            raise ShapeError(
                f"sequences of shape {tuple(x.shape)}: wanted (N, length, features), length 1 or "
                "more"
            )
        features = self.cells[0].input_weight.shape[0]
        if x.shape[2] != features:
            raise ShapeError(
                f"input of shape {tuple(x.shape)} does not fit a layer of {features} features: "
                f"wanted (N, length, {features})"
            )
        states = iter(self._states(x, state))
        last = []
        for i, cell in enumerate(self.cells):
            outputs, end = cell(x, next(states))
            last.append(end)
            if self.reverse_cells:
                reverse, end = self.reverse_cells[i](x, next(states), reverse=True)
                last.append(end)
                outputs = array_namespace(outputs).concat([outputs, reverse], axis=-1)
            is_last = i == len(self.cells) - 1
            x = outputs if is_last or not self.dropouts else self.dropouts[i](outputs)
        return x, last[0] if len(last) == 1 else tree.map(_stacked, *last)

    def _states(self, x: Array, state: Any) -> list[Any]:
        """Return the first state of every cell, in the order in which they run."""
        count = len(self.cells) + len(self.reverse_cells)
        if state is None:
            return [None] * count
        features = self.cells[0].hidden_weight.shape[0]
        wanted = (x.shape[0], features) if count == 1 else (count, x.shape[0], features)
        parts = state if self.HAS_PAIR else (state,)
        is_pair = isinstance(parts, tuple | list) and len(parts) == (2 if self.HAS_PAIR else 1)
        if not is_pair or not all(map(is_array, parts)):
            kind = f"a pair of arrays (h, c), each {wanted}" if self.HAS_PAIR else "an array"
            raise ArgumentTypeError(f"the state is {describe(state)}: wanted {kind}")
        for part in parts:
            if tuple(part.shape) != wanted:
                raise ShapeError(f"a state of shape {tuple(part.shape)}: wanted {wanted}")
        if count == 1:
            return [state]
        split = [array_namespace(part).unstack(part, axis=0) for part in parts]
        return [*zip(*split, strict=True)] if self.HAS_PAIR else [*split[0]]


def _dropouts(rate: float, layers: int) -> list[Dropout]:
    """Return the dropouts between layers."""
    rate = number("dropout", rate)
    if rate and layers == 1:
        raise ArgumentError(
            f"dropout is {rate}, and there is 1 layer: wanted layers=2 or more, because it is "
            "applied between layers, or a Dropout after this layer"
        )
    return [Dropout(rate) for _ in range(layers - 1)] if rate else []


def _stacked(*states: Array) -> Array:
    return array_namespace(*states).stack(list(states), axis=0)


class RNN(_Recurrent):
    """Return h ← tanh(x Wᵢ + bᵢ + h Wₕ + bₕ) for every step.

    Input is (N, length, in_features), output (N, length, hidden_features), or twice as many
    features with ``bidirectional``.

    Args:
        in_features: of the input, 1 or more.
        hidden_features: of the state h, 1 or more.
        layers: how many, 1 or more. Each one reads the outputs of the one before.
        bidirectional: whether a second network reads every sequence from its end.
        dropout: the rate at which outputs between layers are set to 0 in training.
        bias: whether the linear maps have a bias.
        nonlinearity: "tanh", or "relu" in its place.

    Attributes:
        cells: the layers. Each has ``input_weight`` Wᵢ, (features of its input, hidden_features),
            ``hidden_weight`` Wₕ, (hidden_features, hidden_features), and ``input_bias`` bᵢ and
            ``hidden_bias`` bₕ, (hidden_features,), or None.
        reverse_cells: the same of the second direction, or an empty list.

    Raises:
        ArgumentError: a setting out of range, or dropout and only one layer.
        ShapeError: when called, an input of other than three axes, or of no steps.

    >>> layer = layers.RNN(3, 5).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((2, 7, 3), dtype="float32")).shape
    (2, 7, 5)

    Source: Elman, Finding structure in time, 1990; PyTorch's RNN.

    """

    CELL = RNNCell
    cells: Sequence[RNNCell]
    reverse_cells: Sequence[RNNCell]

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        nonlinearity: str = "tanh",
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(
                f"nonlinearity is {describe(nonlinearity)}: wanted 'tanh' or 'relu'"
            )
        super().__init__(
            in_features,
            hidden_features,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
            bias=bias,
        )
        for cell in (*self.cells, *self.reverse_cells):
            cell.nonlinearity = nonlinearity


class LSTM(_Recurrent):
    """Return h ← o · tanh(c) for every step, with c ← f · c + i · g.

    The gates i, f, g, o are linear maps of x and h, in this order, with a sigmoid, for g a tanh.
    Input is (N, length, in_features), output (N, length, hidden_features), or twice as many
    features with ``bidirectional``. The state is (h, c).

    Args:
        in_features: of the input, 1 or more.
        hidden_features: of h and c, 1 or more.
        layers: how many, 1 or more. Each one reads the outputs of the one before.
        bidirectional: whether a second network reads every sequence from its end.
        dropout: the rate at which outputs between layers are set to 0 in training.
        bias: whether the linear maps have a bias.

    Attributes:
        cells: the layers. Each has ``input_weight``, (features of its input, 4 · hidden_features),
            ``hidden_weight``, (hidden_features, 4 · hidden_features), and ``input_bias`` and
            ``hidden_bias``, (4 · hidden_features,), or None.
        reverse_cells: the same of the second direction, or an empty list.

    Raises:
        ArgumentError: a setting out of range, or dropout and only one layer.
        ShapeError: when called, an input of other than three axes, or of no steps.

    >>> layer = layers.LSTM(3, 5, layers=2, bidirectional=True).initialize(seed=0, backend="numpy")
    >>> outputs, (h, c) = layer.run(np.zeros((2, 7, 3), dtype="float32"))
    >>> outputs.shape, c.shape
    ((2, 7, 10), (4, 2, 5))

    Source: Hochreiter and Schmidhuber, Long short-term memory, 1997; Gers, Schmidhuber and Cummins,
    Learning to forget, 2000; PyTorch's LSTM.

    """

    CELL = LSTMCell
    HAS_PAIR = True


class GRU(_Recurrent):
    """Return h ← (1 - z) · n + z · h for every step, with n = tanh(x Wₙ + bₙ + r · (h Uₙ + cₙ)).

    The gates r, z, n are linear maps of x and h, in this order, r and z with a sigmoid. Input is
    (N, length, in_features), output (N, length, hidden_features), or twice as many features with
    ``bidirectional``.

    Args:
        in_features: of the input, 1 or more.
        hidden_features: of the state h, 1 or more.
        layers: how many, 1 or more. Each one reads the outputs of the one before.
        bidirectional: whether a second network reads every sequence from its end.
        dropout: the rate at which outputs between layers are set to 0 in training.
        bias: whether the linear maps have a bias.

    Attributes:
        cells: the layers. Each has ``input_weight``, (features of its input, 3 · hidden_features),
            ``hidden_weight``, (hidden_features, 3 · hidden_features), and ``input_bias`` and
            ``hidden_bias``, (3 · hidden_features,), or None.
        reverse_cells: the same of the second direction, or an empty list.

    Raises:
        ArgumentError: a setting out of range, or dropout and only one layer.
        ShapeError: when called, an input of other than three axes, or of no steps.

    >>> layer = layers.GRU(3, 5).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((2, 7, 3), dtype="float32")).shape
    (2, 7, 5)

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014;
    PyTorch's GRU.

    """

    CELL = GRUCell
