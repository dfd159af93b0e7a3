"""Networks with weights in the book's file format compute what plain NumPy computes from them."""

import hashlib
import pickle

import numpy as np
import pytest
from helpers import host
from notebook_cells import definitions

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
from anynet.interop import book


def convolve(x, weight, bias, padding=0):
    """Return the convolution of images (N, C, H, W) with a weight (FN, C, FH, FW), from its
    definition.
    """
    sides = (padding, padding)
    padded = np.pad(x, ((0, 0), (0, 0), sides, sides))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,fcij->nfhw", windows, weight) + bias[:, None, None]


def relu(x):
    return np.maximum(x, 0)


def pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def file_of_the_book(path, shapes, dtype="float64"):
    """Write W1, b1, W2, … with random values, and return them."""
    generator = np.random.default_rng(0)
    arrays = {}
    for i, shape in enumerate(shapes, 1):
        inputs, outputs = (np.prod(shape[1:]), shape[0]) if len(shape) == 4 else shape
        arrays[f"W{i}"] = (generator.normal(size=shape) / np.sqrt(inputs)).astype(dtype)
        arrays[f"b{i}"] = generator.normal(size=outputs).astype(dtype)
    path.write_bytes(pickle.dumps(arrays))
    return arrays


SIMPLE = [(30, 1, 5, 5), (4320, 100), (100, 10)]


def simple_in_numpy(p, x):
    x = pool(relu(convolve(x, p["W1"], p["b1"])))
    x = relu(x.reshape(len(x), -1) @ p["W2"] + p["b2"])
    return x @ p["W3"] + p["b3"]


DEEP = [
    (16, 1, 3, 3),
    (16, 16, 3, 3),
    (32, 16, 3, 3),
    (32, 32, 3, 3),
    (64, 32, 3, 3),
    (64, 64, 3, 3),
    (1024, 50),
    (50, 10),
]


def deep_in_numpy(p, x):
    """In inference the book multiplies by one minus the rate of a dropout."""
    for i in range(1, 7):
        x = relu(convolve(x, p[f"W{i}"], p[f"b{i}"], 2 if i == 4 else 1))
        x = x if i % 2 else pool(x)
    x = relu(x.reshape(len(x), -1) @ p["W7"] + p["b7"]) * 0.5
    return (x @ p["W8"] + p["b8"]) * 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("notebook", "function", "shapes", "reference"),
    [
        ("chapter7", "simple_conv_net", SIMPLE, simple_in_numpy),
        ("chapter8", "deep_conv_net", DEEP, deep_in_numpy),
    ],
    ids=["chapter 7", "chapter 8"],
)
def test_networks_of_the_notebooks(backend, tmp_path, notebook, function, shapes, reference, dtype):
    arrays = file_of_the_book(tmp_path / "w.pkl", shapes, dtype)
    net = definitions(notebook)[function]().initialize(seed=1, backend=backend)
    book.load_weights(net, tmp_path / "w.pkl")
    x = np.random.default_rng(1).uniform(size=(2, 1, 28, 28)).astype("float32")
    expected = reference(arrays, x)
    run = anynet.compile(lambda net, x: net(x)) if backend.name == "jax" else type(net).__call__
    outputs = host(run(net, backend.asarray(x)))
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_fills_an_uninitialized_network(backend, tmp_path):
    arrays = file_of_the_book(tmp_path / "w.pkl", [(4, 3), (3, 2)], "float32")
    net = layers.Sequential(layers.Linear(4, 3), layers.Sigmoid(), layers.Linear(3, 2))
    book.load_weights(net, tmp_path / "w.pkl", backend=backend)
    for name, path in {"W1": "layers.0.weight", "b2": "layers.2.bias"}.items():
        np.testing.assert_array_equal(host(net[path]), arrays[name])


def test_numbers_layers_by_definition_in_nested_networks(tmp_path):
    class Branches(layers.Module):
        def __init__(self):
            self.first = layers.Linear(2, 2)
            self.rest = [layers.Sequential(layers.Linear(2, 3)), layers.Linear(3, 1)]

    arrays = file_of_the_book(tmp_path / "w.pkl", [(2, 2), (2, 3), (3, 1)])
    net = Branches()
    book.load_weights(net, tmp_path / "w.pkl", backend="numpy")
    for i, path in enumerate(("first", "rest.0.layers.0", "rest.1"), 1):
        np.testing.assert_array_equal(net[path].weight, arrays[f"W{i}"])


def test_network_of_one_layer(tmp_path):
    arrays = file_of_the_book(tmp_path / "w.pkl", [(2, 3)])
    net = layers.Linear(2, 3)
    book.load_weights(net, tmp_path / "w.pkl", backend="numpy")
    np.testing.assert_array_equal(net.weight, arrays["W1"])


def test_dropout_scales_in_inference_and_not_in_training(backend):
    x = backend.asarray(np.full((1000,), 3.0, "float32"))
    layer = book.Dropout(0.25).initialize(seed=0, backend=backend)
    np.testing.assert_array_equal(host(layer(x)), np.full(1000, 2.25, "float32"))
    trained = host(layer.set_training(True)(x))
    np.testing.assert_allclose(np.unique(trained), [0.0, 3.0], rtol=1e-6)
    assert 200 < np.sum(trained == 0) < 300


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (layers.Sequential(layers.Linear(4, 3)), PathError, "it has W2"),
        (layers.Sequential(layers.Linear(4, 3), layers.Linear(3, 5)), ShapeError, "W2"),
        (
            layers.Sequential(layers.Linear(4, 3, bias=False), layers.Linear(3, 2)),
            PathError,
            "it has b1",
        ),
        (
            layers.Sequential(*[layers.Linear(4, 3), layers.Linear(3, 2), layers.Linear(2, 2)]),
            PathError,
            "it lacks W3",
        ),
        (
            layers.Sequential(layers.Linear(4, 3), layers.BatchNorm(3), layers.Linear(3, 2)),
            ArgumentError,
            "layers.1.weight, layers.1.bias",
        ),
        (
            layers.Sequential(layers.Linear(4, 3), layers.Dropout(0.5), layers.Linear(3, 2)),
            ArgumentError,
            r"layers.1 is a layers.Dropout.*wanted anynet.interop.book.Dropout\(0.5\)",
        ),
        ([np.ones((4, 3))], ArgumentTypeError, "wanted a layers.Module"),
    ],
)
def test_networks_that_do_not_fit(tmp_path, net, error, message):
    file_of_the_book(tmp_path / "w.pkl", [(4, 3), (3, 2)])
    with pytest.raises(error, match=message):
        book.load_weights(net, tmp_path / "w.pkl", backend="numpy")


def test_an_error_leaves_the_network_as_it_was(tmp_path):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"W1": np.ones((2, 2)), "b1": np.ones(2, "int64")}))
    net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    before = net[0].weight.copy()
    with pytest.raises(DTypeError, match="b1 is int64"):
        book.load_weights(net, path)
    np.testing.assert_array_equal(net[0].weight, before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a file that stands for that of chapter 7."""
    content = b"the weights"
    path = tmp_path / "params.pkl"
    path.write_bytes(content)
    known = book._File("ch07", (hashlib.sha256(content).hexdigest(),))
    monkeypatch.setitem(book.FILES, "params.pkl", known)
    monkeypatch.setenv("ANYNET_BOOK_DIR", str(tmp_path))
    return tmp_path


def test_fetch_finds_a_file_in_the_users_folder(folder):
    assert book.fetch("params.pkl") == folder / "params.pkl"


def test_fetch_finds_a_file_in_the_cache(folder, monkeypatch):
    monkeypatch.delenv("ANYNET_BOOK_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    (folder / "anynet" / "book").mkdir(parents=True)
    (folder / "params.pkl").rename(folder / "anynet" / "book" / "params.pkl")
    assert book.fetch("params.pkl").parent == folder / "anynet" / "book"


def test_fetch_raises_for_what_it_cannot_find(folder, monkeypatch):
    with pytest.raises(DataError, match=r"sample_weight\.pkl is not there: put .* from https://"):
        book.fetch("sample_weight.pkl")
    (folder / "params.pkl").write_bytes(b"others")
    with pytest.raises(DataError, match="is damaged, or is another file"):
        book.fetch("params.pkl")
    with pytest.raises(ArgumentError, match=r"did you mean 'params\.pkl'.*wanted one of"):
        book.fetch("param.pkl")
    monkeypatch.delenv("ANYNET_BOOK_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setenv("ANYNET_OFFLINE", "1")
    with pytest.raises(DataError, match="ANYNET_OFFLINE is set"):
        book.fetch("params.pkl")


def test_fetch_downloads_and_checks(folder, monkeypatch):
    pooch = pytest.importorskip("pooch", reason="needs pooch")
    addresses = []

    def download(self, url, file, _):
        addresses.append(url)
        file.write(content)

    monkeypatch.delenv("ANYNET_BOOK_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", download)
    content = b"others"
    with pytest.raises(DataError, match="could not be fetched"):
        book.fetch("params.pkl")
    content = b"the weights"
    assert book.fetch("params.pkl").read_bytes() == content
    assert book.fetch("params.pkl").read_bytes() == content
    assert addresses == [f"{book.ADDRESS}ch07/params.pkl"] * 2
