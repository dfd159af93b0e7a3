"""Classify MNIST's test images with trained weights, one image at a time and in batches.

    python examples/mnist_inference.py
    python examples/mnist_inference.py --weights sample_weight.pkl

The weights are a safetensors file of examples/mnist.py, or the pickle of the book Deep Learning
from Scratch (sigmoid in the hidden layers). anynet reads the pickle without executing it.
"""

import argparse
import time
from pathlib import Path

import anynet
from anynet import cli, data, layers
from anynet.interop import book
from anynet.training import checkpoint

WEIGHTS = Path(__file__).parent / "weights" / "mnist_784_50_100_10.safetensors"


def open_weights(path: Path, backend: anynet.Backend) -> tuple[layers.Sequential, str]:
    """Return the network in a file, and a description of it."""
    if path.suffix == ".pkl":
        net = network("sigmoid", backend)
        book.load_weights(net, path)
        return net, "the book's weights"
    metadata = checkpoint.metadata(path)
    net = network(metadata.get("activation", "relu"), backend)
    anynet.load(net, path)
    return net, ", ".join(f"{name}: {value}" for name, value in metadata.items())


def network(activation: str, backend: anynet.Backend) -> layers.Sequential:
    return layers.Sequential(
        layers.Linear(784, 50),
        layers.activation(activation),
        layers.Linear(50, 100),
        layers.activation(activation),
        layers.Linear(100, 10),
        seed=0,
        backend=backend,
    )


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
