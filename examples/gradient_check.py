"""Compare analytic with numerical gradients, for a network, every activation and some losses.

    python examples/gradient_check.py
    ANYNET_BACKEND=cupy python examples/gradient_check.py

Prints a table for each function. The exit code is 1 if a gradient is wrong.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import anynet
from anynet import cli, functions, layers, losses, random
from anynet.array import array_namespace
from anynet.gradient_check import GradientError

Case = tuple[str, Callable[[Any], Any], Any]


def cases(backend: anynet.Backend) -> Iterator[Case]:
    """Yield a name, a scalar function and its argument."""
    keys = random.split(random.key(0, backend), 6)
    yield network_case(backend, keys)
    yield from activation_cases(backend, keys)
    yield from loss_cases(backend, keys)


def network_case(backend: anynet.Backend, keys: Any) -> Case:
    float64 = backend.xp.float64
    images = random.uniform(keys[0, ...], (100, 784), float64)
    labels = random.integers(keys[1, ...], (100,), 0, 10)
    net = layers.Sequential(
        layers.Linear(784, 50),
        layers.ReLU(),
        layers.Linear(50, 100),
        layers.ReLU(),
        layers.Linear(100, 10),
        seed=0,
        backend=backend,
        dtype=float64,
    )

    def loss(net: layers.Sequential) -> Any:
        return losses.cross_entropy(net(images), labels)

    return "network 784-50-100-10, batch 100", loss, net


def activation_cases(backend: anynet.Backend, keys: Any) -> Iterator[Case]:
    float64 = backend.xp.float64
    x = random.normal(keys[2, ...], (5, 4), float64)
    weights = random.normal(keys[3, ...], (5, 3), float64)

    def weighted_sum(net_and_input: Any) -> Any:
        net, x = net_and_input
        y = net(x)
        return array_namespace(y).sum(y * weights)

    # The derivative of a step is 0 everywhere.
    for name in sorted(layers.ACTIVATIONS.keys() - {"step"}):
        net = layers.Sequential(
            layers.Linear(4, 3),
            layers.activation(name),
            seed=1,
            backend=backend,
            dtype=float64,
        )
        yield f"Linear(4, 3), {name}: parameters and input", weighted_sum, [net, x]


def loss_cases(backend: anynet.Backend, keys: Any) -> Iterator[Case]:
    float64 = backend.xp.float64
    outputs = random.normal(keys[4, ...], (5, 3), float64)
    labels = random.integers(keys[5, ...], (5,), 0, 3)
    one_hot = functions.one_hot(labels, 3, float64)

    def of_probabilities(y: Any) -> Any:
        return losses.cross_entropy_of_probabilities(functions.softmax(y), labels)

    yield "cross_entropy", lambda y: losses.cross_entropy(y, labels), outputs
    yield "cross_entropy, one-hot", lambda y: losses.cross_entropy(y, one_hot), outputs
    yield "cross_entropy_of_probabilities, softmax", of_probabilities, outputs
    yield "sum_of_squares", lambda y: losses.sum_of_squares(y, labels), outputs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    options = parser.parse_args()
    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}, float64")
    wrong = 0
    for name, f, argument in cases(backend):
        try:
            report = anynet.check_gradients(f, argument)
        except GradientError as error:
            report = error.report
            wrong += 1
        print(f"\n{name}\n{report}")
    print(f"\n{wrong} wrong" if wrong else "\nall derivatives agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    cli.run(main)
