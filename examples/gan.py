"""Train a generator of digits against a discriminator, and plot generated images.

    python examples/gan.py --backend torch

Both networks and both optimizers are arguments of one compiled step.
"""

import argparse
from typing import Any

import anynet
from anynet import cli, data, layers, losses, optimizers, random
from anynet.array import array_namespace
from anynet.errors import DataError

NOISE = 64


def networks(seed: int, backend: anynet.Backend) -> tuple[layers.Module, layers.Module]:
    generator = layers.Sequential(
        *(layers.Linear(NOISE, 256), layers.BatchNorm(256), layers.ReLU()),
        *(layers.Linear(256, 512), layers.BatchNorm(512), layers.ReLU()),
        *(layers.Linear(512, 784), layers.Sigmoid()),
        seed=seed,
        backend=backend,
    )
    discriminator = layers.Sequential(
        *(layers.Linear(784, 512), layers.LeakyReLU(0.2)),
        *(layers.Linear(512, 256), layers.LeakyReLU(0.2)),
        layers.Linear(256, 1),
        seed=seed + 1,
        backend=backend,
    )
    return generator, discriminator


def generator_loss(generator: Any, discriminator: Any, noise: Any) -> tuple[Any, Any]:
    """Return the loss and the images. Only the first argument is differentiated."""
    images = generator(noise)
    logits = discriminator(images)
    ones = array_namespace(logits).ones_like(logits)
    return losses.binary_cross_entropy_with_logits(logits, ones), images


def discriminator_loss(discriminator: Any, images: Any, generated: Any) -> Any:
    loss, real = losses.binary_cross_entropy_with_logits, discriminator(images)
    xp = array_namespace(real)
    return loss(real, xp.ones_like(real)) + loss(discriminator(generated), xp.zeros_like(real))


generator_gradient = anynet.value_and_grad(generator_loss, has_aux=True)
discriminator_gradient = anynet.value_and_grad(discriminator_loss)


@anynet.compile
def step(nets: Any, rules: Any, images: Any, noise: Any) -> tuple[Any, Any]:
    """Update both networks. The generator runs once, so its batch statistics change once."""
    (of_generator, generated), grads = generator_gradient(*nets, noise)
    # The generated images come without a derivative.
    of_discriminator, others = discriminator_gradient(nets[1], images, generated)
    rules[0].update(nets[0], grads)
    rules[1].update(nets[1], others)
    return of_generator, of_discriminator


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="gan.png", help="the file of the picture")
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    try:
        (x, t), _ = data.load_mnist(backend)
    except DataError as error:
        print(f"No MNIST: {error}")
        (x, t), _ = data.load_digits(backend)
    loader = data.Loader(x[: options.limit, ...], t[: options.limit], 100, seed=options.seed)
    nets = networks(options.seed, backend)
    rules = [optimizers.Adam(2e-4, betas=(0.5, 0.999)) for _ in nets]
    key = random.key(options.seed, backend)

    for epoch in range(options.epochs):
        for i, (images, _) in enumerate(loader):
            own = random.fold_in(random.fold_in(key, epoch), i)
            noise = random.normal(own, (images.shape[0], NOISE))
            of_generator, of_discriminator = step(nets, rules, images, noise)
        print(
            f"epoch {epoch + 1}: loss of the generator {float(of_generator):.3f}, "
            f"of the discriminator {float(of_discriminator):.3f}"
        )
    plot(backend, nets[0](random.normal(key, (12, NOISE))), options.plot)
    print(f"generated images: {options.plot}")


def plot(backend: anynet.Backend, rows: Any, path: str) -> None:
    """Save a picture of images in a row."""
    from matplotlib import image

    images = backend.to_host(rows).reshape(-1, 28, 28)
    image.imsave(path, images.transpose(1, 0, 2).reshape(28, -1), cmap="gray", vmin=0, vmax=1)


if __name__ == "__main__":
    cli.run(main)
