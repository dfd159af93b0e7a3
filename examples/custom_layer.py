"""Write a layer as parameters and one expression, check its gradient, and train it.

    python examples/custom_layer.py --backend jax

The layer has no backward method. anynet differentiates the expression.
"""

import argparse

import anynet
from anynet import cli, initializers, layers, losses, optimizers, random
from anynet.array import Array, array_namespace
from anynet.layers import Module, parameter


class RadialBasis(Module):
    """exp(-width² · |x - center|²) for each center.

    Takes (N, in_features), returns (N, centers).
    """

    def __init__(self, in_features: int, centers: int) -> None:
        self.centers = parameter((centers, in_features), initializers.normal(1.0))
        self.width = parameter((centers,), initializers.ones)

    def forward(self, x: Array) -> Array:
        xp = array_namespace(x, self.centers)
        difference = xp.subtract(xp.expand_dims(x, axis=1), self.centers)
        distance = xp.sum(difference**2, axis=-1)
        return xp.exp(-(self.width**2) * distance)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    xp = backend.xp
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    # Points in a plane. The class of a point says whether it lies inside a ring.
    x = random.normal(random.key(options.seed, backend), (600, 2))
    radius = xp.sqrt(xp.sum(x * x, axis=1))
    t = xp.astype(xp.logical_and(radius > 0.7, radius < 1.5), xp.int32)

    net = layers.Sequential(
        RadialBasis(2, 12), layers.Linear(12, 2), seed=options.seed, backend=backend
    )
    print(anynet.summary(net, (2,)))
    report = anynet.check_gradients(lambda net: losses.cross_entropy(net(x), t), net)
    print(f"\n{report}\n")

    train = x[:500, ...], t[:500]
    test = x[500:, ...], t[500:]
    anynet.fit(
        net,
        train,
        test,
        optimizer=optimizers.Adam(0.02),
        epochs=options.epochs,
        batch_size=50,
        progress=False,
    )
    train_accuracy = anynet.evaluate(net, train)
    test_accuracy = anynet.evaluate(net, test)
    print(f"accuracy: {train_accuracy:.3f} on training points, {test_accuracy:.3f} on test points")


if __name__ == "__main__":
    cli.run(main)
