"""Exported networks, run by onnxruntime."""

import numpy as np
import pytest
from examples_of_layers import EXAMPLES, example
from helpers import host

import anynet
from anynet import functions, layers
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    DataError,
    ShapeError,
)

pytest.importorskip("ndonnx", reason="needs ndonnx")
onnx = pytest.importorskip("onnx", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def run(path, x):
    (found,) = run_all(path, input=x).values()
    return found


def run_all(path, **inputs):
    """Return the outputs by name."""
    session = onnxruntime.InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def operators(path):
    """Return the operators of a file, in order, without those that only pass constants on."""
    found = [node.op_type for node in onnx.load(path).graph.node]
    return [kind for kind in found if kind not in ("Constant", "Identity")]


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_every_activation_agrees_with_the_library(backend, tmp_path, name):
    """The file is valid, and takes batches of several sizes."""
    net = layers.Sequential(
        layers.Linear(6, 5),
        layers.activation(name),
        layers.Linear(5, 3, bias=False),
        seed=0,
        backend=backend,
    )
    path = tmp_path / "net.onnx"
    anynet.export_onnx(net, path, (6,))
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    for n in (1, 7):
        x = np.random.default_rng(n).normal(size=(n, 6)).astype("float32")
        np.testing.assert_allclose(
            run(path, x),
            host(net(backend.asarray(x))),
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_layer_agrees_with_the_library(backend, tmp_path, name):
    """Layers are in inference, without dropout. Loops over a sequence are unrolled."""
    net, x = example(name, backend, "float32")
    path = tmp_path / "net.onnx"
    anynet.export_onnx(net, path, tuple(x.shape[1:]))
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
        (
            layers.Conv2d(2, 4, 3, stride=2, padding=1, groups=2),
            (2, 5, 6),
            ["Conv"],
        ),
        (
            layers.Conv2d(2, 4, 3, padding="same", bias=False),
            (2, 5, 6),
            ["Conv"],
        ),
        (
            layers.ConvTranspose2d(2, 3, 3, stride=2, padding=1, bias=False),
            (2, 3, 4),
            ["ConvTranspose"],
        ),
        (layers.MaxPool2d(3, stride=2, padding=1), (2, 6, 5), ["MaxPool"]),
        (
            layers.AvgPool2d(3, stride=2, padding=1),
            (2, 6, 5),
            ["AveragePool"],
        ),
        (layers.BatchNorm(3), (3, 2, 2), ["BatchNormalization"]),
        (layers.BatchNorm(3), (3,), ["BatchNormalization"]),
        (layers.LayerNorm(4), (3, 4), ["LayerNormalization", "Mul", "Add"]),
        (layers.Embedding(7, 3), (4,), ["Gather"]),
        (layers.Dropout(0.5), (4,), []),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Module) else "",
)
def test_layers_of_onnx_export_as_one_node(tmp_path, layer, shape, wanted):
    net = layers.Sequential(layer).initialize(0)
    anynet.export_onnx(net, tmp_path / "net.onnx", shape)
    assert operators(tmp_path / "net.onnx") == wanted


def test_convolutional_network_with_running_statistics(backend, tmp_path):
    """The file contains the statistics of the training batches."""
    net = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1),
        layers.BatchNorm(4),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Residual(
            layers.Conv2d(4, 4, 3, padding="same", bias=False),
            layers.BatchNorm(4),
            layers.ReLU(),
        ),
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
    np.testing.assert_allclose(
        run(tmp_path / "net.onnx", host(x)),
        host(net(x)),
        rtol=1e-5,
        atol=1e-5,
    )
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
def test_operators_of_onnx_export_as_one_node(tmp_path, name, operator):
    net = layers.Sequential(layers.Linear(6, 5), layers.activation(name), seed=0)
    anynet.export_onnx(net, tmp_path / "net.onnx", (6,))
    assert operators(tmp_path / "net.onnx") == ["Gemm", operator]


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_networks_of_float64_run(tmp_path, name):
    """onnxruntime has many operators for float32 only."""
    net = layers.Sequential(
        layers.Linear(6, 5),
        layers.activation(name),
        seed=0,
        dtype=np.float64,
    )
    anynet.export_onnx(net, tmp_path / "net.onnx", (6,))
    x = np.random.default_rng(0).normal(size=(4, 6))
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", EXAMPLES)
def test_layers_of_float64_run(backend, tmp_path, name):
    """onnxruntime convolves and averages in float32 only, so other operators replace these."""
    net, x = example(name, backend, batch=3)
    # What has no parameters says nothing about its dtype.
    dtype = None if net.parameters() else x.dtype
    anynet.export_onnx(net, tmp_path / "net.onnx", tuple(x.shape[1:]), dtype=dtype)
    for batch in (3, 1):
        found = run(tmp_path / "net.onnx", host(x)[:batch])
        np.testing.assert_allclose(found, host(net(x[:batch, ...])), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64"), "float64"])
def test_dtypes_of_any_library_and_by_name(tmp_path, dtype):
    net = layers.Sequential(layers.Linear(6, 5), seed=0, dtype=np.float64)
    anynet.export_onnx(net, tmp_path / "net.onnx", (6,), dtype=dtype)
    x = np.random.default_rng(0).normal(size=(4, 6))
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-12)


def test_networks_of_float16_and_bfloat16(tmp_path):
    net = layers.Sequential(layers.Linear(6, 5), layers.ReLU(), seed=0, dtype=np.float16)
    anynet.export_onnx(net, tmp_path / "net.onnx", (6,))
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float16")
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=2e-3, atol=1e-3)
    torch = pytest.importorskip("torch", reason="needs torch")
    net = layers.Sequential(layers.Linear(6, 5), seed=0, backend="torch", dtype=torch.bfloat16)
    with pytest.raises(
        ArgumentError,
        match=r"a parameter is of dtype bfloat16, .*: convert it to float32",
    ):
        anynet.export_onnx(net, tmp_path / "bfloat16.onnx", (6,))


class Heads(layers.Module):
    """Several outputs, built as the test says."""

    def __init__(self, build):
        self.body, self.head, self.build = (
            layers.Linear(4, 3),
            layers.Linear(3, 2),
            build,
        )

    def forward(self, x):
        h = self.body(x)
        return self.build(h, self.head(h))


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (lambda h, y: (y, h), ["output_0", "output_1"]),
        (lambda h, y: [y, None, h], ["output_0", "output_2"]),
        (lambda h, y: {"logits": y, "hidden": h}, ["logits", "hidden"]),
        (
            lambda h, y: {"logits": y, "hidden": {"last": h, "all": [h]}},
            ["logits", "hidden.last", "hidden.all.0"],
        ),
        (lambda h, y: (y, y), ["output_0", "output_1"]),
    ],
)
def test_several_outputs(backend, tmp_path, build, names):
    net = Heads(build).initialize(0, backend)
    anynet.export_onnx(net, tmp_path / "net.onnx", (4,))
    onnx.checker.check_model(onnx.load(tmp_path / "net.onnx"), full_check=True)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    found = run_all(tmp_path / "net.onnx", input=x)
    assert list(found) == names
    for y, (_, wanted) in zip(
        found.values(),
        anynet.tree.leaves(net(backend.asarray(x))),
        strict=True,
    ):
        np.testing.assert_allclose(y, host(wanted), rtol=1e-5, atol=1e-6)


def test_wrong_names_of_outputs_raise(tmp_path):
    for build, error, message in (
        (
            lambda h, y: {"input": y},
            ArgumentError,
            "'input' is the name of an input and of an output",
        ),
        (
            lambda h, y: None,
            DataError,
            "the network returns NoneType without arrays",
        ),
    ):
        with pytest.raises(error, match=message):
            anynet.export_onnx(Heads(build).initialize(0), tmp_path / "net.onnx", (4,))


class Attends(layers.Module):
    def __init__(self):
        self.embedding, self.attention = (
            layers.Embedding(7, 4),
            layers.MultiHeadAttention(4, 2),
        )

    def forward(self, words, memory):
        return self.attention(self.embedding(words), memory)


def test_several_inputs(backend, tmp_path):
    net = Attends().initialize(0, backend)
    inputs = {"words": (3,), "memory": (5, 4)}
    anynet.export_onnx(
        net,
        tmp_path / "net.onnx",
        inputs,
        dtype={"words": "int64", "memory": "float32"},
    )
    generator = np.random.default_rng(0)
    words, memory = (
        generator.integers(0, 7, (2, 3)),
        generator.normal(size=(2, 5, 4)).astype("float32"),
    )
    found = run_all(tmp_path / "net.onnx", words=words, memory=memory)["output"]
    wanted = host(net(backend.asarray(words), backend.asarray(memory)))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", EXAMPLES)
def test_named_axes_take_any_length(tmp_path, name):
    """An export that needs the length of the axis raises."""
    net, x = example(name, anynet.get_backend("numpy"), "float32", batch=3)
    for axis in range(1, x.ndim):
        shape = tuple("length" if i == axis else n for i, n in enumerate(x.shape))[1:]
        try:
            anynet.export_onnx(net, tmp_path / "net.onnx", shape)
        except (DataError, ShapeError):
            assert name not in ("Linear", "LayerNorm", "Dropout", "Embedding") or axis > 1
            continue
        for given in (x, np.concatenate([x, x], axis=axis)):
            try:
                wanted = net(given)
            except ShapeError:
                continue
            np.testing.assert_allclose(
                run(tmp_path / "net.onnx", given),
                wanted,
                rtol=1e-5,
                atol=1e-5,
            )


def test_name_of_the_batch_axis(tmp_path):
    net = layers.Sequential(layers.LayerNorm(4), layers.Linear(4, 3), seed=0)
    anynet.export_onnx(net, tmp_path / "net.onnx", ("time", 4), batch="n")
    dims = onnx.load(tmp_path / "net.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == [
        "n",
        "time",
        4,
    ]
    for n, time in ((1, 2), (3, 1)):
        x = np.random.default_rng(0).normal(size=(n, time, 4)).astype("float32")
        np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [6, (2.5,), ("",), (-1,), (None, 4), "time"])
def test_wrong_input_shapes_raise(tmp_path, shape):
    net = layers.Sequential(layers.Linear(4, 3), seed=0)
    with pytest.raises(ArgumentError, match=r"input_shape is .*: wanted that of one input"):
        anynet.export_onnx(net, tmp_path / "net.onnx", shape)


@pytest.mark.parametrize(
    ("args", "settings", "message"),
    [
        (
            (4,),
            {},
            r"input_shape is 4: wanted that of one input, such as \(4,\), or a dict of them by "
            "name",
        ),
        (
            ("4",),
            {},
            r"input_shape is '4': wanted that of one input, such as \(784,\)",
        ),
        (
            ({"image": 4},),
            {},
            r"input_shape is 4: wanted that of one input, such as \(4,\)",
        ),
        (
            ({3: (4,)},),
            {},
            r"input_shape has an input called 3: wanted a name",
        ),
        (
            ({},),
            {},
            "input_shape is an empty dict: wanted the shape of every input",
        ),
        (
            ({"a": (4,), "b": (4,)},),
            {},
            r"input_shape has 2 inputs: wanted those of forward\(x",
        ),
        (
            ((4,),),
            {"batch": -1},
            r"batch is -1: wanted 0 or more, or a name, as 'batch', for any length",
        ),
        (((4,),), {"batch": None}, "batch is None: wanted a whole number"),
        (((4,),), {"batch": 2.0}, r"batch is 2\.0: wanted a whole number"),
        (
            ((4,),),
            {"dtype": {"inptu": "float32"}},
            "dtype names 'inptu': wanted names of inputs, which are input",
        ),
    ],
)
def test_wrong_arguments_raise(tmp_path, args, settings, message):
    net = layers.Sequential(layers.Linear(4, 3), seed=0)
    with pytest.raises(ArgumentError, match=message):
        anynet.export_onnx(net, tmp_path / "net.onnx", *args, **settings)
    assert not list(tmp_path.iterdir())


def test_export_raises_for_an_object_that_is_not_a_network(tmp_path):
    with pytest.raises(
        ArgumentTypeError,
        match=r"net is the function <lambda>: wanted a network; a function goes into",
    ):
        anynet.export_onnx(lambda x: x, tmp_path / "net.onnx", (4,))
    with pytest.raises(ArgumentTypeError, match=r"net is '.*net\.onnx': wanted a network"):
        anynet.export_onnx("net.onnx", layers.Sequential(layers.Linear(4, 3), seed=0), (4,))


def test_lengths_may_be_integers_of_another_library(tmp_path):
    net = layers.Sequential(layers.Linear(4, 3), seed=0)
    anynet.export_onnx(net, tmp_path / "net.onnx", (np.int64(4),), batch=np.int32(2))
    assert (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize(
    "layer",
    [layers.BatchNorm(4), layers.Dropout(0.5), layers.Linear(4, 4)],
    ids=repr,
)
def test_network_in_training_mode_raises(tmp_path, layer):
    """The file would compute other results than the network."""
    net = layers.Sequential(layers.Linear(4, 4), layer, seed=0)
    layer.set_training(True)
    with pytest.raises(
        ArgumentError,
        match=r"layers\.1 is in training mode.* call net\.set_training\(None\) first",
    ):
        anynet.export_onnx(net, tmp_path / "net.onnx", (4,))
    anynet.export_onnx(net.set_training(False), tmp_path / "net.onnx", (4,))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), net(x), rtol=1e-5, atol=1e-6)


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
        (
            layers.Linear(4, 3),
            r"input of shape \(None, 2, 5, 5\) does not fit weights of shape \(4, 3\)",
        ),
        (layers.Conv2d(1, 2, 3), "input of 2 channels does not fit"),
        (
            layers.Conv2d(2, 2, 3, dilation=3),
            "a kernel of 3×3, which reaches over 7×7, is larger",
        ),
        (layers.MaxPool2d(6), "a kernel of 6×6"),
        (layers.AvgPool2d(6), "a kernel of 6×6"),
    ],
)
def test_shapes_that_do_not_fit_raise(tmp_path, layer, message):
    """The file would be valid, and fail when it runs."""
    with pytest.raises(ShapeError, match=rf"layers\.0: {message}"):
        anynet.export_onnx(
            layers.Sequential(layer).initialize(0),
            tmp_path / "net.onnx",
            (2, 5, 5),
        )


def test_embeddings_take_integers(tmp_path):
    net = layers.Sequential(layers.Embedding(7, 3), seed=0)
    anynet.export_onnx(net, tmp_path / "net.onnx", (4,))
    x = np.array([[0, 6, 3, 3]])
    np.testing.assert_array_equal(run(tmp_path / "net.onnx", x), net(x))
    with pytest.raises(
        DataError,
        match=r"layers\.0: indices of float32 were given: wanted integers",
    ):
        anynet.export_onnx(net, tmp_path / "net.onnx", (4,), dtype="float32")


def test_networks_that_cannot_be_exported_raise(tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(DataError, match="not initialized"):
        anynet.export_onnx(layers.Sequential(layers.Linear(4, 3)), path, (4,))
    with pytest.raises(ShapeError, match=r"layers\.0: input of shape .* does not fit"):
        anynet.export_onnx(layers.Sequential(layers.Linear(4, 3), seed=0), path, (5,))
    with pytest.raises(BackendError, match="ndonnx has no device"):
        anynet.get_backend("ndonnx:0")
    assert not path.exists()


class InNumPy(layers.Module):
    """A layer in NumPy's functions and methods."""

    def __init__(self, f):
        self.linear = layers.Linear(4, 3)
        self.f = f

    def forward(self, x):
        return self.f(self.linear(x))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True),
        lambda x: np.argmax(x, axis=-1),
        lambda x: x - x.mean(axis=0),
        lambda x: np.where(x > 0, x, 0.1 * x),
        lambda x: np.concatenate([x, x.reshape(-1, 3) ** 2], axis=1),
        lambda x: x @ np.ones((3, 2), "float32") + np.arange(2, dtype="float32"),
    ],
)
def test_networks_written_with_numpy(tmp_path, f):
    """NumPy alone treats the arrays of the file as arrays without axes, whose argmax is 0."""
    net = InNumPy(f).initialize(0)
    path = tmp_path / "net.onnx"
    anynet.export_onnx(net, path, (4,))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(run(path, x), net(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "f",
    [lambda x: x if np.sum(x) > 0 else -x, lambda x: x * float(np.sum(x))],
)
def test_networks_that_use_values_raise(tmp_path, f):
    with pytest.raises(
        DataError,
        match=r"uses the value of an array, as `if x > 0` and float\(x\) do",
    ):
        anynet.export_onnx(InNumPy(f).initialize(0), tmp_path / "net.onnx", (4,), batch=5)


def test_network_that_needs_the_length_of_a_named_axis_raises(tmp_path):
    class Halves(layers.Module):
        """The first half of an axis, whose length is a Python integer."""

        def forward(self, x, y):
            return x[:, : x.shape[1] // 2] * y[:, :1]

    path = tmp_path / "net.onnx"
    with pytest.raises(
        DataError,
        match=r"any length of axis 0 of 'x', axis 1 of 'x', axis 0 of 'y' \(",
    ):
        anynet.export_onnx(Halves(), path, {"x": ("time",), "y": (3,)})
    assert not path.exists()
    anynet.export_onnx(Halves(), path, {"x": (4,), "y": (3,)})
    x, y = np.ones((2, 4), "f4"), np.full((2, 3), 2, "f4")
    assert run_all(path, x=x, y=y)["output"].tolist() == [[2, 2], [2, 2]]
