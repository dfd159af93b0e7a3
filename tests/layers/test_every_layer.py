"""Laws of all layers: derivatives match, no value is read, no array is written into."""

import numpy as np
import pytest
from examples_of_layers import EXAMPLES, everything, example
from helpers import host

import anynet
from anynet import layers, optimizers
from anynet.array import array_namespace, device, is_floating
from anynet.errors import ArgumentError, DataError, DTypeError, ShapeError


def distance(y):
    xp = array_namespace(y)
    targets = xp.cos(xp.arange(int(np.prod(y.shape)), dtype=y.dtype, device=device(y)))
    return xp.sum((y - xp.reshape(targets, y.shape)) ** 2)


@pytest.mark.parametrize("name", EXAMPLES)
def test_gradients_match_numerical_ones(backend, name):
    net, x = example(name, backend)
    if net.parameters():
        assert anynet.check_gradients(
            lambda net: distance(net(x)),
            net,
            every_element=False,
            directions=2,
        )
    if is_floating(x):
        assert anynet.check_gradients(
            lambda x: distance(net(x)), x, every_element=False, directions=2
        )
        net.set_training(True)
        keys = net.buffers()
        again = lambda x: distance(net.map(lambda a: a)(x))
        assert anynet.check_gradients(again, x, every_element=False, directions=2)
        assert net.buffers().keys() == keys.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_second_derivatives(backend, name):
    if backend.name == "jax" and name.startswith(("Transformer", "LSTM of")):
        pytest.skip(reason="JAX compiles for too long; its parts are tested")
    net, x = example(name, backend)
    if is_floating(x) and name != "Flatten":
        net.set_training(name == "BatchNorm")
        slope = anynet.grad(lambda x: distance(net.map(lambda a: a)(x)))
        squared = lambda x: array_namespace(x).sum(slope(x) ** 2)
        assert anynet.check_gradients(squared, x, every_element=False, directions=2)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if not name.startswith("Transformer")])
def test_second_derivatives_by_parameters(backend, name):
    """A penalty on the gradient of the weights needs them."""
    if backend.name == "jax":
        pytest.skip(reason="JAX compiles for too long; the rules are the same on all libraries")
    net, x = example(name, backend)
    if net.parameters():
        net.set_training(False)
        slope = anynet.grad(lambda net: distance(net(x)))
        squared = lambda net: sum(
            array_namespace(g).sum(g**2) for g in slope(net).parameters().values()
        )
        assert anynet.check_gradients(squared, net, every_element=False, directions=2)


def test_training_step_reads_no_value(strictest, optimizer):
    net, inputs = everything(strictest)
    loss = steps(net, inputs, optimizer)
    assert {x.device for x in (loss, *net.parameters().values(), *net.buffers().values())} == {
        strictest.device
    }


def test_training_step_writes_into_no_array(optimizer):
    net, inputs = everything(anynet.get_backend("numpy"))
    given = [
        *inputs.values(),
        *net.parameters().values(),
        *net.buffers().values(),
    ]
    for x in given:
        x.flags.writeable = False
    before = [x.copy() for x in given]
    steps(net, inputs, optimizer)
    net.set_training(True)(inputs)
    for x, was in zip(given, before, strict=True):
        np.testing.assert_array_equal(x, was)


def test_step_changes_all_parameters_and_buffers(backend, optimizer):
    net, inputs = everything(backend)
    before = {path: host(x).copy() for path, x in (net.parameters() | net.buffers()).items()}
    steps(net, inputs, optimizer)
    same = [path for path, x in before.items() if np.array_equal(host(net[path]), x)]
    assert same == []


@pytest.fixture(
    params=[
        optimizers.SGD,
        optimizers.Momentum,
        optimizers.Adam,
        optimizers.AdamW,
    ]
)
def optimizer(request):
    return request.param(0.01)


def steps(net, inputs, optimizer):
    """Train for two steps, look at the outputs, and return the last loss."""
    step = anynet.value_and_grad(lambda net: sum(distance(y) for y in net(inputs).values()))
    for _ in range(2):
        loss, grads = step(net)
        optimizer.update(net, grads)
    net(inputs)
    return loss


def test_network_of_many_layers_learns(backend):
    net = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1),
        layers.BatchNorm(4),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Residual(layers.Conv2d(4, 4, 3, padding="same"), layers.GroupNorm(2, 4)),
        layers.Flatten(),
        layers.Dropout(0.1),
        layers.Linear(64, 3),
        seed=0,
        backend=backend,
    )
    generator = np.random.default_rng(0)
    t = generator.integers(0, 3, 30)
    x = generator.normal(size=(30, 1, 8, 8)).astype("float32") * 0.3
    for i, label in enumerate(t):
        x[i, 0, 2 * label : 2 * label + 2] += 1
    history = anynet.fit(
        net,
        (backend.asarray(x), backend.asarray(t)),
        epochs=6,
        batch_size=10,
        progress=False,
        metric=None,
        optimizer=optimizers.SGD(0.1),
    )
    assert history.epochs[-1].loss < 0.3 * history.epochs[0].loss
    assert anynet.evaluate(net, (backend.asarray(x), backend.asarray(t))) > 0.9


@pytest.mark.parametrize(
    ("make", "shape", "error", "message"),
    [
        (
            lambda: layers.Conv2d(1, 2, 5),
            (2, 1, 3, 9),
            ShapeError,
            r"layers\.0: a kernel of 5×5.*padded image of 3×9",
        ),
        (
            lambda: layers.MaxPool2d(4),
            (2, 1, 3, 9),
            ShapeError,
            r"layers\.0: a kernel of 4×4.*padded image of 3×9",
        ),
        (
            lambda: layers.Conv2d(3, 2, 1),
            (2, 1, 3, 3),
            ShapeError,
            r"layers\.0: input of 1 channels.*wanted 3",
        ),
        (
            lambda: layers.Conv2d(4, 2, 1, groups=2),
            (2, 2, 3, 3),
            ShapeError,
            "in 2 groups: wanted 4 channels",
        ),
        (
            lambda: layers.Conv2d(3, 2, 1),
            (2, 3),
            ShapeError,
            r"layers\.0: input of shape \(2, 3\): wanted images",
        ),
        (
            lambda: layers.AvgPool2d(2),
            (2, 3),
            ShapeError,
            r"layers\.0: input of shape \(2, 3\): wanted images",
        ),
        (
            lambda: layers.GlobalAvgPool2d(),
            (2, 3),
            ShapeError,
            r"layers\.0: input of shape \(2, 3\): wanted images",
        ),
        (
            lambda: layers.Conv1d(3, 2, 1),
            (2, 3),
            ShapeError,
            r"layers\.0: input of shape \(2, 3\): wanted sequences",
        ),
        (
            lambda: layers.ConvTranspose1d(3, 2, 1),
            (2, 1, 3),
            ShapeError,
            r"layers\.0: .*wanted sequences of 3 channels",
        ),
        (
            lambda: layers.Conv3d(3, 2, 1),
            (2, 1, 3, 3, 3),
            ShapeError,
            r"layers\.0: .*wanted volumes of 3 channels",
        ),
        (
            lambda: layers.Conv3d(1, 2, (4, 1, 2)),
            (2, 1, 3, 9, 9),
            ShapeError,
            r"layers\.0: a kernel of 4×1×2.*padded image of 3×9×9",
        ),
        (
            lambda: layers.MaxPool1d(2),
            (2, 3),
            ShapeError,
            r"layers\.0: input of shape \(2, 3\): wanted sequences",
        ),
        (
            lambda: layers.AvgPool1d(4),
            (2, 1, 3),
            ShapeError,
            r"layers\.0: a kernel of 1×4.*padded image of 1×3",
        ),
        (
            lambda: layers.PReLU(3),
            (2, 4),
            ShapeError,
            r"layers\.0: input of shape \(2, 4\): wanted 3 features",
        ),
        (
            lambda: layers.ConvTranspose2d(3, 2, 1),
            (2, 1, 3, 3),
            ShapeError,
            r"layers\.0: .*wanted images of 3",
        ),
        (lambda: layers.BatchNorm(3), (2, 4), ShapeError, r"layers\.0: .*wanted 3 features"),
        (lambda: layers.LayerNorm(3), (2, 4), ShapeError, r"layers\.0: .*wanted 3 features"),
        (lambda: layers.GroupNorm(1, 3), (2, 4), ShapeError, r"layers\.0: .*wanted 3 channels"),
        (
            lambda: layers.MultiHeadAttention(4, 2),
            (2, 4),
            ShapeError,
            r"layers\.0: sequences of shape",
        ),
        (lambda: layers.LSTM(4, 2), (2, 4), ShapeError, r"layers\.0: sequences of shape"),
        (
            lambda: layers.GRU(4, 2),
            (2, 0, 4),
            ShapeError,
            r"layers\.0: sequences of shape .*: .*length 1 or more",
        ),
        (
            lambda: layers.LSTM(3, 2),
            (2, 5, 4),
            ShapeError,
            r"layers\.0: input of shape \(2, 5, 4\) does not fit",
        ),
    ],
)
def test_input_of_a_wrong_shape_raises(backend, make, shape, error, message):
    net = layers.Sequential(make(), seed=0, backend=backend)
    with pytest.raises(error, match=message):
        net(backend.asarray(np.zeros(shape, "float32")))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: layers.Conv2d(3, 4, 3, groups=2),
            "4 and 3 channels in 2 groups",
        ),
        (
            lambda: layers.Conv2d(4, 3, 3, groups=2),
            "3 and 4 channels in 2 groups",
        ),
        (
            lambda: layers.Conv2d(4, 4, 3, groups=0),
            "4 and 4 channels in 0 groups",
        ),
        (
            lambda: layers.MaxPool2d(3, padding=2),
            r"padding is \(2, 2\) .*wanted at most half of the kernel",
        ),
        (
            lambda: layers.Conv2d(3, 4, 0),
            "kernel_size is 0: wanted a whole number of 1 or more",
        ),
        (
            lambda: layers.Conv2d(3, 4, 3, stride=(1, 2, 3)),
            r"stride is \(1, 2, 3\)",
        ),
        (
            lambda: layers.Conv2d(3, 4, 3, padding=-1),
            "padding is -1: wanted a whole number of 0 or more",
        ),
        (
            lambda: layers.Conv2d(3, 4, 3, padding="full"),
            "padding is 'full': wanted .*'same'",
        ),
        (lambda: layers.GroupNorm(2, 3), "3 channels in 2 groups"),
        (lambda: layers.GroupNorm(0, 3), "3 channels in 0 groups"),
        (lambda: layers.MultiHeadAttention(5, 2), "5 features for 2 heads"),
        (lambda: layers.MultiHeadAttention(4, 0), "4 features for 0 heads"),
    ],
)
def test_settings_out_of_range_raise(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_embedding_index_out_of_range(backend):
    net = layers.Sequential(layers.Embedding(5, 9), seed=0, backend=backend)
    assert net(backend.asarray(np.array([[0, 4]]))).shape == (1, 2, 9)
    for index in (5, -1):
        found, error = outcome(lambda index=index: net(backend.asarray(np.array([[0, index]]))))
        if error is None:
            # A device that is not waited for gives NaN, or some row of the table.
            assert found.shape == (1, 2, 9)
        else:
            assert str(error) == f"layers.0: index {index} is outside the table of 5 rows"


def test_integer_pixels_raise(backend):
    """A mean of integers would be cut off."""
    images = backend.asarray(np.full((1, 1, 2, 2), 200, "uint8"))
    net = layers.Sequential(layers.AvgPool2d(2))
    with pytest.raises(
        DTypeError,
        match=r"^layers\.0: avg_pool2d: an array of .*uint8 was given: wanted .*astype",
    ):
        net(images)
    assert host(net(backend.xp.astype(images, backend.xp.float32))) == 200


def test_embedding_takes_any_integer_dtype(backend):
    net = layers.Embedding(256, 2).initialize(0, backend)
    found = net(backend.asarray(np.array([1, 255], "uint8")))
    np.testing.assert_array_equal(host(found), host(net.weight)[[1, 255]])


def outcome(f):
    """Return the result and None, or None and the DataError."""
    try:
        return host(f()), None
    except DataError as error:
        return None, error


def test_attention_row_without_keys_raises_or_gives_nan(backend):
    layer = layers.MultiHeadAttention(4, 2).initialize(0, backend)
    x = backend.asarray(np.ones((2, 3, 4), "float32"))
    valid = backend.asarray(np.array([[True, True, False], [False, False, False]]))
    ours = host(layer(x, key_mask=backend.asarray(np.array([[True, True, False]] * 2))))
    assert np.isfinite(ours).all()
    found, error = outcome(lambda: layer(x, key_mask=valid))
    if error is None:
        assert np.isnan(found[1]).all()
        assert np.isfinite(found[0]).all()
    else:
        assert "row (1, 0, 0) of the mask, of shape (2, 1, 1, 3), allows no key" in str(error)


def test_attention_ignores_padding(backend):
    """Values behind the mask make no difference."""
    layer = layers.TransformerEncoderLayer(4, 2, 8).initialize(0, backend)
    data = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
    other = data.copy()
    other[0, 2] = 9
    valid = backend.asarray(np.array([[True, True, False]]))
    first, second = (host(layer(backend.asarray(x), key_mask=valid))[0, :2] for x in (data, other))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    causal, changed = (host(layer(backend.asarray(x), causal=True))[0, :2] for x in (data, other))
    np.testing.assert_allclose(causal, changed, rtol=1e-5)


WITHOUT_BIAS = {
    "Linear": (lambda: layers.Linear(3, 2, bias=False), ["weight"]),
    "Conv1d": (lambda: layers.Conv1d(3, 2, 2, bias=False), ["weight"]),
    "Conv2d": (lambda: layers.Conv2d(3, 2, 2, bias=False), ["weight"]),
    "ConvTranspose2d": (
        lambda: layers.ConvTranspose2d(3, 2, 2, bias=False),
        ["weight"],
    ),
    "MultiHeadAttention": (
        lambda: layers.MultiHeadAttention(4, 2, bias=False),
        ["query.weight", "key.weight", "value.weight", "out.weight"],
    ),
}


@pytest.mark.parametrize("name", WITHOUT_BIAS)
def test_layers_without_bias(backend, name):
    """The parameters are the weights alone, and zeros stay zeros."""
    make, paths = WITHOUT_BIAS[name]
    layer = make().initialize(0, backend)
    assert list(layer.parameters()) == paths
    shape = {
        "Linear": (2, 3),
        "Conv1d": (2, 3, 5),
        "MultiHeadAttention": (2, 3, 4),
    }.get(name, (2, 3, 5, 5))
    assert not host(layer(backend.asarray(np.zeros(shape, "float32")))).any()
