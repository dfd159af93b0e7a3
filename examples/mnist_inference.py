"""Classify MNIST's test images with trained weights, one image at a time and in batches.

    python examples/mnist_inference.py
    python examples/mnist_inference.py --weights sample_weight.pkl

The weights are a safetensors file of examples/mnist.py, or the pickle of the book Deep Learning
from Scratch (sigmoid in the hidden layers). anynet reads the pickle without executing it.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import anynet
from anynet import cli, data, layers
from anynet.data.pickled import read_pickled_arrays
from anynet.errors import DataError
from anynet.training import checkpoint

WEIGHTS = Path(__file__).parent / "weights" / "mnist_784_50_100_10.safetensors"


def open_weights(path: Path, backend: anynet.Backend) -> tuple[layers.Sequential, str]:
    """Return the network in a file, and a description of it."""
    if path.suffix == ".pkl":
        arrays = read_pickled_arrays(path, backend)
        weights = ("W1", "W2", "W3")
        biases = ("b1", "b2", "b3")
        return network(path, arrays, weights, biases, "sigmoid"), "the book's weights"
    arrays = checkpoint.read(path, backend)
    weights = ("layers.0.weight", "layers.2.weight", "layers.4.weight")
    biases = ("layers.0.bias", "layers.2.bias", "layers.4.bias")
    metadata = checkpoint.metadata(path)
    activation = metadata.get("activation", "relu")
    description = ", ".join(f"{name}: {value}" for name, value in metadata.items())
    return network(path, arrays, weights, biases, activation), description


def network(
    path: Path,
    arrays: dict[str, Any],
    weights: tuple[str, ...],
    biases: tuple[str, ...],
    activation: str,
) -> layers.Sequential:
    """Return linear layers made from the named arrays, with an activation between them."""
    if set(arrays) != {*weights, *biases}:
        raise DataError(
            f"{path} contains {', '.join(arrays)}: wanted {', '.join([*weights, *biases])}"
        )
    modules: list[layers.Module] = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = layers.Linear(*arrays[weight].shape)
        linear.weight, linear.bias = arrays[weight], arrays[bias]
        modules += [linear, layers.activation(activation)]
    return layers.Sequential(*modules[:-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="a .safetensors file or a .pkl file"
    )
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument(
        "--limit", type=int, default=10_000, help="classify the first LIMIT images only"
    )
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    net, description = open_weights(options.weights, backend)
    print(f"{options.weights.name} ({description})")
    _, (x, t) = data.load_mnist(backend)
    x, t = x[: options.limit, ...], t[: options.limit]

    speed = {}
    for batch_size in (1, options.batch_size):
        start = time.perf_counter()
        for batch, _ in data.Loader(x, t, batch_size=batch_size, shuffle=False):
            net(batch)
        # A GPU computes while Python goes on.
        backend.synchronize()
        speed[batch_size] = x.shape[0] / (time.perf_counter() - start)
        print(f"batches of {batch_size:>4}: {speed[batch_size]:>10,.0f} images a second")
    ratio = speed[options.batch_size] / speed[1]
    print(f"batches are {ratio:.1f} times as fast as single images")
    print(f"test accuracy: {anynet.evaluate(net, (x, t)):.4f}")


if __name__ == "__main__":
    cli.run(main)
