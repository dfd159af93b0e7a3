"""Train the network 784-50-100-10 on MNIST, on any array library.

python examples/mnist.py
ANYNET_BACKEND=cupy python examples/mnist.py
"""

import argparse

import anynet
from anynet import checkpoint, cli, data, layers, optimizers, plotting, schedulers
from anynet.errors import DataError


def network(activation: str, seed: int, backend: anynet.Backend) -> layers.Sequential:
    return layers.Sequential(
        layers.Linear(784, 50),
        layers.activation(activation),
        layers.Linear(50, 100),
        layers.activation(activation),
        layers.Linear(100, 10),
        seed=seed,
        backend=backend,
    )


def load(backend: anynet.Backend) -> tuple[str, data.Dataset, float]:
    """Return MNIST or, where there is none to be had, the digits of scikit-learn, and a learning rate that suits it."""
    try:
        return "MNIST", data.load_mnist(backend), 0.3
    except DataError as error:
        print(f"No MNIST: {error}")
        print("Training on scikit-learn's 1,797 handwritten digits, scaled to 28×28, in its place.")
        # Brighter images, larger steps: a smaller rate.
        return "scikit-learn's digits", data.load_digits(backend), 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_backend_argument(parser)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--learning-rate", type=float, help="at the start; falls to 0 along a cosine")
    parser.add_argument("--activation", default="relu", help="of the hidden layers: relu, sigmoid, tanh, …")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="train on so many images only")
    parser.add_argument("--plot", default="mnist.png", help="where the accuracy curve goes")
    parser.add_argument("--save", metavar="FILE", help="write the trained weights to this safetensors file")
    options = parser.parse_args()

    backend = anynet.get_backend(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    net = network(options.activation, options.seed, backend)
    print(anynet.summary(net))
    name, (train, test), rate = load(backend)
    train = (train[0][: options.limit, ...], train[1][: options.limit])
    loader = data.Loader(*train, batch_size=options.batch_size, seed=options.seed)
    print(f"{name}: {train[0].shape[0]:,} images to train on, {test[0].shape[0]:,} to test on")

    rate = rate if options.learning_rate is None else options.learning_rate
    schedule = schedulers.Cosine(rate, max(1, options.epochs * len(loader)))
    history = anynet.fit(net, loader, test, optimizer=optimizers.SGD(schedule), epochs=options.epochs)

    accuracy = anynet.evaluate(net, test)
    print(f"{'interrupted; ' if history.interrupted else ''}final test accuracy: {accuracy:.4f}")
    if history.epochs:
        plotting.accuracy_curve(history, options.plot, f"{name}, 784-50-100-10, {backend.name}")
        print(f"accuracy curve: {options.plot}")
    if options.save:
        about = {"data": name, "activation": options.activation, "seed": str(options.seed)}
        checkpoint.save(net, options.save, about | {"test accuracy": f"{accuracy:.4f}"})
        print(f"weights: {options.save}")


if __name__ == "__main__":
    cli.run(main)
