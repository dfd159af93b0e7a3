"""Compare analytic with numerical derivatives, for the network 784-50-100-10 and for every layer
and loss.

    python examples/gradient_check.py ANYNET_BACKEND=cupy python examples/gradient_check.py

Prints a table each; the exit code is 1 where a derivative is wrong."""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import anynet
from anynet import cli, functions, layers, losses, random
from anynet.gradient_check import GradientError


def cases(
    backend: anynet.Backend,
) -> Iterator[tuple[str, Callable[[Any], Any], Any]]:
    """Yield a name, a scalar function, and what to differentiate it by."""
    xp = backend.xp
    key = random.key(0, backend)
    float64 = xp.float64

    images = random.uniform(random.fold_in(key, 1), (100, 784), float64)
    labels = random.integers(random.fold_in(key, 2), (100,), 0, 10)
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
    yield (
        "network 784-50-100-10, batch 100",
        lambda net: losses.cross_entropy(net(images), labels),
        net,
    )

    x = random.normal(random.fold_in(key, 3), (5, 4), float64)
    few = random.integers(random.fold_in(key, 4), (5,), 0, 3)
    weights = random.normal(random.fold_in(key, 5), (5, 3), float64)
    activations = [name for name in layers.ACTIVATIONS if name != "step"]
    for name in activations:
        net = layers.Sequential(
            layers.Linear(4, 3),
            layers.activation(name),
            seed=1,
            backend=backend,
            dtype=float64,
        )
        yield (
            f"Linear(4, 3), {name}: parameters and input",
            lambda both: xp_sum(both[0](both[1]) * weights),
            [net, x],
        )
    outputs = random.normal(random.fold_in(key, 6), (5, 3), float64)
    yield "cross_entropy", lambda y: losses.cross_entropy(y, few), outputs
    yield (
        "cross_entropy, one-hot",
        lambda y: losses.cross_entropy(y, functions.one_hot(few, 3, float64)),
        outputs,
    )
    yield (
        "cross_entropy_of_probabilities, softmax",
        lambda y: losses.cross_entropy_of_probabilities(functions.softmax(y), few),
        outputs,
    )
    yield "sum_of_squares", lambda y: losses.sum_of_squares(y, few), outputs


def xp_sum(x: Any) -> Any:
    return x.__array_namespace__().sum(x)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
