"""Recognise MNIST's test images with weights that were trained before, one at a time and in
batches.

    python examples/mnist_inference.py python examples/mnist_inference.py --weights
    sample_weight.pkl

Opens the project's own safetensors file, or the pickled weights of the book Deep Learning from
Scratch (sigmoid in the hidden layers), which are read without running the pickle."""

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


def network(arrays: dict[str, Any], activation: str) -> layers.Sequential:
    """Return the network of three pairs of weight and bias, in order."""
    parts: list[layers.Module] = []
    for weight, bias in zip(*[iter(arrays.values())] * 2, strict=True):
        linear = layers.Linear(*weight.shape)
        linear.weight, linear.bias = weight, bias
        parts += [linear, layers.activation(activation)]
    return layers.Sequential(*parts[:-1])


def open_weights(path: Path, backend: anynet.Backend) -> tuple[layers.Sequential, str]:
    """Return the network in a file, and what the file says about it."""
    if path.suffix == ".pkl":
        arrays = read_pickled_arrays(path, backend)
        names: tuple[str, ...] = ("W1", "b1", "W2", "b2", "W3", "b3")
        if set(arrays) != set(names):
            raise DataError(f"{path} holds {', '.join(arrays)}: wanted {', '.join(names)}")
        return network({name: arrays[name] for name in names}, "sigmoid"), "the book's weights"
    about = checkpoint.metadata(path)
    arrays = checkpoint.read(path, backend)
    names = tuple(f"layers.{i}.{part}" for i in (0, 2, 4) for part in ("weight", "bias"))
    if set(arrays) != set(names):
        raise DataError(f"{path} holds {', '.join(arrays)}: wanted {', '.join(names)}")
    recorded = ", ".join(f"{name}: {value}" for name, value in about.items())
    return network(
        {name: arrays[name] for name in names},
        about.get("activation", "relu"),
    ), recorded


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli.add_backend_argument(parser)
    parser.add_argument(
        "--weights",
        type=Path,
        default=WEIGHTS,
        help="a .safetensors file, or a pickle as .pkl",
    )
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument(
        "--limit",
        type=int,
        default=10_000,
        help="recognise so many images only",
    )
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    net, recorded = open_weights(options.weights, backend)
    print(f"{options.weights.name} ({recorded})")
    _, (x, t) = data.load_mnist(backend)
    x, t = x[: options.limit, ...], t[: options.limit]

    seconds = {}
    for batch_size in (1, options.batch_size):
        start = time.perf_counter()
        for batch, _ in data.Loader(x, t, batch_size=batch_size, shuffle=False):
            net(batch)
        backend.synchronize()
        seconds[batch_size] = time.perf_counter() - start
        print(
            f"batches of {batch_size:>4}: {x.shape[0] / seconds[batch_size]:>10,.0f} images a "
            "second"
        )
    print(
        f"batches are {seconds[1] / seconds[options.batch_size]:.1f} times as fast as single images"
    )
    print(f"test accuracy: {anynet.evaluate(net, (x, t)):.4f}")


if __name__ == "__main__":
    cli.run(main)
