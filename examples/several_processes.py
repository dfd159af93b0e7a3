"""Train one network in several processes, each on its rows of every mini-batch.

    mpiexec -n 2 python -m mpi4py examples/several_processes.py
    torchrun --standalone --nproc-per-node 2 examples/several_processes.py
    python examples/several_processes.py

The last command trains in one process. All three print the same numbers, up to rounding. With
--by-hand, the loop is written out in place of `fit`.
"""

import argparse
from typing import Any

import anynet
from anynet import cli, data, layers, losses, optimizers


def network(backend: Any) -> layers.Module:
    """Return a network whose batch normalization and dropout see the rows of all processes."""
    return layers.Sequential(
        layers.Linear(784, 50, bias=False),
        layers.BatchNorm(50),
        layers.ReLU(),
        layers.Dropout(0.2),
        layers.Linear(50, 10),
        seed=0,
        backend=backend,
    )


def train_by_hand(
    net: layers.Module,
    training: Any,
    test: Any,
    group: Any,
    options: argparse.Namespace,
) -> None:
    """Train with a loop of our own. Each line is the same in one process and in several."""
    optimizer = optimizers.Momentum(0.1)
    gradient = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t), group=group)
    images, labels = training
    loader = data.Loader(images, labels, options.batch_size)
    for epoch in range(1, options.epochs + 1):
        for x, t in loader:
            _, grads = gradient(net, x, t)
            optimizer.update(net, grads)
        score = anynet.evaluate(net, test, group=group)
        if group.is_first:
            print(f"epoch {epoch}: test accuracy {score:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--batch-size", type=int, default=120, help="rows of all processes")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--by-hand", action="store_true", help="train with a loop of our own")
    parser.add_argument("--checkpoint", help="a file, such as run.safetensors, to go on from")
    parser.add_argument("--output", help="a file for the network, such as net.safetensors")
    options = parser.parse_args()
    backend = anynet.configure(options.backend)
    training, test = data.load_digits(backend)
    # The same seed gives the same weights and the same mini-batches in every process.
    net = network(backend)
    with anynet.open_group() as group:
        if options.by_hand:
            train_by_hand(net, training, test, group, options)
        else:
            anynet.fit(
                net,
                training,
                test,
                optimizer=optimizers.Momentum(0.1),
                epochs=options.epochs,
                batch_size=options.batch_size,
                checkpoint=options.checkpoint,
                group=group,
            )
        if group.is_first and options.output:
            anynet.save(net, options.output)


if __name__ == "__main__":
    cli.run(main)
