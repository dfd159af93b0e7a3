"""Train an autoencoder that compresses images of digits to 16 features, and plot its output.

python examples/autoencoder.py --backend torch
"""

import argparse
from typing import Any

import anynet
from anynet import cli, data, layers, losses, metrics, optimizers
from anynet.array import array_namespace
from anynet.errors import DataError


def autoencoder(seed: int, backend: anynet.Backend) -> layers.Sequential:
    encoder = layers.Sequential(
        layers.Conv2d(1, 8, 3, stride=2, padding=1),
        layers.ReLU(),
        layers.Conv2d(8, 16, 3, stride=2, padding=1),
        layers.ReLU(),
        layers.Flatten(),
        layers.Linear(16 * 7 * 7, 16),
    )
    decoder = layers.Sequential(
        layers.Linear(16, 16 * 7 * 7),
        layers.ReLU(),
        Images(16, 7, 7),
        layers.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1),
        layers.ReLU(),
        layers.ConvTranspose2d(8, 1, 3, stride=2, padding=1, output_padding=1),
        layers.Sigmoid(),
    )
    return layers.Sequential(encoder, decoder, seed=seed, backend=backend)


class Images(layers.Module):
    """Reshape rows (N, channels · height · width) to images: the inverse of Flatten."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        return array_namespace(x).reshape(x, (-1, *self.shape))


def load(backend: anynet.Backend) -> tuple[str, data.Dataset]:
    try:
        return "MNIST", data.load_mnist(backend)
    except DataError as error:
        print(f"No MNIST: {error}")
        return "scikit-learn's digits", data.load_digits(backend)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="autoencoder.png", help="the file of the picture")
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    net = autoencoder(options.seed, backend)
    print(anynet.summary(net, (1, 28, 28)))

    name, (train, test) = load(backend)
    train_images = backend.xp.reshape(train[0], (-1, 1, 28, 28))[: options.limit, ...]
    test_images = backend.xp.reshape(test[0], (-1, 1, 28, 28))
    print(f"{name}: {train_images.shape[0]:,} images to train on")
    error = metrics.mean_squared_error
    before = anynet.evaluate(net, (test_images, test_images), error)
    # The images are the targets too.
    anynet.fit(
        net,
        (train_images, train_images),
        loss=losses.mean_squared_error,
        optimizer=optimizers.Adam(0.002),
        epochs=options.epochs,
        batch_size=100,
        seed=options.seed,
        metric=error,
    )
    after = anynet.evaluate(net, (test_images, test_images), error)
    print(f"mean squared error on test images: {before:.4f} before training, {after:.4f} after")

    samples = test_images[:12, ...]
    plot(backend, samples, net(samples), options.plot)
    print(f"test images above, reconstructions below: {options.plot}")


def plot(backend: anynet.Backend, above: Any, below: Any, path: str) -> None:
    """Save a picture of two rows of images."""
    from matplotlib import image

    rows = backend.xp.concat([side_by_side(above), side_by_side(below)], axis=0)
    image.imsave(path, backend.to_host(rows), cmap="gray", vmin=0, vmax=1)


def side_by_side(images: Any) -> Any:
    """Return images (N, 1, height, width) as one picture (height, N · width)."""
    xp = array_namespace(images)
    rows = xp.permute_dims(images[:, 0, :, :], (1, 0, 2))
    return xp.reshape(rows, (rows.shape[0], -1))


if __name__ == "__main__":
    cli.run(main)
