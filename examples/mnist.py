"""Train a network on MNIST (downloaded on first use) and plot its accuracy.

    python examples/mnist.py
    ANYNET_BACKEND=cupy python examples/mnist.py --model cnn

The model is a fully connected network, 784-50-100-10, or a convolutional network. Without MNIST,
the script trains on scikit-learn's digits.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import anynet
from anynet import cli, data, layers, optimizers, plotting
from anynet.array import array_namespace
from anynet.errors import DataError
from anynet.optimizers import schedules
from anynet.training import checkpoint


@dataclass(frozen=True)
class Recipe:
    """The input of a model and the defaults of its training."""

    title: str
    #: Of one input.
    shape: tuple[int, ...]
    epochs: int
    learning_rate: float
    augment: Any


def augment_rows(key: Any, x: Any) -> Any:
    """Shift, rotate and scale images that are rows of 784 pixels."""
    xp = array_namespace(x)
    images = xp.reshape(x, (-1, 1, 28, 28))
    images = data.random_affine(shift=1.5, degrees=8, scale=0.08)(key, images)
    return xp.reshape(images, (-1, 784))


RECIPES = {
    "mlp": Recipe("784-50-100-10", (784,), 60, 0.003, augment_rows),
    "cnn": Recipe("convolutions", (1, 28, 28), 15, 0.002, data.random_affine()),
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
    return [
        *block(1, 16, activation),
        *block(16, 32, activation),
        layers.Flatten(),
        layers.Dropout(0.25),
        layers.Linear(32 * 7 * 7, 128),
        layers.activation(activation),
        layers.Dropout(0.25),
        layers.Linear(128, 10),
    ]


def block(in_channels: int, out_channels: int, activation: str) -> list[layers.Module]:
    """Return two convolutions and a pooling layer that halves the height and the width."""
    return [
        layers.Conv2d(in_channels, out_channels, 3, padding="same", bias=False),
        layers.BatchNorm(out_channels),
        layers.activation(activation),
        layers.Conv2d(out_channels, out_channels, 3, padding="same", bias=False),
        layers.BatchNorm(out_channels),
        layers.activation(activation),
        layers.MaxPool2d(2),
    ]


MODELS = {"mlp": fully_connected, "cnn": convolutional}


def load(backend: anynet.Backend) -> tuple[str, data.Dataset]:
    """Return the name of a data set, and the data.

    The data set is MNIST. Where MNIST is not available, it is scikit-learn's digits.
    """
    try:
        return "MNIST", data.load_mnist(backend)
    except DataError as error:
        print(f"No MNIST: {error}")
        print("Training on scikit-learn's 1,797 handwritten digits, scaled to 28×28, in its place.")
        return "scikit-learn's digits", data.load_digits(backend)


def make_optimizer(rate: float, steps: int) -> Any:
    """Return Adam with a warm-up and a cosine, and the mean of the weights of the last steps."""
    warmup = steps // 20
    cosine = schedules.Cosine(rate, steps - warmup)
    adam = optimizers.Adam(schedules.Warmup(cosine, warmup))
    return optimizers.StochasticAverage(adam, start=steps - steps // 10)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--model", choices=RECIPES, default="mlp")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument(
        "--learning-rate",
        type=float,
        help="the peak, from which the rate falls to 0 along a cosine",
    )
    parser.add_argument(
        "--activation", default="relu", help="of the hidden layers: relu, sigmoid, tanh, …"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="record the training step and replay it",
    )
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images only")
    parser.add_argument("--plot", default="mnist.png", help="the file of the accuracy curve")
    parser.add_argument(
        "--save", metavar="FILE", help="write the trained weights to this safetensors file"
    )
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    recipe = RECIPES[options.model]
    modules = MODELS[options.model](options.activation)
    net = layers.Sequential(*modules, seed=options.seed, backend=backend)
    print(anynet.summary(net))

    name, (train, test) = load(backend)
    x = backend.xp.reshape(train[0], (-1, *recipe.shape))[: options.limit, ...]
    t = train[1][: options.limit]
    test = backend.xp.reshape(test[0], (-1, *recipe.shape)), test[1]
    print(f"{name}: {x.shape[0]:,} images to train on, {test[0].shape[0]:,} to test on")
    loader = data.Loader(
        x, t, batch_size=options.batch_size, seed=options.seed, augment=recipe.augment
    )

    epochs = recipe.epochs if options.epochs is None else options.epochs
    rate = recipe.learning_rate if options.learning_rate is None else options.learning_rate
    optimizer = make_optimizer(rate, max(1, epochs * len(loader)))
    history = anynet.fit(
        net, loader, test, optimizer=optimizer, epochs=epochs, compile=options.compile
    )

    accuracy = anynet.evaluate(net, test)
    print(f"{'interrupted; ' if history.interrupted else ''}final test accuracy: {accuracy:.4f}")
    if history.epochs:
        axes: Any = plotting.learning_curves(history, "accuracy")
        axes.set_title(f"{name}, {recipe.title}, {backend.name}")
        axes.figure.savefig(options.plot, format="png")
        print(f"accuracy curve: {options.plot}")
    if options.save:
        about = {
            "data": name,
            "activation": options.activation,
            "seed": str(options.seed),
            "test accuracy": f"{accuracy:.4f}",
        }
        checkpoint.save(net, options.save, about)
        print(f"weights: {options.save}")


if __name__ == "__main__":
    cli.run(main)
