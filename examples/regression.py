"""Fit a curve through noisy points with a small network.

python examples/regression.py --backend torch
"""

import argparse
import math

import anynet
from anynet import cli, layers, losses, metrics, optimizers, random
from anynet.optimizers import schedules


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    xp = backend.xp
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    keys = random.split(random.key(options.seed, backend), 2)
    x = random.uniform(keys[0, ...], (200, 1), low=-math.pi, high=math.pi)
    noise = 0.1 * random.normal(keys[1, ...], (200, 1))
    t = xp.sin(x) + 0.5 * xp.cos(3 * x) + noise

    net = layers.Sequential(
        layers.Linear(1, 32),
        layers.Tanh(),
        layers.Linear(32, 32),
        layers.Tanh(),
        layers.Linear(32, 1),
        seed=options.seed,
        backend=backend,
    )
    optimizer = optimizers.Adam(schedules.Cosine(0.01, options.epochs * 4))
    anynet.fit(
        net,
        (x, t),
        loss=losses.mean_squared_error,
        optimizer=optimizer,
        epochs=options.epochs,
        batch_size=50,
        seed=options.seed,
        metric=None,
        progress=False,
    )

    grid = xp.linspace(-3, 3, 13, dtype=x.dtype, device=backend.device)
    grid = xp.reshape(grid, (-1, 1))
    truth = xp.sin(grid) + 0.5 * xp.cos(3 * grid)
    print("\n     x     curve   network")
    table = backend.to_host(xp.concat([grid, truth, net(grid)], axis=1))
    for point, curve, output in table.tolist():
        print(f"{point:6.2f}  {curve:8.3f}  {output:8.3f}")
    scores = anynet.evaluate(net, (x, t), [metrics.r2_score, metrics.mean_squared_error])
    score, error = scores.values()
    print(f"\nmean squared error on the points: {error:.4f} (noise: 0.01), R² {score:.4f}")


if __name__ == "__main__":
    cli.run(main)
