"""Exported networks, run by onnxruntime."""

import numpy as np
import pytest
from examples_of_layers import EXAMPLES, example
from helpers import host

import anynet
from anynet import functions, layers
from anynet.errors import BackendError, DataError, ShapeError

pytest.importorskip("ndonnx", reason="needs ndonnx")
onnx = pytest.importorskip("onnx", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def run(path, x):
    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, {"input": x})[0]


def operators(path):
    """Return the operators of a file, in order, without those that only pass constants on."""
    found = [node.op_type for node in onnx.load(path).graph.node]
    return [kind for kind in found if kind not in ("Constant", "Identity")]


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_every_activation(backend, tmp_path, name):
    """The checker passes it, and for batches of several sizes the outputs are those on the network's own library."""
    net = layers.Sequential(
        layers.Linear(6, 5), layers.activation(name), layers.Linear(5, 3, bias=False), seed=0, backend=backend
    )
    path = tmp_path / "net.onnx"
    anynet.export_onnx(net, path, (6,))
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    for n in (1, 7):
        x = np.random.default_rng(n).normal(size=(n, 6)).astype("float32")
        np.testing.assert_allclose(run(path, x), host(net(backend.asarray(x))), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_layer(backend, tmp_path, name):
    """In inference, so that dropout leaves nothing out; loops over a sequence are unrolled."""
    net, x = example(name, backend, "float32")
    path, integers = tmp_path / "net.onnx", anynet.get_backend("ndonnx").xp.int64
    anynet.export_onnx(net, path, tuple(x.shape[1:]), dtype=integers if name == "Embedding" else None)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    for batch in (1, 5):
        _, x = example(name, backend, "float32", batch)
        wanted, found = host(net(x)), run(path, host(x))
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (layers.Linear(6, 3), (6,), ["Gemm"]),
        (layers.Linear(6, 3), (2, 6), ["MatMul", "Add"]),
        (layers.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), (2, 5, 6), ["Conv"]),
        (layers.Conv2d(2, 4, 3, padding="same", bias=False), (2, 5, 6), ["Conv"]),
        (layers.ConvTranspose2d(2, 3, 3, stride=2, padding=1, bias=False), (2, 3, 4), ["ConvTranspose"]),
        (layers.MaxPool2d(3, stride=2, padding=1), (2, 6, 5), ["MaxPool"]),
        (layers.AvgPool2d(3, stride=2, padding=1), (2, 6, 5), ["AveragePool"]),
        (layers.BatchNorm(3), (3, 2, 2), ["BatchNormalization"]),
        (layers.BatchNorm(3), (3,), ["BatchNormalization"]),
        (layers.LayerNorm(4), (3, 4), ["LayerNormalization", "Mul", "Add"]),
        (layers.Embedding(7, 3), (4,), ["Gather"]),
        (layers.Dropout(0.5), (4,), []),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Module) else "",
)
def test_layers_of_onnx_come_out_as_one(tmp_path, layer, shape, wanted):
    integers = anynet.get_backend("ndonnx").xp.int64
    net = layers.Sequential(layer).initialize(0)
    anynet.export_onnx(net, tmp_path / "net.onnx", shape, dtype=integers if wanted == ["Gather"] else None)
    assert operators(tmp_path / "net.onnx") == wanted


def test_a_network_of_images(backend, tmp_path):
    """The running statistics are those of the batches that were seen, and go into the file."""
    net = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1),
        layers.BatchNorm(4),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Residual(layers.Conv2d(4, 4, 3, padding="same", bias=False), layers.BatchNorm(4), layers.ReLU()),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Linear(64, 10),
        seed=0,
        backend=backend,
    )
    x = backend.asarray(np.random.default_rng(0).normal(2, 3, (6, 1, 8, 8)).astype("float32"))
    net.set_training(True)(x)
    net.set_training(None)
    anynet.export_onnx(net, tmp_path / "net.onnx", (1, 8, 8))
    np.testing.assert_allclose(run(tmp_path / "net.onnx", host(x)), host(net(x)), rtol=1e-5, atol=1e-5)
    kinds = "Conv BatchNormalization Relu MaxPool Conv BatchNormalization Relu Add Reshape Gemm"
    assert operators(tmp_path / "net.onnx") == kinds.split()


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        ("elu", "Elu"),
        ("gelu", "Gelu"),
        ("hard_sigmoid", "HardSigmoid"),
        ("leaky_relu", "LeakyRelu"),
        ("log_softmax", "LogSoftmax"),
        ("mish", "Mish"),
        ("relu", "Relu"),
        ("selu", "Selu"),
        ("sigmoid", "Sigmoid"),
        ("softmax", "Softmax"),
        ("softplus", "Softplus"),
        ("tanh", "Tanh"),
    ],
)
def test_operators_of_onnx_come_out_as_one(tmp_path, name, operator):
    net = layers.Sequential(layers.Linear(6, 5), layers.activation(name), seed=0)
    anynet.export_onnx(net, tmp_path / "net.onnx", (6,))
    assert operators(tmp_path / "net.onnx") == ["Gemm", operator]


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_networks_of_float64_run_too(tmp_path, name):
    """Though onnxruntime has many operators for float32 only."""
    float64 = anynet.get_backend("ndonnx").xp.float64
    net = layers.Sequential(layers.Linear(6, 5), layers.activation(name), seed=0, dtype=np.float64)
    anynet.export_onnx(net, tmp_path / "net.onnx", (6,), dtype=float64)
    x = np.random.default_rng(0).normal(size=(4, 6))
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-12, atol=1e-14)


# onnxruntime convolves and averages in float32 only.
@pytest.mark.parametrize("name", [name for name in EXAMPLES if not name.startswith(("Conv", "AvgPool"))])
def test_layers_of_float64_run_too(tmp_path, name):
    ndonnx, numpy = anynet.get_backend("ndonnx"), anynet.get_backend("numpy")
    net, x = example(name, numpy, batch=3)
    anynet.export_onnx(net, tmp_path / "net.onnx", x.shape[1:], dtype=getattr(ndonnx.xp, str(x.dtype)))
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-12, atol=1e-12)


class ErrorFunction(layers.Module):
    def forward(self, x):
        return functions.erf(x)


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (layers.ELU(0.5), "Elu"),
        (layers.GELU(approximate=True), "Gelu"),
        (layers.LeakyReLU(0.3), "LeakyRelu"),
        (ErrorFunction(), "Erf"),
    ],
    ids=["alpha", "approximate", "negative_slope", "erf"],
)
def test_settings_go_into_the_operator(tmp_path, layer, operator):
    path = tmp_path / "net.onnx"
    anynet.export_onnx(layers.Sequential(layers.Linear(6, 5), layer, seed=0), path, (6,))
    net = layers.Sequential(layers.Linear(6, 5), layer, seed=0)
    assert operator in operators(path)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    np.testing.assert_allclose(run(path, x), net(x), rtol=1e-5, atol=1e-6)


def test_inputs_of_more_axes(tmp_path):
    net = layers.Sequential(layers.Linear(4, 3), seed=0)
    anynet.export_onnx(net, tmp_path / "net.onnx", (2, 4))
    x = np.random.default_rng(0).normal(size=(5, 2, 4)).astype("float32")
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.Linear(4, 3), r"input of shape \(None, 2, 5, 5\) does not fit weights of shape \(4, 3\)"),
        (layers.Conv2d(1, 2, 3), "input of 2 channels does not fit"),
        (layers.Conv2d(2, 2, 3, dilation=3), "a kernel of 3×3, which reaches over 7×7, is larger"),
        (layers.MaxPool2d(6), "a kernel of 6×6"),
        (layers.AvgPool2d(6), "a kernel of 6×6"),
    ],
)
def test_shapes_that_do_not_fit(tmp_path, layer, message):
    """The file would be valid, and fail wherever it is run."""
    with pytest.raises(ShapeError, match=rf"layers\.0: {message}"):
        anynet.export_onnx(layers.Sequential(layer).initialize(0), tmp_path / "net.onnx", (2, 5, 5))


def test_embeddings_need_integers(tmp_path):
    net = layers.Sequential(layers.Embedding(7, 3), seed=0)
    with pytest.raises(DataError, match=r"layers\.0: indices of float32 were given: wanted integers"):
        anynet.export_onnx(net, tmp_path / "net.onnx", (4,))


def test_what_cannot_be_exported(tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(DataError, match="no numbers yet"):
        anynet.export_onnx(layers.Sequential(layers.Linear(4, 3)), path, (4,))
    with pytest.raises(ShapeError, match=r"layers\.0: input of shape .* does not fit"):
        anynet.export_onnx(layers.Sequential(layers.Linear(4, 3), seed=0), path, (5,))
    with pytest.raises(BackendError, match="ndonnx has no device"):
        anynet.get_backend("ndonnx:0")
    assert not path.exists()
