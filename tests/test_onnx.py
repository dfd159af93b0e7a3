"""Exported networks, run by onnxruntime."""

import numpy as np
import pytest
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


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_every_layer(backend, tmp_path, name):
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
    found = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert [kind for kind in found if kind not in ("Constant", "Identity")] == ["Gemm", operator]


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_networks_of_float64_run_too(tmp_path, name):
    """Though onnxruntime has many operators for float32 only."""
    float64 = anynet.get_backend("ndonnx").xp.float64
    net = layers.Sequential(layers.Linear(6, 5), layers.activation(name), seed=0, dtype=np.float64)
    anynet.export_onnx(net, tmp_path / "net.onnx", (6,), dtype=float64)
    x = np.random.default_rng(0).normal(size=(4, 6))
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-12, atol=1e-14)


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
    assert operator in [node.op_type for node in onnx.load(path).graph.node]
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    np.testing.assert_allclose(run(path, x), net(x), rtol=1e-5, atol=1e-6)


def test_inputs_of_more_axes(tmp_path):
    net = layers.Sequential(layers.Linear(4, 3), seed=0)
    anynet.export_onnx(net, tmp_path / "net.onnx", (2, 4))
    x = np.random.default_rng(0).normal(size=(5, 2, 4)).astype("float32")
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-5, atol=1e-6)


def test_what_cannot_be_exported(tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(DataError, match="no numbers yet"):
        anynet.export_onnx(layers.Sequential(layers.Linear(4, 3)), path, (4,))
    with pytest.raises(ShapeError, match=r"layers\.0: input of shape .* does not fit"):
        anynet.export_onnx(layers.Sequential(layers.Linear(4, 3), seed=0), path, (5,))
    with pytest.raises(BackendError, match="ndonnx has no device"):
        anynet.get_backend("ndonnx:0")
    assert not path.exists()
