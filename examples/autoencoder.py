"""Squeeze images of digits through 16 numbers and unfold them again; a picture shows both.

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
    """Return rows (N, channels · height · width) as images: the way back from Flatten."""

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
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, help="train on so many images only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="autoencoder.png", help="where the picture goes")
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    net = autoencoder(options.seed, backend)
    print(anynet.summary(net, (1, 28, 28)))
    name, (train, test) = load(backend)
    images, others = (backend.xp.reshape(part[0], (-1, 1, 28, 28)) for part in (train, test))
    images = images[: options.limit, ...]
    print(f"{name}: {images.shape[0]:,} images to train on")
    error = metrics.mean_squared_error
    before = anynet.evaluate(net, (others, others), error)
    anynet.fit(
        net, (images, images), loss=losses.mean_squared_error, optimizer=optimizers.Adam(0.002), seed=options.seed,
        epochs=options.epochs, batch_size=100, metric=error,
    )  # fmt: skip
    after = anynet.evaluate(net, (others, others), error)
    print(f"mean squared error of images not trained on: {before:.4f} before, {after:.4f} after")
    draw(backend, others[:12, ...], net(others[:12, ...]), options.plot)
    print(f"images above, what is left of them below: {options.plot}")


def draw(backend: anynet.Backend, above: Any, below: Any, path: str) -> None:
    from matplotlib import image

    xp = backend.xp
    rows = [
        xp.reshape(xp.permute_dims(part[:, 0, :, :], (1, 0, 2)), (28, -1))
        for part in (above, below)
    ]
    image.imsave(
        path,
        backend.to_host(xp.concat(rows, axis=0)),
        cmap="gray",
        vmin=0,
        vmax=1,
    )


if __name__ == "__main__":
    cli.run(main)
