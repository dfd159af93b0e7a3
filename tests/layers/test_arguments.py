"""Wrong arguments of layers raise when the layer is created."""

import numpy as np
import pytest

import anynet
from anynet import layers
from anynet.errors import ArgumentError, ArgumentTypeError, DTypeError

#: Each layer with sizes that can be, by name.
SIZES = {
    layers.Linear: {"in_features": 4, "out_features": 3},
    layers.Conv2d: {"in_channels": 2, "out_channels": 4, "kernel_size": 3},
    layers.Conv1d: {"in_channels": 2, "out_channels": 4, "kernel_size": 3},
    layers.Conv3d: {"in_channels": 2, "out_channels": 4, "kernel_size": 3},
    layers.ConvTranspose1d: {"in_channels": 2, "out_channels": 4, "kernel_size": 3},
    layers.ConvTranspose2d: {
        "in_channels": 2,
        "out_channels": 4,
        "kernel_size": 3,
    },
    layers.PReLU: {"features": 3},
    layers.MaxPool1d: {"kernel_size": 2},
    layers.AvgPool1d: {"kernel_size": 2},
    layers.MaxPool2d: {"kernel_size": 2},
    layers.AvgPool2d: {"kernel_size": 2},
    layers.BatchNorm: {"features": 4},
    layers.LayerNorm: {"features": 4},
    layers.GroupNorm: {"groups": 2, "channels": 4},
    layers.RMSNorm: {"features": 4},
    layers.Embedding: {"rows": 10, "features": 4},
    layers.RNN: {"in_features": 4, "hidden_features": 3},
    layers.GRU: {"in_features": 4, "hidden_features": 3},
    layers.LSTM: {"in_features": 4, "hidden_features": 3},
    layers.MultiHeadAttention: {"features": 8, "heads": 2},
    layers.TransformerDecoderLayer: {
        "features": 8,
        "heads": 2,
        "hidden": 16,
    },
    layers.TransformerEncoderLayer: {
        "features": 8,
        "heads": 2,
        "hidden": 16,
    },
}
CASES = [(layer, name) for layer, sizes in SIZES.items() for name in sizes]


@pytest.mark.parametrize(("layer", "name"), CASES, ids=lambda x: getattr(x, "__name__", x))
def test_size_of_a_wrong_type_raises(layer, name):
    for wrong in (
        "4",
        None,
        -1,
        0,
        2.5,
        (1, 2, 3, 4),
        [3],
        np.array([1, 2]),
        True,
    ):
        with pytest.raises(ArgumentError, match="wanted"):
            layer(**SIZES[layer] | {name: wrong})


@pytest.mark.parametrize("layer", SIZES, ids=lambda x: x.__name__)
def test_sizes_may_be_integers_of_another_library(layer):
    made = layer(**{name: np.int64(size) for name, size in SIZES[layer].items()})
    assert repr(made) == repr(layer(**SIZES[layer]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: layers.Linear("4", 3),
            "in_features is '4': wanted a whole number, 1 or more",
        ),
        (
            lambda: layers.Linear(4, 3, bias="no"),
            "bias is 'no': wanted True or False",
        ),
        (
            lambda: layers.Linear(4, 3, initializer="he"),
            "initializer is 'he': wanted one of anynet.initializers",
        ),
        (
            lambda: layers.Conv1d(2, 3, (3, 5)),
            r"kernel_size is \(3, 5\): wanted a whole number, 1 or more",
        ),
        (
            lambda: layers.Conv1d(2, 3, 3, stride=(1, 2)),
            r"stride is \(1, 2\): wanted a whole number, 1 or more",
        ),
        (
            lambda: layers.PReLU(negative_slope="0.5"),
            "negative_slope is '0.5', of type str: wanted a number",
        ),
        (
            lambda: layers.Dropout("0.5"),
            "rate is '0.5', of type str: wanted a number",
        ),
        (
            lambda: layers.BatchNorm(3, epsilon=None),
            "epsilon is None, of type NoneType: wanted a number",
        ),
        (
            lambda: layers.ELU([1.0]),
            "alpha is .*, of type list: wanted a number",
        ),
        (
            lambda: layers.GELU("tanh"),
            "approximate is 'tanh': wanted True or False",
        ),
        (
            lambda: layers.parameter(3, anynet.initializers.zeros),
            "the shape of a parameter is 3: wanted a tuple",
        ),
        (
            lambda: layers.parameter((3, "a"), anynet.initializers.zeros),
            "a parameter is 'a': wanted a whole",
        ),
    ],
)
def test_settings_of_a_wrong_type_raise(make, message):
    with pytest.raises(ArgumentTypeError, match=message):
        make()


def test_scalar_array_as_setting_is_not_a_parameter(backend):
    half = backend.asarray(np.asarray(0.5))
    for layer in (
        layers.LeakyReLU(half),
        layers.ELU(np.float32(0.5)),
        layers.Dropout(half),
    ):
        assert not layer.parameters()
        assert "0.5" in repr(layer)


def test_methods_called_with_wrong_types_raise():
    net = layers.Sequential(layers.Linear(4, 3), seed=0)
    with pytest.raises(
        ArgumentTypeError,
        match=r"the path is 0: wanted one such as 'layers\.0'; or net\[0\]\.freeze",
    ):
        net.freeze(0)
    assert "frozen" not in repr(net)
    with pytest.raises(ArgumentTypeError, match="training is 'no': wanted True or False"):
        net.set_training("no")
    with pytest.raises(
        ArgumentTypeError,
        match="fn is 'float64': wanted a function of arrays",
    ):
        net.map("float64")


def test_dtype_by_name_or_of_another_library(backend):
    for dtype in (
        "float64",
        np.float64,
        np.dtype("float64"),
        backend.xp.float64,
    ):
        net = layers.Sequential(layers.Linear(2, 2), seed=0, backend=backend, dtype=dtype)
        assert net[0].weight.dtype == backend.xp.float64


@pytest.mark.parametrize("dtype", ["flot32", "int32", np.int32, bool, 3])
def test_dtype_that_is_not_floating_raises(backend, dtype):
    with pytest.raises(
        DTypeError,
        match=f"dtype is .*: wanted a floating one of {backend.name}, such as 'float32'",
    ):
        layers.Sequential(layers.Linear(2, 2), seed=0, backend=backend, dtype=dtype)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: layers.Conv3d(2, 3, (3, 5)),
            r"kernel_size is \(3, 5\): .*or three for depth, height and width",
        ),
        (
            lambda: layers.Conv3d(2, 3, 3, padding="valid"),
            "padding is 'valid': wanted a whole number of 0 or more, three, or 'same'",
        ),
        (
            lambda: layers.MaxPool1d(2, padding=2),
            "padding is 2 for a kernel of 2: wanted at most half of the kernel",
        ),
    ],
)
def test_windows_out_of_range_raise(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_prelu_of_a_scalar_is_a_scalar(backend):
    layer = layers.PReLU(negative_slope=0.5).initialize(0, backend)
    x = backend.asarray(np.asarray(-3.0, "float32"))
    out = layer(x)
    assert tuple(out.shape) == ()
    assert float(out) == -1.5
    assert float(anynet.grad(layer)(x)) == 0.5
