"""Attention, and the encoder and decoder layers of a transformer."""

import math
from collections.abc import Callable
from functools import reduce

from anynet.arguments import sizes, whole_number
from anynet.array import Array, array_namespace, device
from anynet.errors import ArgumentError, DTypeError, ShapeError
from anynet.functions import softmax
from anynet.layers.activations import ReLU
from anynet.layers.dropout import Dropout
from anynet.layers.linear import Linear
from anynet.layers.module import Module
from anynet.layers.norm import LayerNorm
from anynet.layers.sequential import Sequential
from anynet.primitives import masked_softmax


class MultiHeadAttention(Module):
    """Return a linear map of softmax(q kᵀ / √(features / heads)) v, all heads side by side.

    Here q, k and v are linear maps of queries (N, length, features), and of keys and values (N,
    other length, features), which are the queries by default. Output is (N, length, features).

    Args:
        features: of each query, key and value, 1 or more.
        heads: a number that divides the features.
        dropout: the rate at which attention weights are set to 0 in training, in 0 ≤ rate < 1.
        bias: whether the linear maps have a bias.

    Raises:
        ArgumentError: the heads do not divide the features.
        ShapeError: when called, an input of other than three axes.
        DTypeError: when called, a mask that is not boolean.

    >>> layer = layers.MultiHeadAttention(8, 2).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((3, 5, 8), dtype="float32"), causal=True).shape
    (3, 5, 8)

    Source: Vaswani et al., Attention is all you need, NeurIPS 2017.

    """

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        (features,) = sizes(features=features)
        heads = whole_number("heads", heads, 0)
        if not heads or features % heads:
            raise ArgumentError(
                f"{features} features for {heads} heads: wanted a number that the heads divide"
            )
        self.query = Linear(features, features, bias=bias)
        self.key = Linear(features, features, bias=bias)
        self.value = Linear(features, features, bias=bias)
        self.out = Linear(features, features, bias=bias)
        self.dropout = Dropout(dropout)
        self.heads = heads

    def forward(
        self,
        query: Array,
        key: Array | None = None,
        value: Array | None = None,
        *,
        mask: Array | None = None,
        key_mask: Array | None = None,
        causal: bool = False,
    ) -> Array:
        """Return the attention of queries to keys. Masks are boolean, True where a key counts.

        Args:
            query: (N, length, features).
            key: (N, other length, features).
            value: (N, other length, features).
            mask: of a shape that broadcasts to (N, heads, length, other length).
            key_mask: (N, other length), False for padding.
            causal: whether position i attends to the positions up to i only.

        """
        key = query if key is None else key
        q = self._split(self.query(query))
        k = self._split(self.key(key))
        v = self._split(self.value(key if value is None else value))
        xp = array_namespace(q)
        scale = 1 / math.sqrt(q.shape[-1])
        scores = xp.matmul(q, xp.matrix_transpose(k)) * scale
        lengths = (query.shape[1], key.shape[1]) if causal else None
        allowed = self._allowed(scores, mask, key_mask, lengths)
        weights = softmax(scores) if allowed is None else masked_softmax(scores, allowed)
        heads = xp.matmul(self.dropout(weights), v)
        heads = xp.permute_dims(heads, (0, 2, 1, 3))
        heads = xp.reshape(heads, (-1, *query.shape[1:]))
        out: Array = self.out(heads)
        return out

    def _split(self, x: Array) -> Array:
        """Return (N, length, features) as (N, heads, length, features / heads)."""
        if x.ndim != 3:
            raise ShapeError(f"sequences of shape {tuple(x.shape)}: wanted (N, length, features)")
        xp = array_namespace(x)
        _, length, features = x.shape
        split = xp.reshape(x, (-1, length, self.heads, features // self.heads))
        return xp.permute_dims(split, (0, 2, 1, 3))

    def _allowed(
        self,
        scores: Array,
        mask: Array | None,
        key_mask: Array | None,
        lengths: tuple[int, int] | None,
    ) -> Array | None:
        """Return where a key counts, in all of the masks, None if there is none.

        A causal mask is that of these lengths.
        """
        xp = array_namespace(scores)
        for name, given in (("mask", mask), ("key_mask", key_mask)):
            if given is not None and not array_namespace(given).isdtype(given.dtype, "bool"):
                raise DTypeError(
                    f"{name} is of {given.dtype}: wanted booleans, True where a key counts, as "
                    "mask != 0"
                )
        parts = [] if mask is None else [mask]
        if key_mask is not None:
            n, length = key_mask.shape
            parts.append(xp.reshape(key_mask, (n, 1, 1, length)))
        if lengths is not None:
            ones = xp.ones(lengths, dtype=xp.bool, device=device(scores))
            parts.append(xp.tril(ones))
        return reduce(xp.logical_and, parts) if parts else None


class TransformerEncoderLayer(Module):
    """Return x after attention to itself and two linear maps, each with a residual connection.

    That is h = norm(x + attention(x)), then norm(h + maps(h)), or with ``norm_first`` h = x +
    attention(norm(x)), then h + maps(norm(h)). Each norm is a `LayerNorm`. Input is (N, length,
    features), and so is the output.

    Args:
        features: of the input, 1 or more.
        heads: a number that divides the features.
        hidden: the features between the two linear maps, 1 or more.
        dropout: the rate at which elements are set to 0 in training, in 0 ≤ rate < 1.
        activation: between the two linear maps, `ReLU` by default.
        norm_first: whether the norms come before attention and maps.

    >>> layer = layers.TransformerEncoderLayer(8, 2, 16).initialize(seed=0, backend="numpy")
    >>> layer(np.zeros((3, 5, 8), dtype="float32")).shape
    (3, 5, 8)

    Source: Vaswani et al., Attention is all you need, NeurIPS 2017; Xiong et al., On layer
    normalization in the transformer architecture, ICML 2020.

    """

    def __init__(
        self,
        features: int,
        heads: int,
        hidden: int,
        *,
        dropout: float = 0.1,
        activation: Module | None = None,
        norm_first: bool = False,
    ) -> None:
        self.attention = MultiHeadAttention(features, heads, dropout=dropout)
        self.maps = _maps(features, hidden, activation, dropout)
        self.norms = [LayerNorm(features), LayerNorm(features)]
        self.dropouts = [Dropout(dropout), Dropout(dropout)]
        self.norm_first = norm_first

    def forward(
        self,
        x: Array,
        *,
        mask: Array | None = None,
        key_mask: Array | None = None,
        causal: bool = False,
    ) -> Array:
        """Return x after attention and maps. The masks are those of `MultiHeadAttention`."""
        settings = {"mask": mask, "key_mask": key_mask, "causal": causal}
        if self.norm_first:
            attended = self.attention(self.norms[0](x), **settings)
            x = self.dropouts[0](attended) + x
            mapped = self.maps(self.norms[1](x))
            x = self.dropouts[1](mapped) + x
        else:
            attended = self.attention(x, **settings)
            x = self.norms[0](self.dropouts[0](attended) + x)
            mapped = self.maps(x)
            x = self.norms[1](self.dropouts[1](mapped) + x)
        return x


class TransformerDecoderLayer(Module):
    """Return x after attention to itself, attention to a memory, and two linear maps.

    Each has a residual connection: h = norm(x + attention(x)), then k = norm(h + cross_attention(h,
    memory)), then norm(k + maps(k)). With ``norm_first`` it is h = x + attention(norm(x)), and so
    on. Each norm is a `LayerNorm`. Input is (N, length, features) and a memory (N, other length,
    features), such as the output of an encoder. Output is (N, length, features).

    Args:
        features: of the input and the memory, 1 or more.
        heads: a number that divides the features.
        hidden: the features between the two linear maps, 1 or more.
        dropout: the rate at which elements are set to 0 in training, in 0 ≤ rate < 1.
        activation: between the two linear maps, `ReLU` by default.
        norm_first: whether the norms come before attention and maps.

    >>> layer = layers.TransformerDecoderLayer(8, 2, 16).initialize(seed=0, backend="numpy")
    >>> x, memory = np.zeros((3, 5, 8), dtype="float32"), np.zeros((3, 7, 8), dtype="float32")
    >>> layer(x, memory, causal=True).shape
    (3, 5, 8)

    Source: Vaswani et al., Attention is all you need, NeurIPS 2017; PyTorch's
    TransformerDecoderLayer.

    """

    def __init__(
        self,
        features: int,
        heads: int,
        hidden: int,
        *,
        dropout: float = 0.1,
        activation: Module | None = None,
        norm_first: bool = False,
    ) -> None:
        self.attention = MultiHeadAttention(features, heads, dropout=dropout)
        self.cross_attention = MultiHeadAttention(features, heads, dropout=dropout)
        self.maps = _maps(features, hidden, activation, dropout)
        self.norms = [LayerNorm(features) for _ in range(3)]
        self.dropouts = [Dropout(dropout) for _ in range(3)]
        self.norm_first = norm_first

    def forward(
        self,
        x: Array,
        memory: Array,
        *,
        mask: Array | None = None,
        key_mask: Array | None = None,
        causal: bool = False,
        memory_mask: Array | None = None,
        memory_key_mask: Array | None = None,
    ) -> Array:
        """Return x after attention and maps. Masks are boolean, True where a key counts.

        Args:
            x: (N, length, features).
            memory: (N, other length, features).
            mask: of the attention of x to itself, see `MultiHeadAttention`.
            key_mask: (N, length), False for padding of x.
            causal: whether position i of x attends to the positions up to i of x only.
            memory_mask: of the attention to the memory, of a shape that broadcasts to (N, heads,
                length, other length).
            memory_key_mask: (N, other length), False for padding of the memory.

        """

        def attend(x: Array) -> Array:
            out: Array = self.attention(x, mask=mask, key_mask=key_mask, causal=causal)
            return out

        def cross(x: Array) -> Array:
            out: Array = self.cross_attention(x, memory, mask=memory_mask, key_mask=memory_key_mask)
            return out

        parts: list[Callable[[Array], Array]] = [attend, cross, self.maps]
        for part, norm, dropout in zip(parts, self.norms, self.dropouts, strict=True):
            if self.norm_first:
                x = dropout(part(norm(x))) + x
            else:
                x = norm(dropout(part(x)) + x)
        return x


def _maps(
    features: int,
    hidden: int,
    activation: Module | None,
    dropout: float,
) -> Sequential:
    """Return the two linear maps of a layer."""
    return Sequential(
        Linear(features, hidden),
        activation or ReLU(),
        Dropout(dropout),
        Linear(hidden, features),
    )
