"""Show how the first weights shape the activations of a deep network.

    python examples/activations.py --activation relu --backend torch

Normal data passes five layers of 100 units, as in chapter 6.2 of Deep Learning from Scratch. With
weights of a standard deviation of 1, sigmoids are at 0 and 1, where their gradient vanishes. With
0.01 all units of a layer do the same. Xavier's and He's initializers keep the spread of the data.
"""

import argparse

import anynet
from anynet import cli, initializers, layers, random
from anynet.array import Array, array_namespace

WEIGHTS = {
    "normal(1.0)": initializers.normal(1.0),
    "normal(0.01)": initializers.normal(0.01),
    "xavier": initializers.xavier,
    "he": initializers.he,
}
UNITS, LAYERS = 100, 5


def network(
    activation: str,
    initializer: initializers.Initializer,
    seed: int,
    backend: anynet.Backend,
) -> layers.Sequential:
    """Return fully connected layers, each with an activation."""
    parts: list[layers.Module] = []
    for _ in range(LAYERS):
        parts.append(layers.Linear(UNITS, UNITS, initializer=initializer))
        parts.append(layers.activation(activation))
    return layers.Sequential(*parts, seed=seed, backend=backend)


def histogram(x: Array, low: float, high: float) -> str:
    """Return a bar for each tenth of a range, and the spread."""
    xp = array_namespace(x)
    bars = []
    for i in range(10):
        start, end = (low + (high - low) * n / 10 for n in (i, i + 1))
        inside = xp.logical_and(x >= start, x < end if i < 9 else x <= end)
        part = float(xp.mean(xp.astype(inside, x.dtype)))
        bars.append(" ▁▂▃▄▅▆▇█"[round(8 * part**0.5)])
    return f"{''.join(bars)} {float(xp.std(x)):8.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--activation", choices=("sigmoid", "tanh", "relu"), default="sigmoid")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    x = random.normal(random.key(options.seed, backend), (1000, UNITS))
    low, high = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, 4.0)}[options.activation]
    print(f"histograms from {low:g} to {high:g}, and standard deviations")
    for name, initializer in WEIGHTS.items():
        net = network(options.activation, initializer, options.seed, backend)
        paths = [f"layers.{2 * i + 1}" for i in range(LAYERS)]
        _, activations = anynet.capture(net, paths)(x)
        print(f"\n{name}")
        for i, path in enumerate(paths):
            print(f"  layer {i + 1} {histogram(activations[path], low, high)}")


if __name__ == "__main__":
    cli.run(main)
