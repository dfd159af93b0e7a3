"""PyTorch's state dicts in and out: names and layouts as PyTorch's own layers have them."""

from collections.abc import Mapping
from typing import Any

from anynet.array import Array, dtype_name
from anynet.backend import Backend, get_backend
from anynet.errors import NotInitializedError
from anynet.interop.entries import Entry, Names, Rule, entries
from anynet.interop.loading import load
from anynet.layers import (
    GRU,
    LSTM,
    RNN,
    BatchNorm,
    Dropout,
    Linear,
    Module,
    MultiHeadAttention,
    Sequential,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from anynet.layers.initialization import is_uninitialized
from anynet.layers.recurrent import GRUCell, LSTMCell, RNNCell

__all__ = ["load_state_dict", "state_dict"]

_CELL = Rule(
    names={
        "input_weight": "weight_ih",
        "hidden_weight": "weight_hh",
        "input_bias": "bias_ih",
        "hidden_bias": "bias_hh",
    },
    transposed=("weight_ih", "weight_hh"),
)


def _of_recurrent(name: str) -> str:
    """Return the name of an array of a recurrent layer: weight_ih_l0 for cells.0.weight_ih."""
    cells, _, inner = name.partition(".")
    if cells not in ("cells", "reverse_cells"):
        return name
    layer, _, array = inner.partition(".")
    return f"{array}_l{layer}{'_reverse' if cells == 'reverse_cells' else ''}"


_RECURRENT = Rule(names=_of_recurrent)

_TRANSFORMER = Rule(
    names={
        "attention": "self_attn",
        "cross_attention": "multihead_attn",
        "maps.0": "linear1",
        "maps.1": "activation",
        "maps.3": "linear2",
        "norms.0": "norm1",
        "norms.1": "norm2",
        "norms.2": "norm3",
    },
)

#: PyTorch's names and layouts. A class without a rule has the names and the layouts of anynet.
RULES: dict[type, Rule] = {
    Sequential: Rule(names={"layers": ""}),
    Linear: Rule(transposed=("weight",)),
    BatchNorm: Rule(
        names={"running_variance": "running_var"},
        counters=("num_batches_tracked",),
    ),
    Dropout: Rule(names={"key": None}),
    RNNCell: _CELL,
    LSTMCell: _CELL,
    GRUCell: _CELL,
    RNN: _RECURRENT,
    LSTM: _RECURRENT,
    GRU: _RECURRENT,
    MultiHeadAttention: Rule(
        names={"out": "out_proj"},
        packed={
            "in_proj_weight": ("query.weight", "key.weight", "value.weight"),
            "in_proj_bias": ("query.bias", "key.bias", "value.bias"),
        },
    ),
    TransformerEncoderLayer: _TRANSFORMER,
    TransformerDecoderLayer: _TRANSFORMER,
}


def load_state_dict(
    net: Module,
    state: Mapping[str, Array],
    *,
    names: Names | None = None,
    backend: Backend | str | None = None,
) -> None:
    """Replace the parameters and buffers of a network by those of a PyTorch state dict.

    The names in the state are those of the network's attributes. The layers of a `Sequential` have
    their index, as in PyTorch: ``0.weight`` for the path ``layers.0.weight``. Weights of `Linear`
    and of recurrent layers are transposed, and the packed projection of attention is split. Arrays
    of your own classes keep their layout. The values are copied, and converted to the dtypes of the
    network. After an error the network is as it was.

    Args:
        net: a network of the same architecture. An uninitialized parameter gets the dtype of the
            state.
        state: ``module.state_dict()``, or a dict of arrays of any library with the same names.
        names: the differences between the names of the network and those in the state. A dict has
            names of arrays, or of parts such as ``layer1.0``, and the longest one decides. A new
            name is a string, a list of strings for an array that PyTorch ties, or None for an array
            that is not in the state. A function takes and returns the names of single arrays.
        backend: where uninitialized parameters go. The default is as for `Module.initialize`.

    Raises:
        PathError: the state lacks a name, or has one that the network lacks.
        ShapeError: an array has another shape.
        DTypeError: an array has a dtype of another kind, or one that the library lacks.
        DataError: a value is too large for the network's dtype, arrays that are tied in the network
            differ in the state, or a tensor has no values, as on the device "meta".
        ArgumentError: a key of ``names`` is not a name of the network.

    >>> net = layers.Sequential(layers.Linear(3, 2, bias=False), layers.ReLU())
    >>> state = {"fc.weight": np.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}
    >>> anynet.interop.torch.load_state_dict(net, state, names={"0": "fc"})
    >>> net(np.asarray([[1.0, 0.0, 0.0]]))
    array([[1., 4.]])

    Source: PyTorch's torch.nn.Module.load_state_dict.

    """
    load(net, entries(net, RULES, names), state, backend)


def state_dict(net: Module, *, names: Names | None = None) -> dict[str, Any]:
    """Return the parameters and buffers of a network as a PyTorch state dict.

    ``module.load_state_dict(state, strict=True)`` takes it, if the module has the same
    architecture. The tensors are copies in main memory, in the dtypes of the network. The counter
    ``num_batches_tracked`` of a `BatchNorm` is 0, and the random keys of `Dropout` are left out.

    Args:
        net: an initialized network.
        names: as for `load_state_dict`.

    Raises:
        BackendError: PyTorch is not installed.
        NotInitializedError: a parameter is not initialized.
        ArgumentError: a key of ``names`` is not a name of the network.

    >>> net = layers.Sequential(layers.Linear(784, 50), seed=0, backend="numpy")
    >>> state = anynet.interop.torch.state_dict(net)
    >>> {name: tuple(x.shape) for name, x in state.items()}
    {'0.weight': (50, 784), '0.bias': (50,)}

    Source: PyTorch's torch.nn.Module.state_dict.

    """
    torch = get_backend("torch")
    state: dict[str, Any] = {}
    for entry in entries(net, RULES, names):
        if entry.names:
            tensor = _tensor(entry, torch)
            state |= dict.fromkeys(entry.names, tensor)
    return state


def _tensor(entry: Entry, torch: Backend) -> Array:
    """Return the tensor of an entry, 0 for a counter."""
    arrays = [place.array for place in entry.places]
    if not arrays:
        return torch.asarray(0, torch.xp.int64)
    if any(map(is_uninitialized, arrays)):
        raise NotInitializedError(
            f"{entry.paths} is not initialized: call initialize(seed=0) on the network, or load a "
            "state first"
        )
    joined = entry.joined(
        [get_backend(x).to_host(x) for x in arrays],
        get_backend("numpy").xp,
    )
    # Values of bfloat16 come in float32, which has them all.
    dtypes = {dtype_name(x.dtype) for x in arrays}
    name = dtypes.pop() if len(dtypes) == 1 else dtype_name(joined.dtype)
    return torch.asarray(joined, getattr(torch.xp, name))
