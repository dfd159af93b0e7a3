"""Train a network on MNIST, on any array library: 784-50-100-10, or one of convolutions.

python examples/mnist.py
ANYNET_BACKEND=cupy python examples/mnist.py --model cnn
"""

import argparse
from dataclasses import dataclass
from typing import Any

import anynet
from anynet import cli, data, layers, optimizers, plotting
from anynet.errors import DataError
from anynet.optimizers import schedules
from anynet.training import checkpoint


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained."""

    title: str
    shape: tuple[int, ...]  # of an image, as the network takes it
    epochs: int
    batch_size: int
    augment: Any = None


RECIPES = {
    "mlp": Recipe("784-50-100-10", (784,), epochs=12, batch_size=50),
    "cnn": Recipe(
        "convolutions",
        (1, 28, 28),
        epochs=15,
        batch_size=100,
        augment=data.random_affine(),
    ),
}


def fully_connected(activation: str) -> list[layers.Module]:
    return [
        layers.Linear(784, 50),
        layers.activation(activation),
        layers.Linear(50, 100),
        layers.activation(activation),
        layers.Linear(100, 10),
    ]


def convolutional(activation: str) -> list[layers.Module]:
    def block(before: int, after: int) -> list[layers.Module]:
        """Two convolutions, then images of half the size."""
        found: list[layers.Module] = []
        for channels in (before, after):
            convolution = layers.Conv2d(channels, after, 3, padding="same", bias=False)
            found += [
                convolution,
                layers.BatchNorm(after),
                layers.activation(activation),
            ]
        return [*found, layers.MaxPool2d(2)]

    return [
        *block(1, 16),
        *block(16, 32),
        layers.Flatten(),
        layers.Dropout(0.25),
        layers.Linear(32 * 7 * 7, 128),
        layers.activation(activation),
        layers.Dropout(0.25),
        layers.Linear(128, 10),
    ]


def network(model: str, activation: str, seed: int, backend: anynet.Backend) -> layers.Sequential:
    make = {"mlp": fully_connected, "cnn": convolutional}[model]
    return layers.Sequential(*make(activation), seed=seed, backend=backend)


def load(backend: anynet.Backend) -> tuple[str, data.Dataset, float]:
    """Return MNIST or, where there is none to be had, the digits of scikit-learn, and a learning
    rate that suits it."""
    try:
        return "MNIST", data.load_mnist(backend), 0.3
    except DataError as error:
        print(f"No MNIST: {error}")
        print("Training on scikit-learn's 1,797 handwritten digits, scaled to 28×28, in its place.")
        # Brighter images, larger steps: a smaller rate.
        return "scikit-learn's digits", data.load_digits(backend), 0.1


def chosen_optimizer(model: str, given: float | None, suited: float, steps: int) -> Any:
    if model == "mlp":
        return optimizers.SGD(schedules.Cosine(suited if given is None else given, steps))
    return optimizers.Adam(
        schedules.WarmupCosine(0.002 if given is None else given, steps, steps // 20)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--model", choices=RECIPES, default="mlp")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument(
        "--learning-rate",
        type=float,
        help="at its height; falls to 0 along a cosine",
    )
    parser.add_argument(
        "--activation",
        default="relu",
        help="of the hidden layers: relu, sigmoid, tanh, …",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="record the training step and replay it",
    )
    parser.add_argument("--limit", type=int, help="train on so many images only")
    parser.add_argument("--plot", default="mnist.png", help="where the accuracy curve goes")
    parser.add_argument(
        "--save",
        metavar="FILE",
        help="write the trained weights to this safetensors file",
    )
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    recipe = RECIPES[options.model]
    net = network(options.model, options.activation, options.seed, backend)
    print(anynet.summary(net))
    name, (train, test), rate = load(backend)
    # Rows of pixels, or images.
    train, test = ((backend.xp.reshape(x, (-1, *recipe.shape)), t) for x, t in (train, test))
    train = (train[0][: options.limit, ...], train[1][: options.limit])
    batch_size = recipe.batch_size if options.batch_size is None else options.batch_size
    loader = data.Loader(
        *train,
        batch_size=batch_size,
        seed=options.seed,
        augment=recipe.augment,
    )
    print(f"{name}: {train[0].shape[0]:,} images to train on, {test[0].shape[0]:,} to test on")

    epochs = recipe.epochs if options.epochs is None else options.epochs
    optimizer = chosen_optimizer(
        options.model,
        options.learning_rate,
        rate,
        max(1, epochs * len(loader)),
    )
    history = anynet.fit(
        net,
        loader,
        test,
        optimizer=optimizer,
        epochs=epochs,
        compile=options.compile,
    )

    accuracy = anynet.evaluate(net, test)
    print(f"{'interrupted; ' if history.interrupted else ''}final test accuracy: {accuracy:.4f}")
    if history.epochs:
        plotting.accuracy_curve(history, options.plot, f"{name}, {recipe.title}, {backend.name}")
        print(f"accuracy curve: {options.plot}")
    if options.save:
        about = {
            "data": name,
            "activation": options.activation,
            "seed": str(options.seed),
        }
        checkpoint.save(net, options.save, about | {"test accuracy": f"{accuracy:.4f}"})
        print(f"weights: {options.save}")


if __name__ == "__main__":
    cli.run(main)
