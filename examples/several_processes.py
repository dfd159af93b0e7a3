"""Train one network in several processes, each on its share of every mini-batch.

    python examples/several_processes.py --processes 2

Every process computes the gradients of its rows. The first process collects them and sends their
mean back, so all processes make the same update, and their networks stay equal. The result is that
of one process, up to rounding.
"""

import argparse
import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import anynet
from anynet import cli, data, layers, losses, optimizers, tree


class Group:
    """The first process has a connection to each other process, and these have one to it."""

    def __init__(self, rank: int, connections: list[Connection]) -> None:
        self.rank = rank
        self.connections = connections

    def mean(self, grads: Any) -> Any:
        """Return the mean of the gradients of all processes."""
        own = [anynet.get_backend(x).to_host(x) for _, x in tree.leaves(grads)]
        if self.rank == 0:
            every = [own, *(connection.recv() for connection in self.connections)]
            means = [sum(arrays) / len(every) for arrays in zip(*every, strict=True)]
            for connection in self.connections:
                connection.send(means)
        else:
            self.connections[0].send(own)
            means = self.connections[0].recv()
        remaining = iter(means)
        return tree.map(lambda x: anynet.get_backend(x).asarray(next(remaining)), grads)


def train(rank: int, processes: int, connections: list[Connection], options: Any) -> None:
    """Train in one process. The first one prints."""
    backend = anynet.configure(options.backend)
    group = Group(rank, connections)
    training, test = data.load_digits(backend)
    # The same seed gives the same weights and the same mini-batches in every process.
    net = layers.Sequential(
        layers.Linear(784, 50),
        layers.ReLU(),
        layers.Linear(50, 10),
        seed=0,
        backend=backend,
    )
    loader = data.Loader(*training, batch_size=options.batch_size, drop_last=True)
    optimizer = optimizers.Adam(1e-3)
    gradient = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    share = options.batch_size // processes
    rows = slice(rank * share, (rank + 1) * share)
    for epoch in range(1, options.epochs + 1):
        for x, t in loader:
            _, grads = gradient(net, x[rows, ...], t[rows])
            optimizer.update(net, group.mean(grads))
        if rank == 0:
            print(f"epoch {epoch}: test accuracy {anynet.evaluate(net, test):.4f}", flush=True)
    if rank == 0 and options.output:
        anynet.save(net, options.output)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=120)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--output", help="a file for the network, such as net.safetensors")
    options = parser.parse_args()
    count = options.processes
    if count < 1 or options.batch_size % count:
        parser.error(f"--batch-size {options.batch_size} has no equal shares for {count} processes")

    # A forked process would have copies of its parent's locks.
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(count - 1)]
    others = [
        context.Process(target=train, args=(rank, count, [end], options), daemon=True)
        for rank, (_, end) in enumerate(pairs, 1)
    ]
    for process, (_, end) in zip(others, pairs, strict=True):
        process.start()
        # With this copy open, the first process would wait for one that has died.
        end.close()
    train(0, count, [end for end, _ in pairs], options)
    for process in others:
        process.join()


if __name__ == "__main__":
    cli.run(main)
