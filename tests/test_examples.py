"""The examples, each run in a new process."""

import os
import pickle
import re

import numpy as np
import pytest
import ranks
from programs import ROOT, run

from anynet.data import load_mnist
from anynet.training import checkpoint

WEIGHTS = ROOT / "examples/weights/mnist_784_50_100_10.safetensors"


def output_of(example, *arguments, **environment):
    """Return the text that an example prints."""
    code, out, err = run(f"examples/{example}", *arguments, **environment)
    assert code == 0, err
    return out


def without_mnist(folder):
    """Return environment variables with which MNIST is not available."""
    return {"ANYNET_OFFLINE": "1", "ANYNET_DATA_DIR": "", "XDG_CACHE_HOME": str(folder)}


def backend_argument(backend):
    return f"{backend.name}:{backend.device_name.partition(' ')[0]}"


def values_after(out, *texts):
    """Return the number that follows each text in the output."""
    return [float(re.search(rf"{re.escape(text)} *([\d.]+)", out)[1]) for text in texts]


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def test_mnist_falls_back_to_digits(backend, tmp_path):
    curve, weights = tmp_path / "curve.png", tmp_path / "net"
    out = output_of(
        "mnist.py",
        "--epochs=6",
        f"--plot={curve}",
        f"--save={weights}",
        f"--backend={backend_argument(backend)}",
        **without_mnist(tmp_path),
    )
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert lines[0][0] == backend.name
    assert "No MNIST: " in out
    assert "1,797 handwritten digits" in out
    assert "1,500 images to train on, 297 to test on" in out
    assert "epoch loss train accuracy test accuracy seconds".split() in lines
    (accuracy,) = values_after(out, "final test accuracy:")
    assert accuracy > 0.8
    assert is_png(curve)
    assert checkpoint.metadata(weights)["test accuracy"] == f"{accuracy:.4f}"


def test_mnist_trains_a_convolutional_network(backend, tmp_path):
    out = output_of(
        "mnist.py",
        "--model=cnn",
        "--epochs=1",
        "--limit=400",
        f"--plot={tmp_path / 'curve.png'}",
        f"--backend={backend_argument(backend)}",
        **without_mnist(tmp_path),
    )
    assert "Conv2d" in out
    (accuracy,) = values_after(out, "final test accuracy:")
    assert accuracy > 0.15


def test_regression_fits_the_points():
    (error,) = values_after(output_of("regression.py"), "on the points:")
    assert error < 0.04


def test_custom_layer_learns():
    out = output_of("custom_layer.py")
    assert "layers.0.centers" in out
    (accuracy,) = values_after(out, "accuracy:")
    assert accuracy > 0.9


def test_autoencoder_reduces_the_error(tmp_path):
    picture = tmp_path / "both.png"
    out = output_of("autoencoder.py", "--epochs=2", f"--plot={picture}", **without_mnist(tmp_path))
    before, after = values_after(out, "test images:", "before training,")
    assert after < 0.7 * before
    assert is_png(picture)


def test_activations_keep_their_spread_with_the_right_initializer():
    """For sigmoids Xavier's is right, for rectifiers He's; 0.01 is too small for both."""
    for activation, right in (("sigmoid", "xavier"), ("relu", "he")):
        out = output_of("activations.py", f"--activation={activation}")
        spreads = {}
        for part in out.split("\n\n")[1:]:
            name, *rows = part.strip().splitlines()
            spreads[name] = [float(row.split()[-1]) for row in rows]
        small, kept = spreads["normal(0.01)"], spreads[right]
        assert len(kept) == 5
        assert small[4] < 0.015
        assert 0.5 < kept[4] / kept[0] < 1.5


def test_character_transformer_reduces_the_loss():
    out = output_of("character_transformer.py", "--epochs=2", "--length=16")
    first, last = values_after(out, "loss per character:", "in the first epoch,")
    assert last < first - 0.3
    assert "The river " in out


def test_gan_trains_both_networks(tmp_path):
    picture = tmp_path / "gan.png"
    out = output_of(
        "gan.py", "--epochs=2", "--limit=500", f"--plot={picture}", **without_mnist(tmp_path)
    )
    (first, last) = re.findall(r"discriminator ([\d.]+)", out)
    assert float(last) < float(first) < 2 * np.log(2) + 0.1
    assert is_png(picture)


def test_actor_learns_to_hold_the_middle():
    out = output_of("actor_target.py", "--steps=1000")
    before, after = re.search(r"reward: (\S+) before training, (\S+) after", out).groups()
    assert float(after) > float(before) / 2


def test_teacher_and_student_learn(tmp_path):
    out = output_of("distillation.py", "--epochs=4", **without_mnist(tmp_path))
    teacher, student = values_after(out, "accuracy of teacher:", "accuracy of student:")
    assert min(teacher, student) > 0.8


def test_gradient_check_agrees(backend):
    out = output_of("gradient_check.py", ANYNET_BACKEND=backend_argument(backend))
    assert out.rstrip().endswith("all derivatives agree")
    assert "WRONG" not in out
    for name in ("network 784-50-100-10", "sigmoid", "cross_entropy", "sum_of_squares"):
        assert name in out


def test_gradient_check_finds_a_wrong_rule(tmp_path):
    program = tmp_path / "wrong_rule.py"
    program.write_text(
        "import runpy\n"
        "from anynet.primitives import sigmoid\n"
        "sigmoid.rule = lambda xp, out, x: lambda g: g * out\n"
        f"runpy.run_path({str(ROOT / 'examples/gradient_check.py')!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    code, out, _ = run(str(program))
    assert code == 1
    # Two activations use the rule, with three arrays each.
    assert out.count("WRONG") == 6
    assert out.rstrip().endswith("2 wrong")


def test_included_weights_record_their_accuracy():
    assert WEIGHTS.stat().st_size < 200_000
    shapes = {name: x.shape for name, x in checkpoint.read(WEIGHTS).items()}
    assert shapes["layers.0.weight"] == (784, 50)
    assert shapes["layers.4.bias"] == (10,)
    assert float(checkpoint.metadata(WEIGHTS)["test accuracy"]) >= 0.975


needs_mnist = pytest.mark.skipif(
    not os.environ.get("ANYNET_DATA_DIR"),
    reason="needs MNIST's files in ANYNET_DATA_DIR",
)


@needs_mnist
def test_inference_reaches_the_recorded_accuracy():
    out = output_of("mnist_inference.py")
    recorded = checkpoint.metadata(WEIGHTS)["test accuracy"]
    assert out.rstrip().endswith(f"test accuracy: {recorded}")
    speeds = re.findall(r"([\d,]+) images a second", out)
    assert len(speeds) == 2
    assert all(int(speed.replace(",", "")) > 0 for speed in speeds)


@needs_mnist
def test_inference_reads_the_books_pickle(tmp_path):
    """The names and shapes are those of sample_weight.pkl, and the activation is the sigmoid."""
    generator = np.random.default_rng(0)
    sizes = (784, 50, 100, 10)
    weights = {}
    for i in (1, 2, 3):
        weights[f"W{i}"] = generator.normal(size=sizes[i - 1 : i + 1]).astype("float32")
        weights[f"b{i}"] = generator.normal(size=sizes[i]).astype("float32")
    path = tmp_path / "sample_weight.pkl"
    path.write_bytes(pickle.dumps(weights))
    out = output_of("mnist_inference.py", f"--weights={path}", "--limit=500")

    _, (x, t) = load_mnist("numpy")
    h = x[:500]
    for i in (1, 2):
        h = 1 / (1 + np.exp(-(h @ weights[f"W{i}"] + weights[f"b{i}"])))
    scores = h @ weights["W3"] + weights["b3"]
    expected = np.mean(np.argmax(scores, axis=1) == t[:500])
    assert out.rstrip().endswith(f"test accuracy: {expected:.4f}")


def test_inference_does_not_execute_a_pickle(tmp_path):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"W1": os.system}))
    code, out, err = run("examples/mnist_inference.py", "--weights", str(path))
    assert code == 2
    assert "nothing was run" in err
    assert err.count("\n") == 1
    assert "images a second" not in out


@pytest.mark.parametrize("by_hand", [False, True], ids=["fit", "by hand"])
def test_several_processes_train_the_network_of_one(by_hand, tmp_path):
    arrays = []
    for engine in (None, "mpi", "torch"):
        if engine is not None and not ranks.is_installed(engine):
            continue
        path = tmp_path / f"{engine}.safetensors"
        options = ["--epochs=1", f"--output={path}", *["--by-hand"] * by_hand]
        done = ranks.run(engine, 2, [ROOT / "examples/several_processes.py", *options])
        assert done.code == 0, done.out
        assert done.out.count("test accuracy") == 1
        arrays.append(checkpoint.read(path))
    if len(arrays) == 1:
        pytest.skip("needs mpi4py or torch")
    for other in arrays[1:]:
        assert other.keys() == arrays[0].keys()
        for name, expected in arrays[0].items():
            np.testing.assert_allclose(other[name], expected, rtol=1e-3, atol=1e-5)
