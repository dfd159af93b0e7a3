"""States of NumPy arrays in the names and layouts of PyTorch, which need no PyTorch."""

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    DTypeError,
    PathError,
    ShapeError,
)
from anynet.interop.torch import load_state_dict


def data(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


MLP = lambda: layers.Sequential(layers.Linear(3, 3), layers.ReLU(), layers.Linear(3, 3))

STATE = {
    "0.weight": data(3, 3),
    "0.bias": data(3),
    "2.weight": data(3, 3, seed=1),
    "2.bias": data(3, seed=1),
}


def test_part_that_is_left_out_stays_as_it_is(backend):
    net = MLP().initialize(0, backend)
    before = net["layers.2.weight"]
    state = {"0.weight": np.eye(3), "0.bias": np.ones(3)}
    load_state_dict(net, state, names={"2": None})
    assert net["layers.2.weight"] is before
    np.testing.assert_array_equal(host(net["layers.0.weight"]), np.eye(3))


def tied_net(backend=None):
    net = MLP()
    net[2].weight = net[0].weight
    return net if backend is None else net.initialize(0, backend)


def test_tied_arrays_that_differ_in_the_state(backend):
    net = tied_net(backend)
    before = net[0].weight
    with pytest.raises(DataError, match=r"0\.weight and 2\.weight differ in the state"):
        load_state_dict(net, STATE)
    assert net[0].weight is before
    assert net[2].weight is before


def test_a_left_out_place_of_a_tied_array_follows(backend):
    net = tied_net(backend)
    state = {"0.weight": np.eye(3), "0.bias": np.ones(3)}
    load_state_dict(net, state, names={"2": None})
    assert net[0].weight is net[2].weight


def test_array_of_two_layouts_is_not_tied_by_chance(backend):
    """A square matrix of an embedding and of a linear map has two layouts in PyTorch."""
    net = layers.Sequential(layers.Embedding(3, 3), layers.Linear(3, 3, bias=False))
    net.initialize(0, backend)
    net[1].weight = net[0].weight
    weight = np.arange(9.0).reshape(3, 3)
    with pytest.raises(DataError, match="differ in the state"):
        load_state_dict(net, {"0.weight": weight, "1.weight": weight})
    load_state_dict(net, {"0.weight": weight, "1.weight": weight.T})
    np.testing.assert_array_equal(host(net[1].weight), weight)


def test_arrays_of_any_library_by_name(backend):
    """A state needs no PyTorch."""
    net = layers.Linear(3, 2).initialize(0, "numpy")
    weight, bias = data(2, 3), data(2)
    load_state_dict(net, {"weight": backend.asarray(weight), "bias": backend.asarray(bias)})
    np.testing.assert_array_equal(net.weight, weight.T)
    np.testing.assert_array_equal(net.bias, bias)


def without(*names):
    return {name: x for name, x in STATE.items() if name not in names}


def places(net):
    return [net[0].weight, net[0].bias, net[2].weight, net[2].bias]


UNFIT = [
    (
        without("2.bias"),
        PathError,
        r"it lacks 2\.bias \(3,\) for layers\.2\.bias: leave .* names=\{'2\.bias': None\}",
    ),
    (
        STATE | {"3.weight": data(2, 2)},
        PathError,
        r"it has 3\.weight \(2, 2\), which the network does not have: remove",
    ),
    (
        {name.replace("2", "fc"): x for name, x in STATE.items()},
        PathError,
        r"it lacks 2\.weight \(3, 3\).* it has fc\.weight.*names=\{'2': 'fc'\}",
    ),
    (
        {f"module.{name}": x for name, x in STATE.items()},
        PathError,
        r"such as names=\{'': 'module'\}",
    ),
    (STATE | {"0.weight": data(3, 4)}, ShapeError, r"0\.weight is \(3, 4\).*wanted \(3, 3\)"),
    (STATE | {"0.bias": data(3, 1)}, ShapeError, r"0\.bias is \(3, 1\) in the state"),
    (STATE | {"0.bias": np.arange(3)}, DTypeError, r"0\.bias is int64 in the state"),
    (STATE | {"0.bias": data(3) * 1j}, DTypeError, r"0\.bias is complex64 in the state"),
    (STATE | {"0.bias": np.full(3, 1e300)}, DataError, "cannot have the value 1e"),
    ({"model": STATE, "epoch": 3}, ArgumentTypeError, r"pass state\['model'\]"),
    (STATE | {"0.bias": None}, ArgumentTypeError, r"state\['0\.bias'\] is None"),
    (STATE | {"0.bias": [1.0]}, ArgumentTypeError, r"state\['0\.bias'\] is \[1\.0\]"),
    ({0: data(3)}, ArgumentTypeError, "state has the key 0"),
    ([], ArgumentTypeError, r"state is \[\]: wanted a dict of arrays"),
    ("net.pt", ArgumentTypeError, "read a file first"),
    ({}, PathError, r"it lacks 0\.weight \(3, 3\) for layers\.0\.weight, 0\.bias"),
]


@pytest.mark.parametrize(("state", "error", "message"), UNFIT)
def test_state_that_does_not_fit(backend, state, error, message):
    net = MLP().initialize(0, backend)
    before = places(net)
    with pytest.raises(error, match=message):
        load_state_dict(net, state)
    assert all(old is new for old, new in zip(before, places(net), strict=True))


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [row for row in UNFIT if "complex" not in row[2] and "value" not in row[2]],
)
def test_state_that_does_not_fit_an_uninitialized_network(state, error, message):
    net = MLP()
    with pytest.raises(error, match=message):
        load_state_dict(net, state)
    assert all(isinstance(x, layers.Uninitialized) for x in places(net))


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ({"layers.0": "fc"}, ArgumentError, "names has the key 'layers.0'"),
        ({"0.wieght": "fc.weight"}, ArgumentError, r"did you mean '0\.weight'"),
        ({"0": "2"}, ArgumentError, r"have one name, '2\.weight'"),
        ({"0": 3}, ArgumentTypeError, "new name"),
        (lambda name: [], ArgumentTypeError, r"names gives '0\.weight' the new name \[\]"),
        ("fc", ArgumentTypeError, "names is 'fc'"),
    ],
)
def test_names_that_do_not_fit(names, error, message):
    net = MLP().initialize(0, "numpy")
    with pytest.raises(error, match=message):
        load_state_dict(net, STATE, names=names)


def test_long_lists_of_names_are_cut():
    net = layers.Sequential(*(layers.Linear(1, 1) for _ in range(20)))
    with pytest.raises(PathError, match="and 32 more") as caught:
        load_state_dict(net, {})
    assert len(str(caught.value)) < 1000


def test_what_is_no_network():
    with pytest.raises(ArgumentTypeError, match=r"net is .*: wanted a layers\.Module"):
        load_state_dict([layers.Linear(3, 3)], {})


def test_attention_with_some_biases_cannot_be_packed():
    net = layers.MultiHeadAttention(4, 2).initialize(0, "numpy")
    net.key.bias = None
    with pytest.raises(ArgumentError, match=r"no array key\.bias, which is part of in_proj_bias"):
        load_state_dict(net, {})


class Pair(layers.Module):
    def __init__(self):
        self.pair = (layers.parameter((2,), anynet.initializers.ones),)


def test_tuple_of_arrays():
    with pytest.raises(ArgumentTypeError, match="pair is a tuple of arrays"):
        load_state_dict(Pair(), {})


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uninitialized_parameters_get_the_dtype_and_the_backend(backend, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip(reason=f"{backend.name} has no {dtype}")
    net = layers.Sequential(layers.Linear(3, 2), layers.BatchNorm(2))
    shapes = {"0.weight": (2, 3), "0.bias": (2,)}
    shapes |= {f"1.{name}": (2,) for name in ("weight", "bias", "running_mean", "running_var")}
    state = {name: data(*shape).astype(dtype) for name, shape in shapes.items()}
    load_state_dict(net, state, backend=backend)
    assert anynet.get_backend(net[0].weight).name == backend.name
    for name, x in net.parameters().items():
        assert dtype in str(x.dtype), name
    wide = "float64" if dtype == "float64" else "float32"
    assert wide in str(net[1].running_mean.dtype)
    np.testing.assert_array_equal(host(net[0].weight), state["0.weight"].T)


def test_one_parameter_more_goes_to_the_backend_of_the_others(backend):
    net = MLP().initialize(0, backend)
    net[2] = layers.Linear(3, 3)
    load_state_dict(net, STATE)
    assert anynet.get_backend(net[2].weight).name == backend.name


def test_recurrent_layers_without_pytorch(backend):
    """Gates are in the same order, the directions have names."""
    net = layers.LSTM(2, 1, bidirectional=True)
    shapes = {"weight_ih": (4, 2), "weight_hh": (4, 1), "bias_ih": (4,), "bias_hh": (4,)}
    state = {
        f"{name}_l0{end}": data(*shape, seed=len(end))
        for name, shape in shapes.items()
        for end in ("", "_reverse")
    }
    load_state_dict(net, state, backend=backend)
    for cells, end in ((net.cells, ""), (net.reverse_cells, "_reverse")):
        np.testing.assert_array_equal(host(cells[0].input_weight), state[f"weight_ih_l0{end}"].T)
        np.testing.assert_array_equal(host(cells[0].hidden_bias), state[f"bias_hh_l0{end}"])


def test_safetensors_file_without_pytorch(backend, tmp_path):
    anynet.checkpoint.save(STATE, tmp_path / "model.safetensors")
    net = MLP().initialize(0, backend)
    load_state_dict(net, anynet.checkpoint.read(tmp_path / "model.safetensors", "numpy"))
    np.testing.assert_array_equal(host(net[2].weight), STATE["2.weight"].T)


def test_dtype_that_the_library_lacks():
    jax = pytest.importorskip("jax", reason="needs jax")
    if not hasattr(jax, "enable_x64"):
        pytest.skip(reason="an older JAX")
    state = {"weight": np.ones((2, 3)), "bias": np.ones(2)}
    net = layers.Linear(3, 2)
    with jax.enable_x64(False):
        with pytest.raises(DTypeError, match="float64 in the state, which jax cannot have here"):
            load_state_dict(net, state, backend="jax")
        load_state_dict(net.initialize(0, "jax"), state)
    assert "float32" in str(net.weight.dtype)


def test_modules_of_interop():
    assert {"onnx", "torch"} <= set(dir(anynet.interop))
    with pytest.raises(AttributeError, match="no attribute 'caffe'; it has book, onnx"):
        _ = anynet.interop.caffe
