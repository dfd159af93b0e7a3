"""The examples as users run them: in a process of their own, on every backend."""

import os
import pickle

import numpy as np
import pytest
from test_cli import ROOT, run

from anynet.training import checkpoint


def backend_argument(backend):
    return f"{backend.name}:{backend.device_name.partition(' ')[0]}"


def test_mnist_without_mnist_trains_on_digits(backend, tmp_path):
    """With no files and no network."""
    code, out, err = run(
        "examples/mnist.py", "--epochs", "6", "--plot", str(tmp_path / "curve.png"), "--save", str(tmp_path / "net"),
        "--backend", backend_argument(backend),
        ANYNET_OFFLINE="1", ANYNET_DATA_DIR="", XDG_CACHE_HOME=str(tmp_path),
    )  # fmt: skip
    assert code == 0, err
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert lines[0][0] == backend.name
    assert "No MNIST: " in out
    assert "1,797 handwritten digits" in out
    assert "1,500 images to train on, 297 to test on" in out
    assert "epoch loss train accuracy test accuracy seconds".split() in lines
    accuracy = float(out.split("final test accuracy: ")[1].split()[0])
    assert accuracy > 0.8
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert checkpoint.metadata(tmp_path / "net")["test accuracy"] == f"{accuracy:.4f}"


def test_mnist_with_convolutions(backend, tmp_path):
    code, out, err = run(
        "examples/mnist.py", "--model", "cnn", "--epochs", "1", "--limit", "400", "--plot", str(tmp_path / "curve.png"),
        "--backend", backend_argument(backend),
        ANYNET_OFFLINE="1", ANYNET_DATA_DIR="", XDG_CACHE_HOME=str(tmp_path),
    )  # fmt: skip
    assert code == 0, err
    assert "Conv2d" in out
    assert float(out.split("final test accuracy: ")[1].split()[0]) > 0.15


def test_regression():
    code, out, err = run("examples/regression.py")
    assert code == 0, err
    assert float(out.split("on the points: ")[1].split()[0]) < 0.04


def test_a_layer_of_ones_own():
    code, out, err = run("examples/custom_layer.py")
    assert code == 0, err
    assert "layers.0.centers" in out
    assert float(out.split("accuracy: ")[1].split()[0]) > 0.9


def test_the_autoencoder(tmp_path):
    code, out, err = run(
        "examples/autoencoder.py", "--epochs", "2", "--plot", str(tmp_path / "both.png"),
        ANYNET_OFFLINE="1", ANYNET_DATA_DIR="", XDG_CACHE_HOME=str(tmp_path),
    )  # fmt: skip
    assert code == 0, err
    before, after = (
        float(word.split()[0]) for word in out.split("not trained on: ")[1].split("before, ")
    )
    assert after < 0.7 * before
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")


def test_the_transformer_learns_to_write():
    code, out, err = run(
        "examples/character_transformer.py",
        "--epochs",
        "2",
        "--length",
        "16",
    )
    assert code == 0, err
    first, last = (
        float(part.split()[0]) for part in out.split("loss per character: ")[1].split("epoch, ")
    )
    assert last < first - 0.3
    assert "The river " in out


def test_the_gradient_check_agrees(backend):
    code, out, err = run(
        "examples/gradient_check.py",
        ANYNET_BACKEND=backend_argument(backend),
    )
    assert code == 0, err
    assert out.rstrip().endswith("all derivatives agree")
    assert "WRONG" not in out
    for name in (
        "network 784-50-100-10",
        "sigmoid",
        "cross_entropy",
        "sum_of_squares",
    ):
        assert name in out


def test_the_gradient_check_fails_on_a_wrong_rule(tmp_path):
    """The same script, with one pullback spoiled before it starts."""
    program = tmp_path / "spoiled.py"
    program.write_text(
        "import runpy\n"
        "from anynet.primitives import sigmoid\n"
        "sigmoid.rule = lambda xp, out, x: lambda g: g * out\n"
        f"runpy.run_path({str(ROOT / 'examples/gradient_check.py')!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    code, out, _ = run(str(program))
    assert code == 1
    # Two activations are made of it: three arrays each.
    assert out.count("WRONG") == 6
    assert out.rstrip().endswith("2 wrong")


def test_the_weights_that_are_shipped():
    path = ROOT / "examples/weights/mnist_784_50_100_10.safetensors"
    assert path.stat().st_size < 200_000
    shapes = {name: x.shape for name, x in checkpoint.read(path).items()}
    assert shapes["layers.0.weight"] == (784, 50)
    assert shapes["layers.4.bias"] == (10,)
    assert float(checkpoint.metadata(path)["test accuracy"]) >= 0.975


needs_mnist = pytest.mark.skipif(
    not os.environ.get("ANYNET_DATA_DIR"),
    reason="needs the real files in ANYNET_DATA_DIR",
)


@needs_mnist
def test_inference_reaches_the_recorded_accuracy():
    code, out, err = run("examples/mnist_inference.py")
    assert code == 0, err
    recorded = out.split("test accuracy: ")[1].split(")")[0].split(",")[0]
    assert f"test accuracy: {recorded}\n" in out
    speeds = [
        float(line.split()[3].replace(",", ""))
        for line in out.splitlines()
        if "images a second" in line
    ]
    assert len(speeds) == 2
    assert min(speeds) > 0


@needs_mnist
def test_inference_with_the_books_pickle(tmp_path):
    """Weights of the shapes and names in sample_weight.pkl, with sigmoid between the layers."""
    generator = np.random.default_rng(0)
    sizes = (784, 50, 100, 10)
    weights = {
        f"W{i + 1}": generator.normal(size=sizes[i : i + 2]).astype("float32") for i in range(3)
    }
    weights |= {
        f"b{i + 1}": generator.normal(size=sizes[i + 1]).astype("float32") for i in range(3)
    }
    path = tmp_path / "sample_weight.pkl"
    path.write_bytes(pickle.dumps(weights))
    code, out, err = run(
        "examples/mnist_inference.py",
        "--weights",
        str(path),
        "--limit",
        "500",
    )
    assert code == 0, err

    from anynet.data import load_mnist

    _, (x, t) = load_mnist("numpy")
    h = x[:500]
    for i in (1, 2):
        h = 1 / (1 + np.exp(-(h @ weights[f"W{i}"] + weights[f"b{i}"])))
    expected = np.mean(np.argmax(h @ weights["W3"] + weights["b3"], axis=1) == t[:500])
    assert out.rstrip().endswith(f"test accuracy: {expected:.4f}")


def test_inference_refuses_what_is_not_weights(tmp_path):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"W1": os.system}))
    code, out, err = run("examples/mnist_inference.py", "--weights", str(path))
    assert code == 2
    assert "refused" in err
    assert err.count("\n") == 1
    assert "images a second" not in out
